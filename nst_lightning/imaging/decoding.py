"""Image files → upright pixels in sRGB and their alpha, as Pillow images. Imports no torch."""

from pathlib import Path

from PIL import Image, ImageFile

from nst_lightning.imaging.bands import Bands, check_readable, in_bands, strips_on_white
from nst_lightning.imaging.conversion import Conversion, Decoded, on_white
from nst_lightning.imaging.opening import as_sentences, check_memory, check_size, load, opened


def decode(path: Path | str, *, max_pixels: int, at_least: int | None = None) -> Decoded:
    """Reads an image: its first frame or page, upright, in sRGB.

    Gray of 16 or 32 bits keeps its depth unless a colour profile has to be applied; Pillow reads
    colour of 16 bits a channel as 8.

    Args:
        max_pixels: more pixels are refused.
        at_least: a JPEG may be decoded at a fraction of its size, both sides no less than this.

    Raises:
        UserError: the file is not an image that can be read, or has too many pixels.
    """
    with opened(path, max_pixels) as image:
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        return decode_opened(image, path, max_pixels)


def decode_image(image: Image.Image, name: str, *, max_pixels: int) -> Decoded:
    """Converts an image that Pillow holds, as `decode` does a file's: upright, in sRGB.

    Its EXIF orientation and colour profile are those in its `info`, which Pillow keeps in copies.

    Args:
        image: of any mode, its pixels decoded or not yet.
        name: what messages call it.
        max_pixels: more pixels are refused.

    Raises:
        UserError: its file is damaged or closed, it has no pixels or too many.
    """
    with as_sentences(name, max_pixels):
        check_size(name, image, max_pixels)
        return decode_opened(image, name, max_pixels)


def decode_on_white(
    path: Path | str, *, max_pixels: int, at_least: int | None = None
) -> Image.Image:
    """Reads an image as 8-bit sRGB, upright, on white where it is transparent.

    Args:
        max_pixels: more pixels are refused.
        at_least: it may be decoded at a fraction of its size, both sides no less than this.

    Raises:
        UserError: it cannot be read.
    """
    with opened(path, max_pixels) as image:
        if at_least is not None:
            image.draft(None, (at_least, at_least))
            factor = min(image.size) // at_least
            if factor > 1 and in_bands(image):
                return _reduced_on_white(image, path, max_pixels, factor)
        return on_white(decode_opened(image, path, max_pixels))


def decode_opened(image: Image.Image, path: Path | str, max_pixels: int) -> Decoded:
    """Decodes an image that Pillow has opened; see `decode`."""
    check_memory(path, image)
    # Pillow turns a TIFF itself.
    convert = Conversion(image, path)
    turn = None if image.format == "TIFF" else convert.turn
    load(image, max_pixels)
    return convert(image if turn is None else image.transpose(turn))


def _reduced_on_white(
    image: ImageFile.ImageFile, path: Path | str, max_pixels: int, factor: int
) -> Image.Image:
    """Decodes an image some rows at a time, at a fraction of its size: means of squares."""
    check_readable(path, image, max_pixels)
    bands = Bands(image, path, max_pixels)
    small = Image.new("RGB", (-(-bands.width // factor), -(-bands.height // factor)))
    for number, strip in enumerate(strips_on_white(bands, 128 * factor)):
        small.paste(strip.reduce(factor), (0, 128 * number))
    return small if bands.turn is None else small.transpose(bands.turn)
