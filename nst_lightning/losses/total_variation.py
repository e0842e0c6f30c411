"""Total variation: how much neighbouring pixels differ."""

from torch import Tensor, nn

KINDS = ("anisotropic", "squared", "titu1994")


class TotalVariationLoss(nn.Module):
    """Differences dx, dy to the right-hand and the lower neighbour, over the three channels.

    Args:
        kind: `anisotropic` is Σ|dx| + Σ|dy|; `squared` is Σdx² + Σdy² (its gradient is twice that
            of jcjohnson/neural-style's TVLoss); `titu1994` is Σ(dx² + dy²)^1.25 over the positions
            that have both neighbours (titu1994/Neural-Style-Transfer, Network.py).
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
        """(B, 3, H, W) in [0, 1] → (B,)."""
        x = image * self.pixel_range
        dx = x[..., :, 1:] - x[..., :, :-1]
        dy = x[..., 1:, :] - x[..., :-1, :]
        if self.kind == "titu1994":
            squares = dx[..., :-1, :].square() + dy[..., :, :-1].square()
            total = squares.pow(1.25).sum(dim=(1, 2, 3))
        elif self.kind == "squared":
            total = dx.square().sum(dim=(1, 2, 3)) + dy.square().sum(dim=(1, 2, 3))
        else:
            total = dx.abs().sum(dim=(1, 2, 3)) + dy.abs().sum(dim=(1, 2, 3))
        return total / image[0].numel() if self.mean else total
