"""Total variation loss, which measures how much neighbouring pixels differ."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.windows import Window

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
        total = self.terms(image * self.pixel_range).sum(dim=(1, 2, 3))
        return total / image[0].numel() if self.mean else total

    @torch.no_grad()
    def value_and_gradient(
        self, image: Tensor, window: Window, held: Window | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes what a window adds to the loss of images, (B,), and the gradient of the whole
        loss there, (B, 3, h, w).

        Args:
            image: (B, 3, h, w) in [0, 1], what is held.
            window: of the image.
            held: of the image, with the window's neighbours; by default the whole.
        """
        around = window.grown(1)  # no term reaches further
        with torch.enable_grad():
            leaf = around.cut(image, held).detach().requires_grad_(True)
            terms = self.terms(leaf * self.pixel_range)
            (gradient,) = torch.autograd.grad(terms.sum(), leaf)
        count = 3 * window.count if self.mean else 1
        own = window.cut(terms.detach(), around).sum(dim=(1, 2, 3))
        return own / count, window.cut(gradient, around) / count

    def terms(self, x: Tensor) -> Tensor:
        """Computes the terms of each pixel of (B, 3, H, W), those to the right of it and below."""
        if self.kind == "nine-point":
            return nine_point(x)
        dx = F.pad(x[..., :, 1:] - x[..., :, :-1], (0, 1))
        dy = F.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
        if self.kind == "titu1994":
            both = (dx.square() + dy.square())[..., :-1, :-1]
            return F.pad(both.pow(1.25), (0, 1, 0, 1))
        if self.kind == "squared":
            return dx.square() + dy.square()
        return dx.abs() + dy.abs()


def nine_point(x: Tensor) -> Tensor:
    """Computes the terms of `nine-point` at each pixel of (B, 3, H, W)."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    right, below = padded[..., 1:-1, 2:] - x, padded[..., 2:, 1:-1] - x
    falling, rising = padded[..., 2:, 2:] - x, padded[..., :-2, 2:] - x
    straight = right.square() + below.square()
    return straight * (2 / 3) + (falling.square() + rising.square()) / 6
