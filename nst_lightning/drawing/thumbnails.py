"""Small copies of images, made once. Imports no torch."""

from pathlib import Path

from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.files import exists
from nst_lightning.imaging.decoding import decode_on_white
from nst_lightning.imaging.encoding import save_image
from nst_lightning.imaging.metadata import image_size
from nst_lightning.settings.sizes import fit

Size = tuple[int, int]
"""(width, height) in pixels."""

_QUALITY = 82


def small_copy(original: Path, copy: Path, longest: int, *, max_pixels: int) -> Size | None:
    """Sees that there is a JPEG of an image, upright, in sRGB, on white where transparent.

    A copy that is at least as new as its image stays, and so does that of an image which is no
    longer there. Images are never enlarged.

    Args:
        longest: the longest side of the copy, in pixels.
        max_pixels: images of more pixels are not opened.

    Returns:
        The size of the copy; None where there is neither a readable image nor a copy.

    Raises:
        OSError: the copy cannot be written.
    """
    if not is_current(original, copy):
        try:
            image = decode_on_white(original, max_pixels=max_pixels, at_least=longest)
        except UserError:
            if exists(original):  # it was replaced by one that cannot be read
                return None
        else:
            height, width = fit(image.height, image.width, longest)
            image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
            save_image(copy, image, "JPEG", quality=_QUALITY, optimize=True)
    try:
        height, width = image_size(copy)
    except UserError:
        return None
    return width, height


def is_current(original: Path, copy: Path) -> bool:
    """Returns whether there is a copy that is no older than its image."""
    try:
        return copy.stat().st_mtime_ns >= original.stat().st_mtime_ns
    except OSError:
        return False
