"""`nst-batch` with other formats, depths, sizes and finishes."""

import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from nst_lightning.store.output import record_in_image

from .conftest import EXAMPLES, Nst, pixels, put

STYLE = EXAMPLES / "styles" / "woodcut.jpg"
QUICK = ("--steps", 3, "--size", 64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """One photograph with a date and a position, one without, of 160 pixels."""
    folder = put(EXAMPLES / "contents" / "chelsea.jpg", tmp_path / "photos", ["кот.jpg"], 160)
    put(EXAMPLES / "contents" / "rocket.jpg", folder, ["rocket.png"], 160)
    with Image.open(folder / "кот.jpg") as image:
        exif = image.getexif()
        exif[Base.DateTime] = "2024:05:06 07:08:09"
        exif[IFD.GPSInfo] = {int(GPS.GPSLatitudeRef): "N", int(GPS.GPSLatitude): (48.0, 31.0, 12.0)}
        image.load()
        image.save(folder / "кот.jpg", exif=exif)
    return folder


def position(path: Path) -> dict[int, object]:
    with Image.open(path) as image:
        return dict(image.getexif().get_ifd(IFD.GPSInfo))


def test_a_grid_in_another_format(nst: Nst, photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    written = (
        "--format",
        "tiff",
        "--bit-depth",
        16,
        "--finish",
        "detail",
        "--keep-exif",
        "--save-every",
        3,
    )
    grid = ("grid", photos, STYLE, "-o", out, *QUICK, *written)
    first = nst(*grid, "--json")
    assert first.returncode == 0, first.stderr
    names = ["rocket/woodcut.tif", "кот/woodcut.tif"]
    assert json.loads(first.stdout)["done"] == names
    for line in (out / "manifest.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert (record["resolved"]["width"], record["resolved"]["height"]) == (160, 160)
        carried = record_in_image(out / record["output"])
        assert carried is not None
        assert record == carried.data() | {"bytes": (out / record["output"]).stat().st_size}
    with Image.open(out / names[1]) as image:
        assert image.size == (160, 160)
        assert image.getexif()[Base.DateTime] == "2024:05:06 07:08:09"
    assert position(out / names[1])[GPS.GPSLatitudeRef] == "N"
    assert position(out / names[0]) == {}
    assert pixels(out / "кот" / "woodcut" / "step-0003.png").shape == (64, 64, 3)

    # Done is done, also where the manifest is lost; other ways to write it are refused by name.
    (out / "manifest.jsonl").unlink()
    again = json.loads(nst(*grid, "--json").stdout)
    assert (again["done"], again["skipped"]) == ([], 2)
    refused = nst(*grid, "--no-keep-exif")
    assert refused.returncode == 2
    assert "keep_exif True instead of False" in refused.stderr

    assert nst("report", out).returncode == 0
    status = json.loads(nst("status", out, "--json").stdout)
    assert (status["done"], status["waiting"]) == (names, [])
    (out / "mine.txt").write_text("stays")
    assert nst("clean", out, "--yes").returncode == 0
    assert [p.name for p in out.rglob("*") if p.is_file()] == ["mine.txt"]


def test_a_file_is_of_the_format_of_its_name(nst: Nst, photos: Path, tmp_path: Path):
    out = tmp_path / "one.webp"
    run = ("run", photos / "кот.jpg", STYLE, "-o", out, "--size", "original", "--steps", 2)
    made = nst(*run, "--quality", 100, "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["resolved"]["width"] == 160
    with Image.open(out) as image:
        assert (image.format, image.size) == ("WEBP", (160, 160))
    assert position(out) == {}
    again = nst(*run, "--quality", 100, "--json")
    assert json.loads(again.stdout)["skipped"] is True
    # At the content's own size there is no detail to add.
    detail = nst(*run[:4], tmp_path / "detail.webp", *run[5:], "--quality", 100, "--finish=detail")
    assert detail.returncode == 0, detail.stderr
    assert (pixels(tmp_path / "detail.webp") == pixels(out)).all()


def test_a_study_in_another_format(nst: Nst, photos: Path, tmp_path: Path):
    out = tmp_path / "out"
    study = ("texture", photos / "rocket.png", "--layers", "conv_1", "--seeds", 1, "-o", out)
    made = nst(*study, "--size", "50%", "--steps", 2, "--format", "webp", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["done"] == ["rocket/conv_1/seed-0.webp"]
    assert (out / "rocket" / "figure.png").is_file()
