"""Tensors to picture files."""

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nst_lightning.files import atomic_file
from nst_lightning.imaging.encode import png_texts


def to_uint8(image: Tensor) -> Tensor:
    """[0, 1] → 0 ... 255: clamped, then rounded to the nearest level, ties to the even one.

    Args:
        image: (..., H, W), floating point; half precisions are computed in float32.

    Raises:
        TypeError: not floating point.
        ValueError: it holds NaN.
    """
    if not image.is_floating_point():
        raise TypeError(f"a floating-point picture is expected, not {image.dtype}")
    if bool(image.isnan().any()):
        raise ValueError("the picture holds NaN, which is no colour")
    if image.dtype in (torch.float16, torch.bfloat16):
        image = image.float()
    return image.detach().clamp(0, 1).mul(255).round().to(torch.uint8)


def write_png(
    path: Path,
    rgb: Tensor,
    alpha: Tensor | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes an 8-bit sRGB PNG that is seen whole or not at all; its folder is made if need be.

    Args:
        rgb: (3, H, W) or (1, 3, H, W), in [0, 1] or already uint8.
        alpha: (1, H, W) or (1, 1, H, W), likewise.
        metadata: text chunks, by keyword of 1 to 79 Latin-1 characters.

    Raises:
        ValueError: a shape does not fit, NaN, or a keyword that PNG does not allow.
        OSError: the file cannot be written; what was there before is still there.
    """
    pixels = _levels(rgb, 3, "rgb")
    if alpha is not None:
        opacity = _levels(alpha, 1, "alpha")
        if opacity.shape[-2:] != pixels.shape[-2:]:
            raise ValueError(f"alpha is {tuple(alpha.shape)}, rgb is {tuple(rgb.shape)}")
        pixels = torch.cat([pixels, opacity])
    channels, height, width = pixels.shape
    image = Image.frombytes(
        "RGB" if channels == 3 else "RGBA",
        (width, height),
        pixels.permute(1, 2, 0).contiguous().numpy().tobytes(),
    )
    # Encoded in memory: Pillow, writing to a file by itself, may lose the system's error number.
    data = io.BytesIO()
    info = png_texts(metadata or {})
    info.add(b"sRGB", b"\x01")  # relative colorimetric
    image.save(data, "PNG", pnginfo=info)
    with atomic_file(path) as file:
        file.write(data.getbuffer())


def _levels(image: Tensor, channels: int, name: str) -> Tensor:
    """→ (channels, H, W), uint8, on the CPU."""
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] != channels or 0 in image.shape:
        raise ValueError(f"{name} must be ({channels}, H, W), not {tuple(image.shape)}")
    image = image.detach().cpu()
    return image if image.dtype == torch.uint8 else to_uint8(image)
