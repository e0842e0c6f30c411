"""Resizing batches of images."""

import torch.nn.functional as F
from torch import Tensor


def resize(image: Tensor, height: int, width: int, *, how: str = "bicubic") -> Tensor:
    """Resizes an image, in float32 whatever the input, and clamps to [0, 1].

    At the size it already has an image keeps its values.

    Args:
        image: (B, C, H, W), in [0, 1].
        height: of the result.
        width: of the result.
        how: `bicubic`, with antialiasing; or `bilinear`, from the four nearest pixels.

    Returns:
        (B, C, height, width), float32.

    Raises:
        ValueError: a side is below 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"sides must be at least 1, not {height} x {width}")
    image = image.float()
    if image.shape[-2:] == (height, width):
        return image
    return F.interpolate(
        image, (height, width), mode=how, antialias=how == "bicubic", align_corners=False
    ).clamp(0, 1)
