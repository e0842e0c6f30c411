"""Images too large to be decoded as a whole: some rows at a time. Imports no torch."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image, ImageFile

from nst_lightning.imaging.conversion import Conversion, Decoded, on_white
from nst_lightning.imaging.opening import PIXEL_BYTES, check_memory, load
from nst_lightning.imaging.tiff_pieces import find_pieces

LARGE = 1 << 26
"""Pixels above which an image is read some rows at a time: 8192 x 8192."""

BAND_PIXELS = 1 << 23
"""Pixels that are decoded at a time, where the file's own pieces are no larger."""

WHOLE_BYTES = {"PNG": 5, "GIF": 5, "BMP": 8, "TIFF": 8, "JPEG": 12, "WEBP": 17}
"""Memory for each pixel of an image that Pillow decodes as a whole, as measured at 9,000 x 9,000
pixels: 4 of its own, and the coefficients of a progressive JPEG or what WebP's decoder makes."""

_BY_WHOLE_IMAGE = ("I", "F")
"""Modes whose values are read by what the largest of them is."""


class Bands:
    """An opened image as bands of rows, from top to bottom, each decoded when it is its turn.

    A TIFF is read from its file piece by piece; of others Pillow holds the decoded whole, in 1 to
    4 bytes a pixel.

    Args:
        image: opened, not decoded.
        name: what messages call it.
        max_pixels: that it may have.
    """

    def __init__(self, image: ImageFile.ImageFile, name: Path | str, max_pixels: int) -> None:
        self.image = image
        self.max_pixels = max_pixels
        self.pieces = find_pieces(image, max_pixels)
        self.convert = Conversion(image, name)
        self.turn = self.convert.turn
        """What makes the bands, put together, upright."""
        if self.pieces is not None:
            self.width, self.height = self.pieces.image_width, self.pieces.image_height
        else:
            load(image, max_pixels)
            self.width, self.height = image.size
            if image.format == "TIFF":  # Pillow turns it itself
                self.turn = None

    def __iter__(self) -> Iterator[Decoded]:
        rows = max(1, BAND_PIXELS // self.width)
        if self.pieces is not None:  # no piece twice
            rows = max(self.pieces.height, rows - rows % self.pieces.height)
        for top in range(0, self.height, rows):
            box = (0, top, self.width, min(top + rows, self.height))
            yield self.convert(
                self.image.crop(box) if self.pieces is None else self.pieces.region(*box)
            )


def divisible(image: Image.Image) -> bool:
    """Returns whether an opened image can be read some rows at a time."""
    return image.mode not in _BY_WHOLE_IMAGE


def in_bands(image: Image.Image) -> bool:
    """Returns whether an opened image is so large that it is read some rows at a time."""
    return image.width * image.height > LARGE and divisible(image)


def check_readable(
    path: Path | str, image: ImageFile.ImageFile, max_pixels: int, beside: int = 0
) -> None:
    """Sees that an image can be read into the memory of this machine, in bands where it is large.

    Args:
        path: of the image.
        image: opened, not decoded.
        max_pixels: that it may have.
        beside: bytes of what is made of the bands.

    Raises:
        UserError: it takes more.
    """
    if not in_bands(image):
        check_memory(path, image)
        return
    pieces = find_pieces(image, max_pixels)
    band = max(BAND_PIXELS, image.width * (pieces.height if pieces else 1)) * PIXEL_BYTES
    whole = 0 if pieces else image.width * image.height * WHOLE_BYTES[image.format or ""]
    check_memory(path, image, band + whole + beside)


def strips_on_white(bands: Iterable[Decoded], rows: int) -> Iterator[Image.Image]:
    """Yields bands as RGB of 8 bits a channel, on white where they are transparent.

    Args:
        rows: of each strip but the last, however many the bands have.
    """
    return regrouped(map(on_white, bands), rows)


def regrouped(images: Iterable[Image.Image], rows: int) -> Iterator[Image.Image]:
    """Yields images that lie below one another in strips of so many rows; the last has the rest."""
    waiting: list[Image.Image] = []
    for image in images:
        top = 0
        while top < image.height:
            missing = rows - sum(strip.height for strip in waiting)
            bottom = min(top + missing, image.height)
            waiting.append(image.crop((0, top, image.width, bottom)))
            if bottom - top == missing:
                yield stacked(waiting)
                waiting = []
            top = bottom
    if waiting:
        yield stacked(waiting)


def stacked(strips: list[Image.Image]) -> Image.Image:
    """Returns images of one width and mode below one another."""
    if len(strips) == 1:
        return strips[0]
    whole = Image.new(strips[0].mode, (strips[0].width, sum(strip.height for strip in strips)))
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    return whole
