"""Films are written: read again by us, and by ffmpeg and OpenCV, they are what was put in."""

import dataclasses
import resource
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import av
import cv2
import numpy as np
import pytest

from nst_lightning.errors import UserError
from nst_lightning.formats import CLIP_CODECS, CLIP_SUFFIXES, MAX_PIXELS, ClipCodec, ClipFormat
from nst_lightning.video import clip_codecs
from nst_lightning.video.clip import Clip
from nst_lightning.video.clip_codecs import ENCODERS, check_codec, rate_factor
from nst_lightning.video.clip_reading import Array, read_comment, read_frames, scan_clip
from nst_lightning.video.clip_writing import write_clip
from tests.clips import (
    decoded_rgb,
    disc,
    ffmpeg,
    image_times,
    make_film,
    pan,
    sound_packets,
    texture,
    zoom,
)

PAIRS = [(suffix, codec) for suffix, codecs in CLIP_CODECS.items() for codec in codecs]


def planned(count: int, rate: int = 25) -> Clip:
    """A clip without sound, as a folder of frames would be."""
    return Clip(Path("frames"), (64, 64), tuple(range(count)), 1, Fraction(1, rate), Fraction(rate))


def again(path: Path) -> tuple[Clip, list[Array]]:
    clip = scan_clip(path, MAX_PIXELS)
    return clip, list(read_frames(clip, 0, clip.frames))


def smooth(frames: int, side: int = 80) -> list[Array]:
    """Colours that change slowly, which survive chroma of half the size."""
    y, x = np.mgrid[:side, :side] / side
    return [
        (np.stack([x, y, 0.5 * np.cos(x + y + i / 9)], -1) * 100 + 70).round().astype(np.uint8)
        for i in range(frames)
    ]


def seconds(clip: Clip) -> list[Fraction]:
    return [time * clip.time_base for time in clip.times]


def test_the_tables_know_the_same_formats_and_codecs():
    assert set(CLIP_CODECS) == set(get_args(ClipFormat))
    assert set(ENCODERS) == set(get_args(ClipCodec)) == {codec for _, codec in PAIRS}
    assert {f".{name}" for name in CLIP_CODECS} < CLIP_SUFFIXES


@pytest.mark.parametrize(("suffix", "codec"), PAIRS)
def test_every_codec_in_every_format(suffix: str, codec: ClipCodec, tmp_path: Path):
    frames, path = smooth(12), tmp_path / f"a.{suffix}"
    assert write_clip(path, frames, planned(12), codec=codec, quality=100, comment="{}") == []
    clip, found = again(path)
    assert clip.frames == 12
    assert seconds(clip) == image_times(path) == [Fraction(i, 25) for i in range(12)]
    assert clip.last * clip.time_base == Fraction(1, 25)
    assert read_comment(path) == "{}"
    for one, other in zip(found, frames, strict=True):
        level = one / 257 if one.dtype == np.uint16 else one
        off = np.abs(level - other.astype(float))
        assert off.max() <= (0 if codec == "ffv1" else 6)
        assert off.mean() <= 1
    if codec != "prores":  # OpenCV has no counter for it
        assert int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)) == 12


def test_colours_come_back_within_two_levels(tmp_path: Path):
    frames = smooth(5)
    write_clip(tmp_path / "a.mp4", frames, planned(5), quality=100)
    clip, found = again(tmp_path / "a.mp4")
    assert (clip.colour.matrix, clip.colour.primaries, clip.colour.transfer) == (1, 1, 1)
    for one, other in zip(found, frames, strict=True):
        off = np.abs(one.astype(int) - other)
        assert np.quantile(off, 0.99) <= 2
        assert off.max() <= 6


def test_another_decoder_sees_the_same_colours(tmp_path: Path):
    frames = smooth(3)
    write_clip(tmp_path / "a.mp4", frames, planned(3), quality=100)
    found = decoded_rgb(tmp_path / "a.mp4", (80, 80))
    off = np.abs(found.astype(int) - np.stack(frames))
    assert np.quantile(off, 0.99) <= 2
    assert off.max() <= 6


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "prores", "ffv1"])
def test_ten_bits(codec: ClipCodec, tmp_path: Path):
    ramp = np.linspace(0, 65535, 512).astype(np.uint16)
    frames = [np.broadcast_to(ramp[None, :, None], (64, 512, 3))] * 3
    path = tmp_path / ("a.mov" if codec == "prores" else "a.mkv")
    write_clip(path, frames, planned(3), codec=codec, quality=100, bits=10)
    clip, found = again(path)
    assert clip.bits == 10
    assert found[0].dtype == np.uint16
    assert len(np.unique(found[1][32])) > 256
    off = np.abs(found[1].astype(int)[32] - ramp[:, None]).max()
    assert off == 0 if codec == "ffv1" else off < 4 * 257


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("base", [Fraction(1, 10_000), Fraction(1001, 30_000), Fraction(1, 90_000)])
def test_variable_times_come_back_exactly(suffix: str, base: Fraction, tmp_path: Path):
    times = (7, 20, 21, 40, 41, 90, 2000, 2001)
    clip = dataclasses.replace(planned(8), times=times, time_base=base, last=77)
    write_clip(tmp_path / f"a.{suffix}", disc(8), clip, quality=60)
    found, _ = again(tmp_path / f"a.{suffix}")
    assert seconds(found) == [time * base for time in times]
    assert image_times(tmp_path / f"a.{suffix}") == [time * base for time in times]
    assert found.last * found.time_base == 77 * base


def test_matroska_has_milliseconds(tmp_path: Path):
    clip = dataclasses.replace(planned(50), time_base=Fraction(1001, 30_000))
    write_clip(tmp_path / "a.mkv", disc(50, 32), clip, quality=60)
    found, _ = again(tmp_path / "a.mkv")
    assert found.time_base == Fraction(1, 1000)
    for one, time in zip(seconds(found), clip.times, strict=True):
        assert abs(one - time * clip.time_base) <= Fraction(1, 2000)


def test_the_sound_is_copied_byte_for_byte(tmp_path: Path):
    source = make_film(tmp_path / "a.mp4", pan(30), sound="aac")
    clip = scan_clip(source, MAX_PIXELS)
    for name in ("b.mp4", "b.mov", "b.mkv"):
        assert write_clip(tmp_path / name, read_frames(clip, 0, 30), clip, quality=50) == []
        before, after = sound_packets(source), sound_packets(tmp_path / name)
        assert [one for _, one in before] == [one for _, one in after]
        late = Fraction(1, 1000) if name == "b.mkv" else 0
        assert all(abs(x - y) <= late for (x, _), (y, _) in zip(before, after, strict=True))
        assert seconds(scan_clip(tmp_path / name, MAX_PIXELS)) == seconds(clip)


def test_sound_that_an_edit_list_hides_stays_unheard(tmp_path: Path):
    whole = make_film(tmp_path / "a.mp4", pan(50), options={"g": "25"}, sound="aac")
    ffmpeg("-ss", "0.6", "-i", whole, "-c", "copy", tmp_path / "cut.mp4")
    clip = scan_clip(tmp_path / "cut.mp4", MAX_PIXELS)
    for name in ("b.mp4", "b.mkv"):
        write_clip(tmp_path / name, read_frames(clip, 0, clip.frames), clip, quality=50)
        assert seconds(scan_clip(tmp_path / name, MAX_PIXELS)) == seconds(clip)
    before = sound_packets(tmp_path / "cut.mp4")
    assert before[0][0] < Fraction(-1, 2)
    assert sound_packets(tmp_path / "b.mp4") == before
    after = sound_packets(tmp_path / "b.mkv")
    assert Fraction(-1, 20) < after[0][0] < 0
    assert [one for _, one in after] == [one for _, one in before][-len(after) :]


@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.mkv"])
def test_sound_that_begins_later_does_so_again(name: str, tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(20), sound="aac")
    ffmpeg(
        "-i",
        film,
        "-itsoffset",
        "0.3",
        "-i",
        film,
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c",
        "copy",
        tmp_path / "late.mkv",
    )
    clip = scan_clip(tmp_path / "late.mkv", MAX_PIXELS)
    write_clip(tmp_path / name, read_frames(clip, 0, 20), clip, quality=50)
    before, after = sound_packets(tmp_path / "late.mkv"), sound_packets(tmp_path / name)
    assert before[0][0] > Fraction(1, 4)
    for (time, data), (again_time, again_data) in zip(before, after, strict=True):
        assert data == again_data
        assert abs(time - again_time) <= Fraction(1, 1000)


@pytest.mark.parametrize("name", ["b.webm", "b.mkv", "b.mp4"])
def test_opus_is_copied(name: str, tmp_path: Path):
    source = make_film(tmp_path / "a.webm", pan(30), codec="libvpx-vp9", sound="libopus")
    clip = scan_clip(source, MAX_PIXELS)
    codec: ClipCodec = "vp9" if name == "b.webm" else "h264"
    assert (
        write_clip(tmp_path / name, read_frames(clip, 0, 30), clip, codec=codec, quality=50) == []
    )
    assert [one for _, one in sound_packets(source)] == [
        one for _, one in sound_packets(tmp_path / name)
    ]


def test_every_track_is_copied_with_its_language(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(20), sound="aac")
    ffmpeg(
        "-i",
        film,
        "-ss",
        "0.2",
        "-i",
        film,
        "-map",
        "0",
        "-map",
        "1:a",
        "-c",
        "copy",
        "-metadata:s:a:0",
        "language=deu",
        "-metadata:s:a:1",
        "language=fra",
        tmp_path / "b.mkv",
    )
    clip = scan_clip(tmp_path / "b.mkv", MAX_PIXELS)
    write_clip(tmp_path / "c.mkv", read_frames(clip, 0, 20), clip, quality=50)
    for track in (0, 1):
        assert sound_packets(tmp_path / "b.mkv", track) == sound_packets(tmp_path / "c.mkv", track)
    with av.open(str(tmp_path / "c.mkv")) as container:
        assert [track.language for track in container.streams.audio] == ["deu", "fra"]


@pytest.mark.parametrize(
    ("sound", "source", "name", "codec"),
    [
        ("aac", "a.mp4", "b.webm", "vp9"),
        ("libopus", "a.mkv", "b.mov", "h264"),
    ],
)
def test_sound_that_a_format_does_not_take_is_left_out_with_a_note(
    sound: str, source: str, name: str, codec: ClipCodec, tmp_path: Path
):
    film = make_film(tmp_path / source, pan(5), sound=sound)
    clip = scan_clip(film, MAX_PIXELS)
    (note,) = write_clip(tmp_path / name, pan(5), clip, codec=codec, quality=50)
    assert f"does not take {clip.audio[0]}" in note
    assert scan_clip(tmp_path / name, MAX_PIXELS).audio == ()


def test_damaged_packets_of_sound_do_not_end_the_work(tmp_path: Path):
    film = make_film(tmp_path / "a.ts", pan(30), sound="aac")
    with av.open(str(film)) as container:
        place = [packet.pos for packet in container.demux(audio=0) if packet.size][8]
    assert place is not None
    data = bytearray(film.read_bytes())
    begins = data.index(b"\xff\xf1", place)  # an ADTS header (ISO/IEC 14496-3, 1.A.3)
    data[begins : begins + 2] = b"\0\0"
    film.write_bytes(data)
    clip = scan_clip(film, MAX_PIXELS)
    (note,) = write_clip(tmp_path / "b.mp4", read_frames(clip, 0, 30), clip, quality=50)
    assert "packets of the sound of" in note
    assert scan_clip(tmp_path / "b.mp4", MAX_PIXELS).frames == 30
    assert 10 < len(sound_packets(tmp_path / "b.mp4")) < len(sound_packets(film)) + 1


def test_titles_are_left_out_with_a_note(tmp_path: Path):
    clip = dataclasses.replace(planned(3), others=("subtitle", "attachment"))
    (note,) = write_clip(tmp_path / "a.mp4", pan(3), clip, quality=50)
    assert note.endswith("no attachment, subtitle.")


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "prores", "ffv1"])
def test_odd_sides_keep_every_row(codec: ClipCodec, tmp_path: Path):
    frames = [frame[:47, :79] for frame in smooth(3)]
    path = tmp_path / ("a.mov" if codec == "prores" else "a.mkv")
    write_clip(path, frames, planned(3), codec=codec, quality=100)
    clip, found = again(path)
    assert clip.shape == (47, 79)
    level = found[2] / 257 if found[2].dtype == np.uint16 else found[2]
    assert np.abs(level - frames[2].astype(float)).mean() < 1


def test_a_width_that_an_encoder_does_not_take(tmp_path: Path):
    with pytest.raises(UserError, match="h265 takes 66 columns or more, not 64 x 64"):
        write_clip(tmp_path / "a.mp4", [texture(64)], planned(1), codec="h265", quality=9)


def test_odd_sides_that_a_codec_does_not_take(tmp_path: Path):
    with pytest.raises(UserError, match="av1 takes even sides, not 63 x 47"):
        write_clip(tmp_path / "a.mp4", [texture(64)[:47, :63]], planned(1), codec="av1", quality=9)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "h264"), ("mov", "h265"), ("webm", "vp9"), ("mkv", "ffv1"), ("mp4", "av1")],
)
def test_the_same_frames_make_the_same_bytes(suffix: str, codec: ClipCodec, tmp_path: Path):
    source = make_film(tmp_path / "a.mp4", zoom(20, 80))
    clip, frames = again(source)
    files = []
    for name in ("b", "c", "d"):
        path = tmp_path / f"{name}.{suffix}"
        write_clip(path, frames, clip, codec=codec, quality=80, comment="x")
        files.append(path.read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_a_comment_of_any_length_comes_back(suffix: str, tmp_path: Path):
    comment = '{"grün": "\\n\U0001f3a8"}\n' * 8000
    path = tmp_path / f"a.{suffix}"
    codec = CLIP_CODECS[suffix][0]  # type: ignore[index]
    write_clip(path, pan(2), planned(2), codec=codec, quality=50, comment=comment)
    assert read_comment(path) == comment


def test_a_better_quality_is_nearer(tmp_path: Path):
    frames, off = zoom(10), []
    for quality in (1, 30, 60, 90, 100):
        write_clip(tmp_path / "a.mp4", frames, planned(10), quality=quality)
        found = again(tmp_path / "a.mp4")[1]
        off.append(np.abs(np.stack(found).astype(float) - np.stack(frames)).mean())
    assert off == sorted(off, reverse=True)
    assert [rate_factor(quality, 51) for quality in (1, 80, 88, 100)] == [51, 23, 18, 1]


def boxes(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        found.append(kind)
        at += size
    return found


def test_an_mp4_begins_with_its_index_and_is_upright(tmp_path: Path):
    plain = make_film(tmp_path / "a.mp4", [frame[:80] for frame in pan(5, 96)])
    ffmpeg("-display_rotation", "90", "-i", plain, "-c", "copy", tmp_path / "b.mp4")
    clip, frames = again(tmp_path / "b.mp4")
    write_clip(tmp_path / "c.mp4", frames, clip, codec="h265", quality=90)
    data = (tmp_path / "c.mp4").read_bytes()
    assert boxes(data).index(b"moov") < boxes(data).index(b"mdat")
    assert b"hvc1" in data
    # tkhd: the matrix of the identity in fixed point (ISO/IEC 14496-12, 8.3.2).
    assert struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30) in data
    assert again(tmp_path / "c.mp4")[0].shape == (96, 80)


@pytest.mark.parametrize(
    ("name", "codec", "words"),
    [
        ("a.mp4", "prores", "does not take prores; choose h264 or h265"),
        ("a.avi", "h264", "choose one of .mp4, .mov, .mkv, .webm"),
        ("frames", "h264", "is not a film that can be written"),
    ],
)
def test_what_cannot_be_written(name: str, codec: ClipCodec, words: str, tmp_path: Path):
    with pytest.raises(UserError, match=words):
        check_codec(tmp_path / name, codec, (64, 64))


def test_an_encoder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    missing = dataclasses.replace(ENCODERS["h264"], name="libnothing")
    monkeypatch.setitem(clip_codecs.ENCODERS, "h264", missing)
    with pytest.raises(UserError, match=r"no encoder for h264 of 8 bits \(libnothing\)"):
        check_codec(tmp_path / "a.mp4", "h264", (64, 64))


def test_an_encoder_that_has_not_so_many_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shallow = dataclasses.replace(ENCODERS["h264"], name="mpeg4")
    monkeypatch.setitem(clip_codecs.ENCODERS, "h264", shallow)
    check_codec(tmp_path / "a.mp4", "h264", (64, 64), 8)
    with pytest.raises(UserError, match=r"no encoder for h264 of 10 bits"):
        check_codec(tmp_path / "a.mp4", "h264", (64, 64), 10)


class Stopped(BaseException):
    """As a signal raises it."""


@pytest.mark.parametrize("after", [0, 1, 7])
def test_what_breaks_off_leaves_what_was_there(after: int, tmp_path: Path):
    def broken() -> Iterator[Array]:
        yield from pan(after)
        raise Stopped

    (tmp_path / "a.mp4").write_bytes(b"before")
    with pytest.raises(Stopped):
        write_clip(tmp_path / "a.mp4", broken(), planned(20), quality=50)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


@pytest.mark.parametrize("count", [0, 3, 5])
def test_another_number_of_frames_is_refused(count: int, tmp_path: Path):
    with pytest.raises(ValueError, match=r"frame|argument"):
        write_clip(tmp_path / "a.mp4", pan(count), planned(4), quality=50)
    assert not list(tmp_path.iterdir())


def test_frames_of_another_size_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="the first"):
        write_clip(tmp_path / "a.mp4", [*pan(1), *pan(1, 32)], planned(2), quality=50)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_full_disk_is_an_oserror(suffix: str, tmp_path: Path):
    """A limit on the size of files stands for the disk."""
    noise: list[Any] = list(np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_clip(tmp_path / f"a.{suffix}", noise, planned(20), quality=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
