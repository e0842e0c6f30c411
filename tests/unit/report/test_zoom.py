"""The pages of large results: when they are made, and what else knows of them."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from nst_lightning.cli.app import app
from nst_lightning.drawing import tiles
from nst_lightning.imaging import encoding
from nst_lightning.imaging.metadata import Metadata
from nst_lightning.imaging.reading import read_image
from nst_lightning.imaging.writing import write_image
from nst_lightning.report import zoom
from nst_lightning.report.gallery import write_gallery
from nst_lightning.store.records import Record
from tests.results_folder import flat, record, write_manifest

OUTPUT = "c at/50% #1.png"
SIZE = (150, 100)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small(monkeypatch)
    flat(tmp_path / "c.png", (10, 20, 30))
    put(tmp_path / "out", (200, 10, 20))
    return tmp_path / "out"


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoom, "ZOOM_FROM", 120)
    for module in (zoom, tiles):
        monkeypatch.setattr(module, "TILE", 64)


def put(out: Path, colour: tuple[int, ...], size: tuple[int, int] = SIZE) -> Record:
    one = record(
        OUTPUT, "../c.png", "../c.png", fingerprint="f",
        resolved={"width": size[0], "height": size[1]},
    )  # fmt: skip
    flat(out / OUTPUT, colour, size)
    image = read_image(out / OUTPUT).rgb
    write_image(out / OUTPUT, image, None, Metadata({"nst-lightning": one.text()}))
    write_manifest(out, [one])
    return one


def folder(out: Path) -> Path:
    return out / "gallery" / "zoom" / OUTPUT


def files(out: Path) -> dict[str, int]:
    found = (path for path in folder(out).rglob("*") if path.is_file())
    return {path.relative_to(folder(out)).as_posix(): path.stat().st_mtime_ns for path in found}


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def shown(out: Path) -> dict[str, Any]:
    result: dict[str, Any] = data_of(out / "index.html")["results"][0]
    return result


def test_a_large_result_has_tiles_and_a_page(out: Path):
    write_gallery(out)
    assert set(files(out)) == {
        "index.html", "whole.jpg", "0/0-0.jpg", "0/1-0.jpg", "0/2-0.jpg", "0/0-1.jpg",
        "0/1-1.jpg", "0/2-1.jpg", "1/0-0.jpg", "1/1-0.jpg", "2/0-0.jpg",
    }  # fmt: skip
    assert data_of(folder(out) / "index.html") == {
        "width": 150, "height": 100, "tile": 64, "levels": 3, "back": "../../../../index.html",
        "file": "../../../../c%20at/50%25%20%231.png",
    }  # fmt: skip
    assert (shown(out)["zoom"], shown(out)["thumb"]) == (True, [150, 100])
    large = out / "gallery" / "large" / f"{OUTPUT}.jpg"
    with Image.open(large) as image:
        assert image.size == (150, 100)


def test_an_ordinary_result_has_none(out: Path):
    put(out, (1, 2, 3), (120, 100))
    write_gallery(out)
    assert not (out / "gallery" / "zoom").exists()
    assert shown(out)["zoom"] is False
    put(out, (1, 2, 3))
    write_gallery(out)
    assert len(files(out)) == 11
    put(out, (1, 2, 3), (120, 100))
    write_gallery(out)
    assert not files(out), "what showed the large one is gone"


def test_they_are_made_again_where_the_result_is_another(out: Path):
    write_gallery(out)
    before = files(out)
    write_gallery(out)
    assert files(out) == before
    put(out, (20, 10, 200), (130, 50))
    later = max(before.values()) + 5 * 10**9
    os.utime(out / OUTPUT, ns=(later, later))
    os.utime(out / "index.html", ns=(later, later))
    write_gallery(out)
    after = files(out)
    assert set(after) == {
        "index.html", "whole.jpg", "0/0-0.jpg", "0/1-0.jpg", "0/2-0.jpg", "1/0-0.jpg", "1/1-0.jpg",
        "2/0-0.jpg",
    }, "no tile of before"  # fmt: skip
    with Image.open(folder(out) / "0" / "0-0.jpg") as tile:
        pixel = tile.getpixel((9, 9))
    assert isinstance(pixel, tuple)
    assert pixel[2] > 150 > pixel[0]


@pytest.mark.parametrize("count", range(9))
def test_a_page_stands_only_where_all_its_tiles_do(
    out: Path, monkeypatch: pytest.MonkeyPatch, count: int
):
    write_gallery(out)
    whole = set(files(out))
    put(out, (20, 10, 200))
    later = max(files(out).values()) + 5 * 10**9
    os.utime(out / OUTPUT, ns=(later, later))
    left = count

    def interrupted(path: Path, data: bytes) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    monkeypatch.setattr(encoding, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_gallery(out)
    assert not (folder(out) / "index.html").exists()
    assert len(files(out)) == count
    monkeypatch.undo()
    small(monkeypatch)
    write_gallery(out)
    assert set(files(out)) == whole


def test_a_result_that_is_replaced_meanwhile_has_no_page_yet(
    out: Path, monkeypatch: pytest.MonkeyPatch
):
    def replaced(original: Path, place: Path, *, max_pixels: int) -> tuple[int, int]:
        size = tiles.write_tiles(original, place, max_pixels=max_pixels)
        put(out, (1, 2, 3), (125, 125))
        return size

    monkeypatch.setattr(zoom, "write_tiles", replaced)
    write_gallery(out)
    assert not (folder(out) / "index.html").exists()
    assert shown(out)["zoom"] is False
    monkeypatch.setattr(zoom, "write_tiles", tiles.write_tiles)
    write_gallery(out)
    assert data_of(folder(out) / "index.html")["width"] == 125


def test_a_result_that_cannot_be_read_is_missing(out: Path):
    (out / OUTPUT).write_bytes((out / OUTPUT).read_bytes()[:60])
    write_gallery(out)
    assert (shown(out)["state"], shown(out)["zoom"]) == ("missing", False)


def test_a_result_beyond_the_limit_of_its_inputs_is_shown(out: Path):
    one = put(out, (1, 2, 3)).with_facts(settings={"max_pixels": 100})
    write_manifest(out, [one])
    write_gallery(out)
    assert shown(out)["zoom"] is True


def test_clean_removes_them_and_nothing_else(out: Path):
    write_gallery(out)
    (folder(out) / "0" / "notes.txt").write_text("mine")
    (out / "gallery" / "results" / "index.html").write_text("mine")
    done = CliRunner().invoke(app, ["clean", str(out), "--yes"])
    assert done.exit_code == 0, done.output
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert left == {f"gallery/zoom/{OUTPUT}/0/notes.txt", "gallery/results/index.html"}


@pytest.mark.parametrize("size", [SIZE, (20, 20)])
def test_nothing_is_written_or_removed_through_a_link(
    out: Path, tmp_path: Path, size: tuple[int, int]
):
    put(out, (1, 2, 3), size)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.jpg").write_text("")
    folder(out).parent.mkdir(parents=True)
    folder(out).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a link that leads out of"):
        write_gallery(out)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["mine.jpg"]
