"""A loss whose gradient has a size of its own, whatever the loss."""

import torch
from torch import Tensor

from nst_lightning.losses.layer_loss import LayerLoss, empty_gradient

SMALLEST = 1e-8
"""Added to what gradients are divided by (jcjohnson/neural-style)."""


class NormalizedGradient(LayerLoss):
    """Another loss, with each image's gradient to the features divided by the sum of its absolute
    values (jcjohnson/neural-style, `-normalize_gradients`).

    Args:
        loss: that loss.
    """

    def __init__(self, loss: LayerLoss) -> None:
        super().__init__()
        self.loss = loss
        self.waits = loss.waits

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss itself of features (B, C, h, w), (B,)."""
        value: Tensor = self.loss(features)
        return value

    def value_and_slope(self, gathered: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and the gradient of a size of 1, (B, C, h, w)."""
        gradient = empty_gradient(gathered)
        value, slope = self.loss.evaluate(gathered)
        self.loss.accumulate_gradient(gathered, slope, torch.ones_like(value), gradient)
        return value, gradient / (gradient.abs().sum(dim=(1, 2, 3), keepdim=True) + SMALLEST)

    def energy(self, channels: int) -> Tensor:
        """Computes the loss for features of zero, (B,)."""
        return self.loss.energy(channels)
