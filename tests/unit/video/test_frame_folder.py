"""Folders of numbered frames are clips."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.imaging.metadata import Metadata, read_metadata
from nst_lightning.video.clip_reading import Array, read_frames, scan_clip
from nst_lightning.video.frame_folder import gaps, is_frame_folder
from nst_lightning.video.frames_writing import write_frames_folder
from tests.clips import disc, pan


def filled(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, frame in zip(names, pan(len(names), 16), strict=True):
        Image.fromarray(frame).save(folder / name)
    return folder


def test_frames_are_read_in_order_of_their_numbers(tmp_path: Path):
    names = ["shot 2.png", "shot 10.png", "shot 9.png", "shot 0100.png"]
    clip = scan_clip(filled(tmp_path / "a", *names), MAX_PIXELS, rate=Fraction(24))
    frames = dict(zip(names, pan(4, 16), strict=True))
    order = ["shot 2.png", "shot 9.png", "shot 10.png", "shot 0100.png"]
    assert [path.name for path in clip.images] == order
    assert (clip.shape, clip.rate, clip.seconds) == ((16, 16), Fraction(24), Fraction(4, 24))
    assert clip.audio == ()
    for found, name in zip(read_frames(clip, 0, 4), order, strict=True):
        np.testing.assert_array_equal(found, frames[name])
    np.testing.assert_array_equal(next(read_frames(clip, 2, 3)), frames[order[2]])


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 2, 3), []),
        ((0, 2, 4), []),
        ((7,), []),
        ((1, 2, 4), [(3, 3)]),
        ((1, 2, 10, 11, 13), [(3, 9), (12, 12)]),
        ((0, 10, 40), [(20, 30)]),
        ((1, 3, 6), [(2, 2), (4, 5)]),
        ((0, 4, 7), [(1, 3), (5, 6)]),
    ],
)
def test_numbers_that_are_left_out_are_found(
    numbers: tuple[int, ...], expected: list[tuple[int, int]], tmp_path: Path
):
    folder = filled(tmp_path / "a", *(f"{number:03d}.png" for number in numbers))
    assert gaps(scan_clip(folder, MAX_PIXELS)) == expected


def test_the_scan_shows_them(tmp_path: Path):
    shown: list[tuple[int, Array]] = []
    folder = filled(tmp_path / "a", "1.png", "2.png")
    scan_clip(folder, MAX_PIXELS, lambda index, frame: shown.append((index, frame)))
    assert [index for index, _ in shown] == [0, 1]
    np.testing.assert_array_equal(shown[1][1], pan(2, 16)[1])


def test_frames_are_upright(tmp_path: Path):
    folder = tmp_path / "a"
    folder.mkdir()
    exif = Image.Exif()
    exif[274] = 6  # Orientation: turned to the right to be upright
    for number, frame in enumerate(pan(2, 16)):
        Image.fromarray(frame[:8]).save(folder / f"{number}.png", exif=exif)
    clip = scan_clip(folder, MAX_PIXELS)
    assert clip.shape == (16, 8)
    np.testing.assert_array_equal(next(read_frames(clip, 0, 1)), np.rot90(pan(2, 16)[0][:8], -1))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a1.png", "a2.jpg"], True),
        (["a1.png"], False),
        (["a1.png", "b1.png"], False),
        (["a1.png", "a2.png", "cover.png"], True),
        (["one.png", "two.png"], False),
        ([], False),
    ],
)
def test_what_is_a_folder_of_frames(names: list[str], expected: bool, tmp_path: Path):
    assert is_frame_folder(filled(tmp_path / "a", *names)) is expected


def test_a_folder_with_a_film_is_none_nor_is_a_file(tmp_path: Path):
    folder = filled(tmp_path / "a", "1.png", "2.png")
    (folder / "b.MP4").touch()
    assert not is_frame_folder(folder)
    assert not is_frame_folder(folder / "1.png")
    assert not is_frame_folder(tmp_path / "none")


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        scan_clip(folder, MAX_PIXELS)
    return str(caught.value)


def test_bad_folders_are_told_in_a_sentence(tmp_path: Path):
    folder = filled(tmp_path / "a", "1.png", "2.png", "3.png")
    Image.new("RGB", (17, 16)).save(folder / "3.png")
    assert refusal(folder).startswith(f"{folder / '3.png'}: is 17 x 16 pixels and the frames")
    (folder / "3.png").write_bytes(b"text")
    assert refusal(folder).startswith(f"{folder / '3.png'}: is not an image")
    twice = filled(tmp_path / "b", "1.png", "01.png")
    assert "has the same number as" in refusal(twice)
    several = filled(tmp_path / "c", "a1.png", "b1.png", "a2.png")
    assert "more than one clip (a1.png, b1.png)" in refusal(several)
    with pytest.raises(UserError, match="--max-pixels"):
        scan_clip(filled(tmp_path / "d", "1.png"), 255)


def test_a_frame_that_changes_later_is_noticed(tmp_path: Path):
    clip = scan_clip(filled(tmp_path / "a", "1.png", "2.png"), MAX_PIXELS)
    Image.new("RGB", (8, 8)).save(clip.images[1])
    with pytest.raises(UserError, match="has changed"):
        list(read_frames(clip, 0, 2))


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (8, np.uint16), (16, np.uint16)])
def test_frames_are_written_as_pngs(bits: int, kind: type, tmp_path: Path):
    frames: list[Array] = [
        frame.astype(kind) * (257 if kind is np.uint16 else 1) for frame in disc(3, 16)
    ]
    count = write_frames_folder(
        tmp_path / "a", frames, bits=bits, metadata=Metadata(texts={"comment": "x"})
    )
    paths = sorted((tmp_path / "a").iterdir())
    assert (count, [path.name for path in paths]) == (3, ["000001.png", "000002.png", "000003.png"])
    for path, frame in zip(paths, disc(3, 16), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), frame)
        assert path.read_bytes()[24] == bits  # IHDR
        assert read_metadata(path)["comment"] == "x"


def test_frames_of_a_longer_clip_are_removed(tmp_path: Path):
    write_frames_folder(tmp_path, disc(5, 16))
    (tmp_path / "mine.png").touch()
    write_frames_folder(tmp_path, disc(2, 16))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["000001.png", "000002.png", "mine.png"]
