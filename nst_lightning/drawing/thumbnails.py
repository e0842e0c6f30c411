"""Small copies of pictures, made once. Imports no torch."""

import io
from pathlib import Path

from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.files import atomic_file
from nst_lightning.imaging.decoding import decode
from nst_lightning.imaging.metadata import image_size
from nst_lightning.settings.sizes import fit

Size = tuple[int, int]
"""(width, height) in pixels."""

_QUALITY = 82


def small_copy(picture: Path, copy: Path, longest: int, *, max_pixels: int) -> Size | None:
    """Sees that there is a JPEG of a picture, upright, in sRGB, on white where transparent.

    A copy that is at least as new as its picture stays, and so does that of a picture which is no
    longer there. Pictures are never enlarged.

    Args:
        longest: the longest side of the copy, in pixels.
        max_pixels: pictures of more pixels are not opened.

    Returns:
        The size of the copy; None where there is neither a readable picture nor a copy.

    Raises:
        OSError: the copy cannot be written.
    """
    if not _current(picture, copy):
        try:
            image = read_flattened(picture, max_pixels=max_pixels, at_least=longest)
        except UserError:
            if picture.exists():  # it was replaced by one that cannot be read
                return None
        else:
            height, width = fit(image.height, image.width, longest)
            image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
            # Encoded in memory: Pillow, writing to a file by itself, may lose the error number.
            data = io.BytesIO()
            image.save(data, "JPEG", quality=_QUALITY, optimize=True)
            with atomic_file(copy) as file:
                file.write(data.getbuffer())
    try:
        height, width = image_size(copy)
    except UserError:
        return None
    return width, height


def read_flattened(path: Path, *, max_pixels: int, at_least: int | None = None) -> Image.Image:
    """Returns an image as 8-bit sRGB, upright, on white where it is transparent; see `decode`.

    Raises:
        UserError: it cannot be read.
    """
    decoded = decode(path, max_pixels=max_pixels, at_least=at_least)
    picture = decoded.colour
    if picture.mode == "F":
        picture = picture.point(lambda value: value * 255 + 0.5).convert("L").convert("RGB")
    if decoded.alpha is not None:
        white = Image.new("RGB", picture.size, "white")
        picture = Image.composite(picture, white, decoded.alpha)
    return picture


def _current(picture: Path, copy: Path) -> bool:
    try:
        return copy.stat().st_mtime_ns >= picture.stat().st_mtime_ns
    except OSError:
        return False
