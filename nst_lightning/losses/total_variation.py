"""Total variation loss, which measures how much neighbouring pixels differ."""

import torch.nn.functional as F
from torch import Tensor, nn

KINDS = ("anisotropic", "squared", "titu1994", "nine-point")


class TotalVariationLoss(nn.Module):
    """Sum over the differences dx, dy to the right-hand and the lower neighbour, in all channels.

    Args:
        kind: `anisotropic` is Σ|dx| + Σ|dy|; `squared` is Σdx² + Σdy² (its gradient is twice that
            of jcjohnson/neural-style's TVLoss); `titu1994` is Σ(dx² + dy²)^1.25 over the positions
            that have both neighbours (titu1994/Neural-Style-Transfer, Network.py); `nine-point` is
            2/3·Σ(d→² + d↓²) + 1/6·Σ(d↘² + d↗²) with the border repeated, so that each pixel meets
            its eight neighbours (crowsonkb/style-transfer-pytorch, TVLoss).
        pixel_range: 1 or 255, the range in which the differences are measured.
        mean: divide by the number of pixel values, so that a weight keeps its meaning from size to
            size; published formulas take the sum.
    """

    def __init__(self, kind: str, pixel_range: float, mean: bool) -> None:
        super().__init__()
        self.kind = kind
        self.pixel_range = pixel_range
        self.mean = mean

    def forward(self, image: Tensor) -> Tensor:
        """Computes the loss of images (B, 3, H, W) in [0, 1], (B,)."""
        x = image * self.pixel_range
        dx = x[..., :, 1:] - x[..., :, :-1]
        dy = x[..., 1:, :] - x[..., :-1, :]
        if self.kind == "titu1994":
            squares = dx[..., :-1, :].square() + dy[..., :, :-1].square()
            total = squares.pow(1.25).sum(dim=(1, 2, 3))
        elif self.kind == "nine-point":
            total = nine_point(x).sum(dim=(1, 2, 3))
        elif self.kind == "squared":
            total = dx.square().sum(dim=(1, 2, 3)) + dy.square().sum(dim=(1, 2, 3))
        else:
            total = dx.abs().sum(dim=(1, 2, 3)) + dy.abs().sum(dim=(1, 2, 3))
        return total / image[0].numel() if self.mean else total


def nine_point(x: Tensor) -> Tensor:
    """Computes the terms of `nine-point` at each pixel of (B, 3, H, W)."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    right, below = padded[..., 1:-1, 2:] - x, padded[..., 2:, 1:-1] - x
    falling, rising = padded[..., 2:, 2:] - x, padded[..., :-2, 2:] - x
    straight = right.square() + below.square()
    return straight * (2 / 3) + (falling.square() + rising.square()) / 6
