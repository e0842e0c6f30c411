"""Style loss with a target of its own in each region of an image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RegionalLoss(nn.Module):
    """The sum over regions of the loss in each, weighted by its share of the image.

    With this weight a position is drawn as strongly as without regions, whatever their sizes.

    Args:
        losses: one a region.
        guides: (B, R, h, w) in [0, 1], which position is in which region; all zeros: in none.
    """

    guides: Tensor

    def __init__(self, losses: Sequence[nn.Module], guides: Tensor) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.register_buffer("guides", guides, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w), (B,)."""
        guides = self.guides.chunk(len(self.losses), dim=1)
        return self.sum_over_regions(
            [loss(features, guide) for loss, guide in zip(self.losses, guides, strict=True)]
        )

    def sum_over_regions(self, losses: Sequence[Tensor]) -> Tensor:
        """Sums a loss (B,) of each region, weighted by the region's share of the image."""
        guides = self.guides.chunk(len(self.losses), dim=1)
        terms = [
            loss * guide.mean(dim=(1, 2, 3)) for loss, guide in zip(losses, guides, strict=True)
        ]
        return torch.stack(terms).sum(dim=0)


def guides_at_layer(guides: Tensor, height: int, width: int) -> Tensor:
    """Averages guides (B, R, H, W) over areas to a layer's resolution, (B, R, height, width)."""
    return F.adaptive_avg_pool2d(guides, (height, width))
