"""Tiles: together they are the image, at its own size and at every half of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning import UserError
from nst_lightning.drawing import tiles
from nst_lightning.drawing.tiles import levels, write_tiles
from nst_lightning.imaging import bands, tiff_writing
from nst_lightning.imaging.tiff_pieces import find_pieces
from nst_lightning.imaging.writing import write_image
from nst_lightning.layout import ZOOM_WHOLE, tile_name


def smooth(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Colours that differ everywhere, and that a JPEG keeps."""
    across = np.linspace(0, 255, width)[None].repeat(height, 0)
    down = np.linspace(255, 0, height)[:, None].repeat(width, 1)
    image = Image.fromarray(np.stack([across, down, (across + down) / 2], -1).astype(np.uint8))
    if mode == "RGBA":
        image.putalpha(128)
    return image.convert(mode)


def together(folder: Path, level: int, width: int, height: int) -> Image.Image:
    whole = Image.new("RGB", (width, height))
    for row in range(-(-height // tiles.TILE)):
        for column in range(-(-width // tiles.TILE)):
            with Image.open(folder / tile_name(level, column, row)) as tile:
                whole.paste(tile, (column * tiles.TILE, row * tiles.TILE))
    return whole


def apart(one: Image.Image, other: Image.Image) -> int:
    assert one.size == other.size
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE", 64)
    monkeypatch.setattr(tiles, "WHOLE", 100)
    monkeypatch.setattr(bands, "BAND_PIXELS", 300 * 50)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("width", "height"), [(300, 211), (64, 500), (65, 64), (30, 20), (256, 1)])
def test_every_level_is_half_of_the_one_before(tmp_path: Path, width: int, height: int):
    image = smooth(width, height)
    image.save(tmp_path / "a.png")
    assert write_tiles(tmp_path / "a.png", tmp_path / "out", max_pixels=10**6) == (width, height)
    count, expected = levels((width, height)), image
    for level in range(count):
        assert apart(together(tmp_path / "out", level, *expected.size), expected) < 10
        last, expected = expected.size, expected.reduce(2)
    assert max(last) <= 64
    assert count == 1 or 2 * max(last) > 64
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ZOOM_WHOLE, *map(str, range(count)),
    }  # fmt: skip
    with Image.open(tmp_path / "out" / ZOOM_WHOLE) as whole:
        assert max(whole.size) <= 100
        assert max(whole.size) > 50 or whole.size == (width, height)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.tif", "RGB", {"compression": "tiff_lzw"}),
        ("a.png", "RGBA", {}),
        ("a.jpg", "RGB", {"quality": 95, "subsampling": 0}),
        ("turned.tif", "RGB", {"tiffinfo": {274: 6}}),
        ("float.tif", "F", {}),
    ],
)
def test_whatever_can_be_read_has_tiles(
    tmp_path: Path, name: str, mode: str, options: dict[str, Any]
):
    shown = smooth(300, 211)
    stored = shown.convert("L") if mode == "F" else smooth(300, 211, mode)
    if mode == "F":
        stored, shown = stored.convert("F").point(lambda v: v / 255), stored.convert("RGB")
    if mode == "RGBA":
        shown = Image.blend(Image.new("RGB", shown.size, "white"), shown, 128 / 255)
    if "turned" in name:
        shown = shown.transpose(Image.Transpose.ROTATE_270)
    stored.save(tmp_path / name, **options)
    assert write_tiles(tmp_path / name, tmp_path / "out", max_pixels=10**6) == shown.size
    assert apart(together(tmp_path / "out", 0, *shown.size), shown) < 12


def test_an_image_that_cannot_be_read_has_none(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match="damaged"):
        write_tiles(tmp_path / "a.png", tmp_path / "out", max_pixels=10**6)
    assert not (tmp_path / "out").exists()


def test_a_tiff_is_never_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiff_writing, "TILED_FROM", 0)
    monkeypatch.setattr(bands, "BAND_PIXELS", 1)
    write_image(tmp_path / "a.tif", torch.zeros(1).expand(3, 9000, 600), format="tiff")
    regions: list[int] = []

    def noted(*args: Any) -> Any:
        pieces = find_pieces(*args)
        assert pieces is not None
        decode = pieces.region

        def part(left: int, top: int, right: int, bottom: int) -> Image.Image:
            regions.append((right - left) * (bottom - top))
            return decode(left, top, right, bottom)

        pieces.region = part  # type: ignore[method-assign]
        return pieces

    monkeypatch.setattr(bands, "find_pieces", noted)
    write_tiles(tmp_path / "a.tif", tmp_path / "out", max_pixels=10**7)
    assert max(regions) == 600 * tiff_writing.TILE
    assert sum(regions) == 600 * 9000, "each row once"
