"""The strips and tiles of a TIFF, one by one, against Pillow's decoding of the whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from nst_lightning.imaging import tiff_pieces
from nst_lightning.imaging.opening import opened
from nst_lightning.imaging.tiff_pieces import TiffPieces, find_pieces

RNG = np.random.default_rng(3)
SIZE = (45, 37)
RGB = Image.fromarray(RNG.integers(0, 256, (37, 45, 3), dtype=np.uint8))
GRAY = RGB.getchannel("R")

KINDS: dict[str, tuple[Callable[[], Image.Image], dict[str, Any]]] = {
    "plain": (lambda: RGB, {}),
    "lzw": (lambda: RGB, {"compression": "tiff_lzw"}),
    "differences": (lambda: RGB, {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    "deflate": (lambda: RGB, {"compression": "tiff_adobe_deflate"}),
    "packbits": (lambda: RGB, {"compression": "packbits"}),
    "jpeg": (lambda: RGB, {"compression": "jpeg"}),
    "alpha": (lambda: with_alpha(), {"compression": "tiff_lzw"}),
    "gray": (lambda: GRAY, {"compression": "tiff_lzw"}),
    "deep": (lambda: GRAY.convert("I;16"), {"compression": "tiff_lzw"}),
    "plain deep": (lambda: GRAY.convert("I;16"), {}),
    "palette": (lambda: RGB.quantize(30), {"compression": "tiff_lzw"}),
    "ink": (lambda: RGB.convert("CMYK"), {"compression": "tiff_lzw"}),
    "lab": (lambda: RGB.convert("LAB"), {"compression": "tiff_lzw"}),
    "video": (lambda: RGB.convert("YCbCr"), {"compression": "jpeg"}),
    "bits": (lambda: GRAY.convert("1"), {"compression": "tiff_lzw"}),
    "plain bits": (lambda: GRAY.convert("1"), {}),
    "fax": (lambda: GRAY.convert("1"), {"compression": "group4"}),
    "big": (lambda: RGB, {"compression": "tiff_lzw", "big_tiff": True}),
}


def with_alpha() -> Image.Image:
    image = RGB.copy()
    image.putalpha(GRAY)
    return image


def pieces_of(image: ImageFile.ImageFile) -> TiffPieces:
    found = find_pieces(image, 10**6)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [100, 1500, 10**6])  # bytes of a strip
def test_every_region_of_every_kind_is_as_in_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, size: int
):
    monkeypatch.setattr(tiff_pieces, "PLAIN_STRIP", size)
    make, options = KINDS[kind]
    if options.get("compression") == "jpeg":
        size = max(size, 1100)  # of 8 rows or more
    path = tmp_path / "a.tif"
    make().save(path, strip_size=size, **options)
    with Image.open(path) as image:
        image.load()
        whole = image.copy()
    with opened(path, 10**6) as image:
        pieces = pieces_of(image)
        if size == 100 and kind not in ("fax", "bits", "plain bits"):
            assert pieces.count > 10, "in many strips"
        for box in (
            (0, 0, *SIZE),
            (3, 2, 45, 36),
            (0, 17, 45, 18),
            (44, 36, 45, 37),
            (7, 0, 9, 37),
        ):
            region = pieces.region(*box)
            expected = whole.crop(box)
            assert region.mode == expected.mode
            assert region.size == expected.size
            assert region.convert("RGBA").tobytes() == expected.convert("RGBA").tobytes(), box


def test_the_order_of_bytes_and_of_planes(tmp_path: Path):
    tifffile = pytest.importorskip("tifffile")
    colours = np.asarray(RGB)
    deep = RNG.integers(0, 65536, (37, 45), dtype=np.uint16)
    written: list[tuple[np.ndarray, dict[str, Any]]] = [
        (deep, {"byteorder": ">"}),
        (deep, {"byteorder": ">", "tile": (16, 16)}),
        (colours, {"tile": (16, 32), "compression": "zlib"}),
        (colours, {"bigtiff": True, "tile": (16, 32)}),
        (colours.transpose(2, 0, 1), {"planarconfig": "separate", "rowsperstrip": 5}),
        (colours.transpose(2, 0, 1), {"planarconfig": "separate", "tile": (16, 16)}),
    ]
    for number, (pixels, options) in enumerate(written):
        path = tmp_path / f"{number}.tif"
        head = {name: options.pop(name) for name in ("byteorder", "bigtiff") if name in options}
        with tifffile.TiffWriter(path, **head) as file:
            file.write(pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **options)
        with opened(path, 10**6) as image:
            region = pieces_of(image).region(5, 6, 40, 30)
        expected = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels
        assert np.array_equal(np.asarray(region), expected[6:30, 5:40]), options


def test_what_has_no_pieces_of_its_own(tmp_path: Path):
    RGB.save(tmp_path / "a.png")
    RGB.save(tmp_path / "a.tif", compression="tiff_lzw", strip_size=500)
    with opened(tmp_path / "a.png", 10**6) as image:
        assert find_pieces(image, 10**6) is None
    for changed in ({279: (5,)}, {273: (8, 9)}, {322: 16, 323: 16, 324: (8,), 325: "x"}, {259: 6}):
        with opened(tmp_path / "a.tif", 10**6) as image:
            for tag, value in changed.items():
                image.tag_v2[tag] = value  # type: ignore[attr-defined]
            found = find_pieces(image, 10**6)
        assert found is None, changed


def test_a_piece_that_is_cut_short_is_an_error(tmp_path: Path):
    path = tmp_path / "a.tif"
    RGB.save(path, compression="tiff_lzw", strip_size=500)
    with opened(path, 10**6) as image:
        pieces = pieces_of(image)
        pieces.offsets = [*pieces.offsets[:-1], path.stat().st_size - 3]
        pieces.region(0, 0, 45, 2)
        with pytest.raises(OSError, match="truncated"):
            pieces.region(0, 30, 45, 37)
