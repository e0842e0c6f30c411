"""Moving images along a flow."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(image: Tensor, flow: Tensor, mode: Literal["bicubic", "bilinear"] = "bicubic") -> Tensor:
    """Samples an image at p + flow(p).

    Where the flow is of whole pixels, the very values of the image are returned; a flow of zeros
    returns the image. Outside the image, its border is continued.

    Args:
        image: (1, C, H, W), of any range.
        flow: (1, 2, H, W) in pixels (x, y).
        mode: `bicubic` keeps details, and may leave the range of the image's values: clamp what is
            to be seen. `bilinear` stays within.

    Returns:
        (1, C, H, W).
    """
    height, width = image.shape[-2:]
    x, y = places(flow)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    sampled = F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)
    # The grid is rounded, by some 1e-5 pixels: too much for a film that has to stand still.
    column, row = x.round().clamp(0, width - 1).long(), y.round().clamp(0, height - 1).long()
    whole = (x == x.round()) & (y == y.round())
    return torch.where(whole[:, None], image[:, :, row[0], column[0]], sampled)


MARGIN = 0.1
"""Pixels by which a place may lie outside an image: noise moves the borders of still frames."""


def inside(flow: Tensor) -> Tensor:
    """Says which pixels come from within the image: between the centres of its outermost pixels, or
    at most 0.1 px beyond.

    Args:
        flow: (1, 2, H, W) in pixels (x, y).

    Returns:
        (1, 1, H, W) in {0, 1}, float32.
    """
    height, width = flow.shape[-2:]
    x, y = places(flow)
    across = (x >= -MARGIN) & (x <= width - 1 + MARGIN)
    down = (y >= -MARGIN) & (y <= height - 1 + MARGIN)
    return (across & down)[:, None].float()


def places(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Returns where the pixels of (1, 2, H, W) come from: x and y, each (1, H, W)."""
    height, width = flow.shape[-2:]
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)
    return columns + flow[:, 0], rows[:, None] + flow[:, 1]
