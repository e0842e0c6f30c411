"""Films as contents: found, looked through once, named, refused."""

import json
import os
import shutil
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_lightning import extras
from nst_lightning.errors import UserError
from nst_lightning.grid.clips import check_for_films, read_clips, with_frame_masks
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.layout import SCANS, STATE
from nst_lightning.settings import build
from nst_lightning.video import clip_reading
from tests.clips import make_film, pan

SETTINGS = build({})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    make_film(tmp_path / "clips" / "pan.mp4", pan(4, 32))
    (tmp_path / "out" / STATE).mkdir(parents=True)
    return tmp_path / "clips"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The films that are looked through, as they are."""
    seen: list[Path] = []
    scan = clip_reading.scan_clip

    def watched(path: Path, *rest: object, **more: object) -> object:
        seen.append(path)
        return scan(path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(clip_reading, "scan_clip", watched)
    return seen


def test_a_film_is_looked_through_once_until_it_changes(folder: Path, decoded: list[Path]):
    out, path = folder.parent / "out", folder / "pan.mp4"
    (first,), (second,) = (read_clips(folder, SETTINGS, out) for _ in range(2))
    assert first == second
    assert first.film
    assert first.film.clip.frames == 4
    assert decoded == [path]
    make_film(path, pan(5, 32))
    (changed,) = read_clips(folder, SETTINGS, out)
    assert changed.film
    assert changed.film.clip.frames == 5
    assert decoded == [path, path]


def test_a_folder_may_be_moved_and_another_take_its_place(folder: Path, decoded: list[Path]):
    out = folder.parent / "out"
    read_clips(folder, SETTINGS, out)
    moved = folder.rename(folder.with_name("moved"))
    (after,) = read_clips(moved, SETTINGS, out)
    assert after.film
    assert after.film.clip.path == moved / "pan.mp4"
    # Another one of the same name, size and date.
    decoded.clear()
    elsewhere = folder.with_name("elsewhere")
    shutil.copytree(moved, elsewhere)
    read_clips(elsewhere, SETTINGS, out)
    assert decoded == [elsewhere / "pan.mp4"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"clip": {}}', bytes(100), b'{"clip": null, "cuts": [1]}']
)
def test_a_damaged_note_costs_a_look(folder: Path, decoded: list[Path], data: bytes):
    out = folder.parent / "out"
    first = read_clips(folder, SETTINGS, out)
    (note,) = (out / SCANS).iterdir()
    note.write_bytes(data)
    assert read_clips(folder, SETTINGS, out) == first
    assert len(decoded) == 2


def test_a_film_whose_name_is_no_text_is_remembered(folder: Path, decoded: list[Path]):
    path = folder / os.fsdecode(b"pan-\xff.mp4")
    (folder / "pan.mp4").rename(path)
    for _ in range(2):
        (found,) = read_clips(folder, SETTINGS, folder.parent / "out")
        assert found.film
        assert found.film.clip.path == path
    assert len(decoded) == 1


def test_folders_of_frames_stand_beside_films(folder: Path, tmp_path: Path):
    (folder / "v1.2").mkdir()
    for number, frame in enumerate(pan(2, 32)):
        Image.fromarray(frame).save(folder / "v1.2" / f"{number}.png")
    found = read_clips(folder, SETTINGS, tmp_path / "out")
    assert [one.name for one in found] == ["v1.2", "pan"]
    assert [one.film and one.film.clip.frames for one in found] == [2, 4]


def test_masks_are_one_for_each_frame(folder: Path, tmp_path: Path):
    masks, images = tmp_path / "masks", ImageReader(SETTINGS.max_pixels)
    masks.mkdir()
    for number in range(4):
        Image.fromarray(np.full((32, 32), 255, np.uint8)).save(masks / f"{number}.png")
    sources = read_clips(folder, SETTINGS, tmp_path / "out")
    (masked,) = with_frame_masks(sources, masks, images)
    assert masked.film
    assert [one.name for one in masked.film.masks] == ["0.png", "1.png", "2.png", "3.png"]
    (masks / "3.png").unlink()
    (refused,) = with_frame_masks(sources, masks, images)
    assert refused.problem == (
        f"{masks}: holds 3 masks, and {folder / 'pan.mp4'} has 4 frames; give one for each frame."
    )
    with pytest.raises(UserError, match="there is no such folder"):
        with_frame_masks(sources, tmp_path / "nowhere", images)


@pytest.mark.parametrize("package", ["av", "cv2"])
def test_what_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch):
    found = util.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(UserError, match=rf"films need {package}, .*'nst-lightning\[video\]'"):
        check_for_films(SETTINGS)


def test_what_is_remembered_is_json(folder: Path):
    out = folder.parent / "out"
    read_clips(folder, SETTINGS, out)
    (note,) = (out / SCANS).iterdir()
    assert json.loads(note.read_bytes())["cuts"] == []
