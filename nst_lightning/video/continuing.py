"""Continuing a result beyond its border, over what enters with the motion."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.video.warping import MARGIN, inside, places, warp

FURTHER_IN = 0.25
"""How far in strokes for beyond the border are taken from, by each side of the image."""


def continued(image: Tensor, flow: Tensor) -> Tensor:
    """Samples an image at p + flow(p) as `warp` does, with strokes outside it, too.

    There, `warp` continues the border, whose every pixel is drawn out into a line. This takes
    strokes from further in, and brings them to the colours that the lines have on average around
    them, so that no other colours begin at the border.

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
    shift = sums_around((lines - strokes) * outside) / sums_around(outside).clamp(min=1)
    return torch.where(outside > 0, strokes + shift.to(lines), lines)


def further_in(flow: Tensor) -> Tensor:
    """Returns a flow (1, 2, H, W) that leads to places inside the image: those outside it are moved
    in by a quarter of the side, or as many quarters as it takes."""
    there = places(flow)
    moved = [_inner(at, size) - at for at, size in zip(there, flow.shape[:1:-1], strict=True)]
    return flow + torch.stack(moved, dim=1)


def sums_around(values: Tensor) -> Tensor:
    """Returns the sums of values (1, C, H, W) over the boxes of a quarter of each side around all
    pixels, in float64."""
    values = values.double()
    for side in (-1, -2):
        values = values.transpose(-1, side)
        reach, size = int(FURTHER_IN * values.shape[-1]) // 2, values.shape[-1]
        sums = F.pad(values, (reach + 1, reach)).cumsum(dim=-1)
        values = (sums[..., -size:] - sums[..., :size]).transpose(-1, side)
    return values


def _inner(at: Tensor, size: int) -> Tensor:
    """Returns places along a side of so many pixels, those outside it (see `inside`) moved in."""
    by = max(1.0, FURTHER_IN * size)
    before, after = -MARGIN - at, at - (size - 1 + MARGIN)
    return at + by * ((before / by).clamp(min=0).ceil() - (after / by).clamp(min=0).ceil())
