"""Images from files to tensors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageFile
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.imaging.bands import Bands, check_readable, in_bands
from nst_lightning.imaging.conversion import Decoded
from nst_lightning.imaging.decoding import decode_opened
from nst_lightning.imaging.metadata import image_size
from nst_lightning.imaging.opening import opened, upright_size
from nst_lightning.imaging.resize import BandResizer, resize
from nst_lightning.settings.sizes import fit

_TURNS: dict[Image.Transpose, tuple[bool, tuple[int, ...]]] = {
    Image.Transpose.FLIP_LEFT_RIGHT: (False, (-1,)),
    Image.Transpose.ROTATE_180: (False, (-2, -1)),
    Image.Transpose.FLIP_TOP_BOTTOM: (False, (-2,)),
    Image.Transpose.TRANSPOSE: (True, ()),
    Image.Transpose.ROTATE_270: (True, (-1,)),
    Image.Transpose.TRANSVERSE: (True, (-2, -1)),
    Image.Transpose.ROTATE_90: (True, (-2,)),
}
"""Pillow's turns: whether height and width are swapped, and what is then flipped."""


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
    return read_resized(path, None, max_pixels=max_pixels)


def read_resized(
    path: Path | str,
    size: tuple[int, int] | None,
    *,
    how: str = "bicubic",
    max_pixels: int = MAX_PIXELS,
) -> LoadedImage:
    """Reads an image and brings it to a size, as `read_image` and `resize` do.

    A large one that is to become no larger is resized while it is read, so that it is never in
    memory as a whole, where the file allows it (see `Bands`).

    Args:
        size: (height, width) of the result; None keeps the image's own.
        how: see `resize`.
        max_pixels: images of more pixels are refused.

    Raises:
        UserError: see `read_image`.
    """
    with opened(path, max_pixels) as image:
        if in_bands(image):
            check_readable(path, image, max_pixels)
            own = upright_size(image)
            height, width = size or own
            if height <= own[0] and width <= own[1]:
                return _resized_in_bands(image, path, (height, width), how, max_pixels)
        loaded = to_tensors(decode_opened(image, path, max_pixels), path)
    return loaded if size is None else resized(loaded, *size, how=how)


def resized(image: LoadedImage, height: int, width: int, *, how: str = "bicubic") -> LoadedImage:
    """Returns an image at a size; see `resize`."""
    alpha = None if image.alpha is None else resize(image.alpha, height, width, how=how)
    return LoadedImage(resize(image.rgb, height, width, how=how), alpha)


def _resized_in_bands(
    image: ImageFile.ImageFile,
    path: Path | str,
    size: tuple[int, int],
    how: str,
    max_pixels: int,
) -> LoadedImage:
    pixel = 16 if image.has_transparency_data else 12
    check_readable(path, image, max_pixels, beside=size[0] * size[1] * pixel)
    bands = Bands(image, path, max_pixels)
    clear = image.has_transparency_data  # a PNG may say so behind its pixels
    whole = (bands.height, bands.width)
    sideways = bands.turn is not None and _TURNS[bands.turn][0]
    stored = (size[1], size[0]) if sideways else size
    with _within_memory(path):
        rgb = BandResizer(3, whole, stored, how)
        alpha = BandResizer(1, whole, stored, how) if clear else None
    opaque = True
    for band in bands:
        loaded = to_tensors(band, path)
        rgb.add(loaded.rgb)
        if alpha is not None:
            opaque = opaque and loaded.alpha is None
            alpha.add(torch.ones_like(loaded.rgb[:, :1]) if loaded.alpha is None else loaded.alpha)
    return LoadedImage(
        _turned(rgb.image(), bands.turn),
        None if opaque or alpha is None else _turned(alpha.image(), bands.turn),
    )


@contextmanager
def _within_memory(name: Path | str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch raises the latter when memory is short
        raise UserError(f"{name}: does not fit into this machine's memory.") from error


def to_tensors(decoded: Decoded, name: Path | str) -> LoadedImage:
    """Converts an image from Pillow's form to tensors.

    Raises:
        UserError: it holds NaN or infinity, or does not fit into memory; the message begins with
            `name`.
    """
    with _within_memory(name):
        rgb = _tensor(decoded.colour)
        alpha = None if decoded.alpha is None else _tensor(decoded.alpha)
        if decoded.colour.mode == "F":  # all others hold levels of 8 bits
            if not bool(rgb.isfinite().all()):
                raise UserError(
                    f"{name}: holds values that are not finite numbers (NaN or infinity)."
                )
            rgb.clamp_(0, 1)
        return LoadedImage(rgb.expand(1, 3, -1, -1).contiguous(), alpha)


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
    shape = None if size is None else fit(*image_size(path, max_pixels=max_pixels), size, upscale)
    return read_resized(path, shape, max_pixels=max_pixels).rgb


def _turned(image: Tensor, turn: Image.Transpose | None) -> Tensor:
    """Turns (1, C, H, W) as Pillow turns an image."""
    if turn is None:
        return image
    sideways, flipped = _TURNS[turn]
    return (image.transpose(-1, -2) if sideways else image).flip(flipped).contiguous()


def _tensor(image: Image.Image) -> Tensor:
    """Converts "RGB", "L" or "F" to (1, C, H, W), float32, 8-bit values divided by 255."""
    deep = image.mode == "F"
    data = torch.frombuffer(
        bytearray(image.tobytes()), dtype=torch.float32 if deep else torch.uint8
    )
    pixels = data.view(1, image.height, image.width, -1).permute(0, 3, 1, 2).contiguous()
    return pixels if deep else pixels.float().div_(255)
