"""TIFFs in strips and tiles, BigTIFFs, and PNGs that are written some rows at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.ExifTags import IFD, Base

from nst_lightning.imaging import png_writing, tiff_writing, writing
from nst_lightning.imaging.levels import LevelRows, to_levels
from nst_lightning.imaging.metadata import Metadata, read_metadata
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.reading import read_image
from nst_lightning.imaging.writing import write_image

ABOUT = Metadata(
    {"nst-lightning": '{"content": "日本"}'},
    {int(Base.Make): "Maker", int(IFD.Exif): {int(Base.LensModel): "50mm"}},
    srgb_profile(),
)
LAYOUTS = {
    "strips": {"STRIP_PIXELS": 500},
    "one strip": {},
    "tiles": {"TILED_FROM": 0, "TILE": 16},
    "big strips": {"STRIP_PIXELS": 500, "CLASSIC_BYTES": 0},
    "big tiles": {"TILED_FROM": 0, "TILE": 16, "CLASSIC_BYTES": 0},
    "one tile": {"TILED_FROM": 0, "CLASSIC_BYTES": 0},
}


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def put(path: Path, channels: int = 3, **options: Any) -> torch.Tensor:
    """Writes noise with all that can be said of it, and returns its levels."""
    image = noise(channels, 53, 45)
    alpha = image[3:] if channels == 4 else None
    write_image(path, image[:3], alpha, ABOUT, **options)
    bits, dither = options.get("bits", 8), options.get("dither", False)
    levels = to_levels(image[:3], bits, dither=dither)
    return levels if alpha is None else torch.cat([levels, to_levels(alpha, bits)])


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = str(request.param)
    for constant, value in LAYOUTS[name].items():
        monkeypatch.setattr(tiff_writing, constant, value)
    return name


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_another_program_reads_every_level_of_a_tiff(
    tmp_path: Path, layout: str, channels: int, bits: int
):
    tifffile = pytest.importorskip("tifffile")
    levels = put(tmp_path / "a.tif", channels, format="tiff", bits=bits, dither=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff == (layout.startswith("big") or layout == "one tile")
        page = file.pages[0]
        assert page.is_tiled == ("tile" in layout)
        assert len(page.dataoffsets) == {"strips": 5, "big strips": 5}.get(
            layout, 12 if layout.endswith("tiles") else 1
        )
        assert page.predictor == 2
        assert np.array_equal(page.asarray(), levels.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_pixels_and_all_that_is_said_of_them_come_back(
    tmp_path: Path, layout: str, channels: int, bits: int
):
    path = tmp_path / "a.tif"
    levels = put(path, channels, format="tiff", bits=bits)
    loaded = read_image(path)
    found = [loaded.rgb, *([loaded.alpha] if loaded.alpha is not None else [])]
    assert torch.equal((torch.cat(found, 1)[0] * 255).round().int(), levels.int() >> (bits - 8))
    assert read_metadata(path) == ABOUT.texts
    with Image.open(path) as image:
        exif = image.getexif()
        assert exif[Base.Make] == "Maker"
        assert exif.get_ifd(IFD.Exif)[Base.LensModel] == "50mm"
        assert image.info["icc_profile"] == srgb_profile()
    data = path.read_bytes()
    assert put(path, channels, format="tiff", bits=bits) is not None
    assert path.read_bytes() == data, "the same always"
    path.write_bytes(data[:-1])
    assert read_metadata(path) == {}, "it is not whole"


def test_what_may_pass_4_gib_is_a_bigtiff():
    for side, big in ((30_000, False), (37_000, False), (37_900, True)):
        image = torch.zeros(1).expand(3, side, side)
        assert tiff_writing._plan(LevelRows(image)).big is big
    deep = torch.zeros(1).expand(3, 30_000, 30_000)
    assert tiff_writing._plan(LevelRows(deep, bits=16)).big
    small = tiff_writing._plan(LevelRows(torch.zeros(3, 8192, 8192)))
    assert (small.tiled, small.height) == (False, 128)
    assert tiff_writing._plan(LevelRows(torch.zeros(3, 8192, 8193))).tiled


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("rows", [1, 10, 99])
def test_a_png_written_some_rows_at_a_time_is_as_pillows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, rows: int
):
    put(tmp_path / "a.png", channels, dither=True)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        expected = image.tobytes(), image.info, dict(image.getexif())
    monkeypatch.setattr(writing, "_STREAMED_FROM", 0)
    monkeypatch.setattr(png_writing, "_BAND_PIXELS", 45 * rows)
    put(tmp_path / "a.png", channels, dither=True)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert (image.tobytes(), image.info, dict(image.getexif())) == expected
    assert read_metadata(tmp_path / "a.png") == ABOUT.texts


def test_the_chunks_of_a_png_are_of_one_mebibyte_and_more():
    parts = [b"a" * 700_000, b"b" * 700_000, b"", b"c" * 3_000_000, b"d"]
    chunks = list(png_writing._in_chunks(iter(parts)))
    assert b"".join(chunks) == b"".join(parts)
    assert list(map(len, chunks)) == [1_400_000, 3_000_000, 1]


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_fault_half_way_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
):
    monkeypatch.setattr(writing, "_STREAMED_FROM", 0)
    monkeypatch.setattr(png_writing, "_BAND_PIXELS", 45)
    monkeypatch.setattr(tiff_writing, "STRIP_PIXELS", 45)
    path = tmp_path / "a"
    path.write_bytes(b"old")
    image = noise(3, 53, 45)
    image[0, 40] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        write_image(path, image, format=format)
    assert [(p, p.read_bytes()) for p in tmp_path.iterdir()] == [(path, b"old")]
