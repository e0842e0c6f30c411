"""An image of a blend of styles: a strip of each, as wide as its share."""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nst_lightning.errors import UserError
from nst_lightning.files import file_state
from nst_lightning.imaging.decoding import decode_on_white
from nst_lightning.imaging.encoding import save_image
from nst_lightning.imaging.metadata import read_metadata

SIDE = 256

KEY = "blend"
"""The text chunk that says what it is of."""


def draw_swatch(path: Path, parts: Sequence[tuple[Path, float]], *, max_pixels: int) -> None:
    """Writes a square PNG with the middle of each image, where there is none of this blend yet.

    Args:
        path: where to; its folder is made if need be. Another file that stands there stays.
        parts: images with their shares, which sum to 1.
        max_pixels: images of more pixels are refused.

    Raises:
        OSError: it cannot be written.
    """
    made_of = json.dumps([[*file_state(image), share] for image, share in parts])
    if path.exists() and read_metadata(path).get(KEY, made_of) == made_of:
        return
    swatch = Image.new("RGB", (SIDE, SIDE), "grey")
    reached = 0.0
    for image, share in parts:
        left, right = round(SIDE * reached), round(SIDE * (reached + share))
        reached += share
        if right > left:
            try:
                strip = crop_middle(decode_on_white(image, max_pixels=max_pixels), right - left)
            except UserError:  # the pairs with it say so
                continue
            swatch.paste(strip, (left, 0))
    info = PngInfo()
    info.add_text(KEY, made_of)
    save_image(path, swatch, "PNG", pnginfo=info)


def is_swatch(path: Path) -> bool:
    """Returns whether a file is an image of a blend that was made here."""
    return KEY in read_metadata(path)


def crop_middle(image: Image.Image, width: int) -> Image.Image:
    """Returns the largest middle part of an image of the form width × `SIDE`, at that size."""
    form = min(image.width / width, image.height / SIDE)
    w, h = form * width, form * SIDE
    x, y = (image.width - w) / 2, (image.height - h) / 2
    return image.resize((width, SIDE), Image.Resampling.LANCZOS, box=(x, y, x + w, y + h))
