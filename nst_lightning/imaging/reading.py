"""Images from files to tensors."""

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.imaging.decoding import Decoded, decode
from nst_lightning.imaging.resize import resize
from nst_lightning.settings.sizes import fit


@dataclass(frozen=True)
class LoadedImage:
    """An image as it is to be looked at: upright, in sRGB."""

    rgb: Tensor
    """(1, 3, H, W), float32 in [0, 1]."""

    alpha: Tensor | None
    """(1, 1, H, W), float32 in [0, 1]; None where the image is opaque."""


def read_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Reads an image in one of `FORMATS`: its first frame or page.

    The EXIF orientation is applied, an embedded colour profile is converted to sRGB (one that is
    broken is passed over with a warning), gray and palettes become RGB. Colour under transparent
    pixels is left as it is stored.

    Raises:
        UserError: the file is absent, unreadable, no image, damaged, or has more than
            `max_pixels`; the message begins with `path`.
    """
    return to_tensors(decode(path, max_pixels=max_pixels), path)


def to_tensors(decoded: Decoded, name: Path | str) -> LoadedImage:
    """Converts an image from Pillow's form to tensors.

    Raises:
        UserError: it holds NaN or infinity, or does not fit into memory; the message begins with
            `name`.
    """
    try:
        rgb = _tensor(decoded.colour)
        alpha = None if decoded.alpha is None else _tensor(decoded.alpha)
        if decoded.colour.mode == "F":  # all others hold levels of 8 bits
            if not bool(rgb.isfinite().all()):
                raise UserError(
                    f"{name}: holds values that are not finite numbers (NaN or infinity)."
                )
            rgb.clamp_(0, 1)
        return LoadedImage(rgb.expand(1, 3, -1, -1).contiguous(), alpha)
    except (MemoryError, RuntimeError) as error:  # torch raises the latter when memory is short
        raise UserError(f"{name}: does not fit into this machine's memory.") from error


def load_image(
    path: Path | str,
    size: int | None = None,
    *,
    upscale: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> Tensor:
    """Reads an image as (1, 3, H, W), float32 in [0, 1], sRGB, upright; alpha is left out.

    Args:
        size: what the longest side becomes, in pixels; None keeps the image's own.
        upscale: enlarge an image that is smaller than `size`, which is left alone otherwise.
        max_pixels: images of more pixels are refused.

    Raises:
        UserError: see `read_image`; or `size` is below 1.
    """
    if size is not None and size < 1:
        raise UserError(f"size is {size}: name a number of pixels, 1 or more.")
    rgb = read_image(path, max_pixels=max_pixels).rgb
    return resize(rgb, *fit(rgb.shape[-2], rgb.shape[-1], size, upscale))


def _tensor(image: Image.Image) -> Tensor:
    """Converts "RGB", "L" or "F" to (1, C, H, W), float32, 8-bit values divided by 255."""
    deep = image.mode == "F"
    data = torch.frombuffer(
        bytearray(image.tobytes()), dtype=torch.float32 if deep else torch.uint8
    )
    pixels = data.view(1, image.height, image.width, -1).permute(0, 3, 1, 2).contiguous()
    return pixels if deep else pixels.float().div_(255)
