"""Films are looked through and read: the number of their frames, their times and their pixels."""

import dataclasses
import gc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from nst_lightning.errors import UserError
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.video.clip import Clip
from nst_lightning.video.clip_reading import Array, read_frames, scan_clip
from tests.clips import (
    cut,
    decoded_rgb,
    disc,
    ffmpeg,
    image_times,
    make_film,
    pan,
    texture,
    zoom,
)


def scanned(path: Path) -> tuple[Clip, list[Array]]:
    frames: list[Array] = []
    clip = scan_clip(path, MAX_PIXELS, lambda index, frame: frames.append(frame))
    return clip, frames


def seconds(clip: Clip) -> list[Fraction]:
    return [time * clip.time_base for time in clip.times]


def difference(one: Array, other: Array) -> float:
    return float(np.abs(one.astype(float) - other).mean())


KINDS = {
    "h264.mp4": ("libx264", {"g": "10", "bf": "3"}),
    "open-gop.mkv": ("libx264", {"g": "10", "x264-params": "open-gop=1:bframes=3"}),
    "h264.ts": ("libx264", {"g": "10"}),
    "h265.mov": ("libx265", {"x265-params": "keyint=10:open-gop=1:log-level=none"}),
    "vp9.webm": ("libvpx-vp9", {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "8"}),
    "mpeg4.avi": ("mpeg4", {"g": "10", "bf": "2", "q:v": "3"}),
    "mpeg2.mpg": ("mpeg2video", {"g": "10", "bf": "2"}),
    "prores.mov": ("prores_ks", {}),
}


@pytest.fixture(params=KINDS)
def film(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    codec, options = KINDS[request.param]
    samples = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    return make_film(
        tmp_path / request.param, pan(33), codec=codec, options=options, samples=samples
    )


def test_every_frame_is_found_at_its_time(film: Path):
    clip, frames = scanned(film)
    assert clip.frames == len(frames) == 33  # those that the decoder holds back too
    assert seconds(clip) == image_times(film)
    assert clip.last * clip.time_base == Fraction(1, 25)
    assert clip.rate == 25
    assert clip.shape == (64, 64)


def test_a_second_reader_finds_as_many_frames(film: Path):
    capture, count = cv2.VideoCapture(str(film)), 0
    while capture.read()[0]:
        count += 1
    assert scan_clip(film, MAX_PIXELS).frames == count


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 33), (1, 4), (9, 12), (10, 11), (19, 23), (31, 33)]
)
def test_frames_from_any_on_are_those_of_the_scan(film: Path, start: int, stop: int):
    clip = scan_clip(film, MAX_PIXELS)
    expected = list(read_frames(clip, 0, clip.frames))[start:stop]
    found = list(read_frames(clip, start, stop))
    assert len(found) == stop - start
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_scan_shows_what_will_be_read(tmp_path: Path):
    clip, shown = scanned(make_film(tmp_path / "a.mp4", zoom(9)))
    for one, other in zip(shown, read_frames(clip, 0, 9), strict=True):
        np.testing.assert_array_equal(one, other)


def test_reading_begins_at_a_key_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clip = scan_clip(make_film(tmp_path / "a.mp4", pan(200, 32), options={"g": "20"}), MAX_PIXELS)
    from nst_lightning.video import clip_reading

    decoded = 0

    def counting(*arguments: Any) -> Iterator[Any]:
        nonlocal decoded
        for frame in original(*arguments):
            decoded += 1
            yield frame

    original = clip_reading._decoded
    monkeypatch.setattr(clip_reading, "_decoded", counting)
    assert len(list(read_frames(clip, 185, 188))) == 3
    assert decoded <= 30


def test_one_frame_is_held_at_a_time(tmp_path: Path):
    plain = make_film(tmp_path / "a.mp4", pan(60))
    ffmpeg("-display_rotation", "90", "-i", plain, "-c", "copy", tmp_path / "b.mp4")
    gc.collect()
    gc.disable()
    try:
        clip = scan_clip(tmp_path / "b.mp4", MAX_PIXELS, lambda index, frame: None)
        assert sum(1 for _ in read_frames(clip, 0, 60)) == 60
        held = sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())
    finally:
        gc.enable()
    assert held < 5


def test_variable_times_are_kept(tmp_path: Path):
    times, base = [0, 1000, 1500, 4000, 4100, 9000], Fraction(1, 10_000)
    film = make_film(tmp_path / "a.mkv", disc(6), times=times, time_base=base)
    clip, _ = scanned(film)
    assert seconds(clip) == [time * base for time in times] == image_times(film)


def test_a_film_without_times_is_counted_at_its_rate(tmp_path: Path):
    film = tmp_path / "a.h264"
    ffmpeg("-i", make_film(tmp_path / "a.mp4", pan(30)), "-c", "copy", film)
    clip, frames = scanned(film)
    assert clip.frames == 30
    assert seconds(clip) == [Fraction(i, 25) for i in range(30)]
    np.testing.assert_array_equal(next(read_frames(clip, 20, 21)), frames[20])


def test_only_what_an_edit_list_shows_is_a_frame(tmp_path: Path):
    whole = make_film(tmp_path / "a.mp4", pan(50), options={"g": "20"}, sound="aac")
    ffmpeg("-ss", "0.48", "-i", whole, "-c", "copy", "-t", "1", tmp_path / "b.mp4")
    clip, frames = scanned(tmp_path / "b.mp4")
    assert seconds(clip) == image_times(tmp_path / "b.mp4")
    assert 20 < clip.frames < 30
    np.testing.assert_array_equal(next(read_frames(clip, 7, 8)), frames[7])


def test_sound_and_the_rest_are_named(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(5), sound="aac")
    titles = tmp_path / "a.srt"
    titles.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    ffmpeg(
        "-i",
        film,
        "-i",
        titles,
        "-map",
        "0",
        "-map",
        "0:a",
        "-map",
        "1",
        "-c",
        "copy",
        tmp_path / "a.mkv",
    )
    clip = scan_clip(tmp_path / "a.mkv", MAX_PIXELS)
    assert clip.audio == ("aac", "aac")
    assert clip.others == ("subtitle",)


def test_pixels_that_are_not_square_become_so_without_loss(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(3))
    ffmpeg("-i", film, "-vf", "setsar=4/3", tmp_path / "wide.mp4")
    ffmpeg("-i", film, "-vf", "setsar=1/2", tmp_path / "high.mp4")
    assert scan_clip(tmp_path / "wide.mp4", MAX_PIXELS).shape == (64, 85)
    clip = scan_clip(tmp_path / "high.mp4", MAX_PIXELS)
    assert clip.shape == (128, 64) == next(read_frames(clip, 1, 2)).shape[:2]


TURNS = [(90, ()), (180, ()), (-90, ()), (0, ("-display_hflip",)), (90, ("-display_vflip",))]


@pytest.mark.parametrize(("degrees", "flips"), TURNS)
def test_frames_are_upright(degrees: int, flips: tuple[str, ...], tmp_path: Path):
    plain = make_film(tmp_path / "a.mp4", [frame[:48] for frame in pan(20)], options={"g": "5"})
    film = tmp_path / "b.mp4"
    ffmpeg("-display_rotation", str(degrees), *flips, "-i", plain, "-c", "copy", film)
    clip, shown = scanned(film)
    assert clip.shape == ((64, 48) if degrees % 180 else (48, 64))
    expected = decoded_rgb(film, clip.shape)
    for number in (0, 13):
        found = next(read_frames(clip, number, number + 1))
        np.testing.assert_array_equal(found, shown[number])
        # Where edges lie, chroma is filtered in another order.
        assert difference(found, expected[number]) < 3
        for wrong in (found[::-1], found[:, ::-1], found[::-1, ::-1]):
            assert difference(wrong, expected[number]) > 15


def test_another_film_under_the_same_name_is_noticed(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(20))
    clip = scan_clip(film, MAX_PIXELS)
    make_film(film, pan(10))
    with pytest.raises(UserError, match="has changed"):
        list(read_frames(clip, 5, 20))
    make_film(film, pan(20, 32))
    with pytest.raises(UserError, match="has changed"):
        list(read_frames(clip, 5, 20))
    make_film(film, pan(20), rate=24)
    with pytest.raises(UserError, match="has changed"):
        list(read_frames(clip, 5, 20))


def test_a_clip_tells_how_long_it_takes(tmp_path: Path):
    clip = scan_clip(make_film(tmp_path / "a.mp4", cut(10), rate=24), MAX_PIXELS)
    assert clip.seconds == Fraction(10, 24)
    assert dataclasses.replace(clip, last=0).seconds == Fraction(9, 24)


def test_ten_bits_keep_their_levels(tmp_path: Path):
    ramp = np.repeat(np.linspace(0, 65535, 1024).astype(np.uint16)[None, :, None], 3, 2)
    film = make_film(
        tmp_path / "a.mkv",
        [np.repeat(ramp, 16, 0)] * 2,
        codec="ffv1",
        samples="yuv420p10le",
        options={},
    )
    clip, shown = scanned(film)
    frame = next(read_frames(clip, 1, 2))
    assert clip.bits == 10
    assert frame.dtype == np.uint16
    assert shown[0].dtype == np.uint8
    assert len(np.unique(frame)) > 800
    assert np.abs(frame.astype(int)[8] - ramp[0]).max() < 300


def test_an_odd_size_is_read_whole(tmp_path: Path):
    odd = [texture(64)[:47, :63]] * 2
    film = make_film(tmp_path / "a.mkv", odd, codec="ffv1", samples="yuv444p", options={})
    clip = scan_clip(film, MAX_PIXELS)
    assert clip.shape == (47, 63)
    assert np.abs(next(read_frames(clip, 0, 1)).astype(int) - odd[0]).max() <= 3
