"""Large images as tiles at many sizes, so that a viewer loads what it shows. Imports no torch."""

import math
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from nst_lightning.drawing.thumbnails import Size
from nst_lightning.imaging.bands import (
    Bands,
    check_readable,
    divisible,
    regrouped,
    stacked,
    strips_on_white,
)
from nst_lightning.imaging.decoding import decode_on_white
from nst_lightning.imaging.encoding import save_image
from nst_lightning.imaging.opening import opened
from nst_lightning.layout import ZOOM_WHOLE, tile_name

TILE = 512
"""Side of a tile, in pixels; those at the right and at the bottom are smaller."""

WHOLE = 2560
"""Longest side of the copy of the whole: it is the first level that is no larger."""

_JPEG = {"quality": 90, "subsampling": 0}
"""Colours at full resolution, as in the JPEGs of results."""


def write_tiles(original: Path, folder: Path, *, max_pixels: int) -> Size:
    """Writes the tiles of an image, at its own size (level 0) and at half of the one before, down
    to one tile, and a small copy of the whole.

    The image is read some rows at a time, from top to bottom, and each level is made of the rows of
    the one before; see `Bands` for the memory that takes.

    Args:
        original: the image.
        folder: which gets them.
        max_pixels: an image of more pixels is not opened.

    Returns:
        The size of the image.

    Raises:
        UserError: it cannot be read.
        OSError: a tile cannot be written.
    """
    with opened(original, max_pixels) as image:
        check_readable(original, image, max_pixels)
        if divisible(image) and (bands := Bands(image, original, max_pixels)).turn is None:
            size = (bands.width, bands.height)
            _write_levels(strips_on_white(bands, TILE), size, folder)
            return size
    whole = decode_on_white(original, max_pixels=max_pixels)
    _write_levels(regrouped([whole], TILE), whole.size, folder)
    return whole.size


def levels(size: Size) -> int:
    """Returns how many levels an image has."""
    return 1 + max(0, math.ceil(math.log2(max(size) / TILE)))


def _write_levels(strips: Iterator[Image.Image], size: Size, folder: Path) -> None:
    whole: list[Image.Image] = []
    copied = max(0, math.ceil(math.log2(max(size) / WHOLE)))
    for level in range(levels(size)):
        strips = _write_level(strips, folder, level, whole if level == copied else None)
    for _ in strips:  # each draws the rows that it needs from the level before
        pass
    save_image(folder / ZOOM_WHOLE, stacked(whole), "JPEG", **_JPEG)


def _write_level(
    strips: Iterator[Image.Image], folder: Path, level: int, whole: list[Image.Image] | None
) -> Iterator[Image.Image]:
    """Writes a row of tiles for each strip and yields the strips of the next level.

    Args:
        whole: gets the strips, if it is there.
    """
    halves: list[Image.Image] = []
    for row, strip in enumerate(strips):
        for column in range(-(-strip.width // TILE)):
            left = column * TILE
            tile = strip.crop((left, 0, min(left + TILE, strip.width), strip.height))
            save_image(folder / tile_name(level, column, row), tile, "JPEG", **_JPEG)
        if whole is not None:
            whole.append(strip)
        halves.append(strip.reduce(2))
        if len(halves) == 2:
            yield stacked(halves)
            halves = []
    if halves:
        yield stacked(halves)
