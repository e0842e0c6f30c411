"""Whatever is wrong with a film is said in one sentence that begins with its path."""

import os
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from nst_lightning import extras
from nst_lightning.errors import UserError
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.video import clip_opening
from nst_lightning.video.clip_reading import read_comment, read_frames, scan_clip
from tests.clips import ffmpeg, make_film, pan


def refusal(path: Path, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(UserError) as caught:
        scan_clip(path, max_pixels)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_no_such_file(tmp_path: Path):
    assert "no such file" in refusal(tmp_path / "a.mp4")


def test_an_empty_file(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"")
    assert "is empty" in refusal(tmp_path / "a.mp4")


def test_an_empty_folder(tmp_path: Path):
    assert "no numbered frames" in refusal(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.mp4")
    assert "not a regular file" in refusal(tmp_path / "a.mp4")
    assert "not a regular file" in refusal(Path("/dev/zero"))


@pytest.mark.parametrize(
    "data",
    [
        b"Once upon a time\n" * 100,
        bytes(range(256)) * 20,
        b"#EXTM3U\n#EXTINF:1,\nfile.ts\n",
        b"ffconcat version 1.0\nfile other.mp4\n",
        b"\x89PNG\r\n\x1a\n" + bytes(300),
    ],
)
def test_what_is_no_film(data: bytes, tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(data)
    assert "is not a film" in refusal(tmp_path / "a.mp4")


def test_an_image_is_no_film(tmp_path: Path):
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "1", tmp_path / "a.png")
    assert "is not a film" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi", "a.webm"])
@pytest.mark.parametrize("fast", [True, False])
def test_a_copy_that_broke_off(name: str, fast: bool, tmp_path: Path):
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    film = make_film(tmp_path / name, pan(20), codec=codec)
    if fast and name in ("a.mp4", "a.mov"):
        ffmpeg("-i", film, "-c", "copy", "-movflags", "+faststart", tmp_path / f"fast-{name}")
        film = tmp_path / f"fast-{name}"
    assert scan_clip(film, MAX_PIXELS).frames == 20
    data = film.read_bytes()
    for share in (0.3, 0.9):
        film.write_bytes(data[: int(len(data) * share)])
        assert "cut short" in refusal(film)
    film.write_bytes(data[:-1])
    assert "1 bytes are missing" in refusal(film)
    film.write_bytes(data + b"\0" * 100)  # more than needed does no harm
    assert scan_clip(film, MAX_PIXELS).frames == 20


@pytest.mark.parametrize(("name", "format"), [("a.ts", "0"), ("a.m2ts", "1")])
def test_a_stream_of_packets_that_broke_off(name: str, format: str, tmp_path: Path):
    whole = make_film(tmp_path / "a.mp4", pan(20))
    film = tmp_path / name
    ffmpeg("-i", whole, "-c", "copy", "-f", "mpegts", "-mpegts_m2ts_mode", format, film)
    data = film.read_bytes()
    packet = 192 if name == "a.m2ts" else 188
    assert len(data) % packet == 0
    assert scan_clip(film, MAX_PIXELS).frames == 20
    film.write_bytes(data[: len(data) // 2 // packet * packet + 100])
    assert f"cut short, {packet - 100} bytes are missing" in refusal(film)
    film.write_bytes(data + b"\0" * 100)
    assert scan_clip(film, MAX_PIXELS).frames == 20


def test_no_index(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2\0\0\0\x08free")
    assert "cut short or damaged" in refusal(tmp_path / "a.mp4")


def test_damage_in_the_middle_is_told_with_its_place(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(40), options={"g": "10", "bf": "0"})
    with av.open(str(film)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    place, size = packets[20].pos, packets[20].size
    assert place is not None
    data = bytearray(film.read_bytes())
    data[place : place + size] = b"\xff" * size
    film.write_bytes(data)
    message = refusal(film)
    assert "is damaged after frame" in message
    assert 10 <= int(message.partition("after frame ")[2].split()[0]) <= 20


def test_only_sound(tmp_path: Path):
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", tmp_path / "a.mp4")
    assert "no moving image" in refusal(tmp_path / "a.mp4")


def test_the_cover_of_an_album_is_no_film(tmp_path: Path):
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "sine=duration=1",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=64x48",
        "-frames:v",
        "1",
        "-disposition:v:0",
        "attached_pic",
        "-c:v",
        "png",
        tmp_path / "a.mp4",
    )
    assert "no moving image" in refusal(tmp_path / "a.mp4")


def test_no_frames(tmp_path: Path):
    header = b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n"
    (tmp_path / "a.y4m").write_bytes(header)
    assert "has no frames" in refusal(tmp_path / "a.y4m")


def test_a_size_that_changes(tmp_path: Path):
    parts = []
    for side in (64, 48):
        part = tmp_path / f"{side}.h264"
        ffmpeg("-i", make_film(tmp_path / f"{side}.mp4", pan(10, side)), "-c", "copy", part)
        parts.append(part.read_bytes())
    (tmp_path / "a.h264").write_bytes(b"".join(parts))
    assert "from 64 x 64 to 48 x 48 pixels at frame 11;" in refusal(tmp_path / "a.h264")


def test_too_many_pixels(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(3))
    assert scan_clip(film, 64 * 64).shape == (64, 64)
    assert "--max-pixels 4096" in refusal(film, 64 * 64 - 1)


def test_an_unknown_codec(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(3))
    data = film.read_bytes()
    assert data.count(b"avc1\0\0") == 1
    film.write_bytes(data.replace(b"avc1\0\0", b"zzzz\0\0"))
    assert "codec is not known" in refusal(film)


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert "pip install 'nst-lightning[video]'" in refusal(tmp_path / "a.mp4")


def test_a_film_that_is_gone(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(3))
    clip = scan_clip(film, MAX_PIXELS)
    film.unlink()
    with pytest.raises(UserError, match="no such file"):
        list(read_frames(clip, 0, 3))


def test_tags_that_are_not_utf8_do_no_harm(tmp_path: Path):
    film = make_film(tmp_path / "a.mp4", pan(3))
    ffmpeg("-i", film, "-c", "copy", "-metadata", "title=QQQQ", tmp_path / "b.mp4")
    data = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data.replace(b"QQQQ", b"\xff\xfe\xe4\xfc"))
    assert scan_clip(tmp_path / "b.mp4", MAX_PIXELS).frames == 3


def test_what_is_no_film_has_no_comment(tmp_path: Path):
    (tmp_path / "a.mp4").write_text("text")
    assert read_comment(tmp_path / "a.mp4") == read_comment(tmp_path / "none.mp4") == ""


def test_a_stream_that_comes_up_later_ends_nothing():
    """PyAV 16 to 18 raise IndexError behind the last packet then."""

    class Container:
        def demux(self, streams: list[str]) -> Iterator[str]:
            yield from streams
            raise IndexError

    assert list(clip_opening.packets_of(Container(), ["a", "b"])) == ["a", "b"]  # type: ignore
