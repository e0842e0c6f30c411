"""Continuing a result beyond its border, over what enters with the motion."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.video.warping import inside, places, warp

FURTHER_IN = 0.25
"""How far in strokes for beyond the border are taken from, by each side of the image."""


def continued(image: Tensor, flow: Tensor) -> Tensor:
    """Samples an image at p + flow(p) as `warp` does, with strokes outside it, too.

    There, `warp` continues the border, whose every pixel is drawn out into a line. This takes
    strokes from further in, and brings them to the colours that the lines have on average around
    them: so there is no seam at the border.

    Args:
        image: (1, 3, H, W), of any range.
        flow: (1, 2, H, W) in pixels (x, y).

    Returns:
        (1, 3, H, W); see `warp` for its range.
    """
    lines = warp(image, flow)
    outside = 1 - inside(flow)
    if not bool(outside.any()):
        return lines
    strokes = warp(image, further_in(flow))
    shift = around((lines - strokes) * outside) / around(outside).clamp(min=1e-6)
    return torch.where(outside > 0, strokes + shift, lines)


def further_in(flow: Tensor) -> Tensor:
    """Returns a flow (1, 2, H, W) that leads to places inside the image: those outside it are moved
    in by a quarter of the side, or as many quarters as it takes."""
    there = places(flow)
    moved = [_inner(at, size) - at for at, size in zip(there, flow.shape[:1:-1], strict=True)]
    return flow + torch.stack(moved, dim=1)


def around(values: Tensor) -> Tensor:
    """Returns the means of values (1, C, H, W) over boxes of a quarter of each side, 0 outside."""
    height, width = (int(FURTHER_IN * size) // 2 * 2 + 1 for size in values.shape[-2:])
    for box in ((1, width), (height, 1)):
        values = F.avg_pool2d(values, box, 1, (box[0] // 2, box[1] // 2))
    return values


def _inner(at: Tensor, size: int) -> Tensor:
    """Returns places along a side of so many pixels, those outside it moved in."""
    by = max(1.0, FURTHER_IN * size)
    return at + by * ((-at / by).clamp(min=0).ceil() - ((at - (size - 1)) / by).clamp(min=0).ceil())
