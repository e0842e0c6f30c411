"""Style loss with a target of its own in each region of an image."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.losses.layer_loss import LayerLoss, empty_gradient


class RegionalLoss(LayerLoss):
    """The sum over regions of the loss in each, weighted by its share of the image.

    With this weight a position is drawn as strongly as without regions, whatever their sizes.

    Args:
        losses: one a region, which know their guides.
        guides: (B, R, h, w) in [0, 1], which position is in which region; all zeros: in none.
    """

    shares: Tensor

    def __init__(self, losses: Sequence[LayerLoss], guides: Tensor) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.waits = any(loss.waits for loss in losses)
        self.register_buffer("shares", guides.mean(dim=(2, 3)), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w), (B,)."""
        return self._sum([loss(features) for loss in self.losses])

    def evaluate(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its gradient to the features, (B, C, h, w)."""
        gradient = empty_gradient(features)
        values = []
        for loss, share in zip(self._each(), self.shares.unbind(dim=1), strict=True):
            value, slope = loss.evaluate(features)
            loss.accumulate_gradient(features, slope, share, gradient)
            values.append(value)
        return self._sum(values), gradient

    def energy(self, channels: int) -> Tensor:
        """Computes the loss for features of zero, (B,)."""
        return self._sum([loss.energy(channels) for loss in self._each()])

    def _each(self) -> Sequence[LayerLoss]:
        return cast(Sequence[LayerLoss], self.losses)

    def _sum(self, values: list[Tensor]) -> Tensor:
        return (torch.stack(values, dim=1) * self.shares).sum(dim=1)


def guides_at_layer(guides: Tensor, height: int, width: int) -> Tensor:
    """Averages guides (B, R, H, W) over areas to a layer's resolution, (B, R, height, width)."""
    return F.adaptive_avg_pool2d(guides, (height, width))
