"""Style loss: how far the mean and the deviation of each channel are from the style's."""

import torch
from torch import Tensor

from nst_lightning.losses.layer_loss import AffineLoss
from nst_lightning.losses.moments import position_shares
from nst_lightning.losses.style_kind import StyleKind, weighted_mean
from nst_lightning.losses.upcast import upcast
from nst_lightning.settings import TransferSettings
from nst_lightning.windows import Window

EPSILON = 1e-5
"""Added to the variances, as batch normalisation does: the root of 0 has no slope."""


def describe(features: Tensor, guide: Tensor | None = None, window: Window | None = None) -> Tensor:
    """Computes the mean and the mean of squares of each channel; see `StyleKind.describe`.

    Returns:
        (B, 2, C), in float32 (float64 for float64 features).
    """
    return means(features, position_shares(features, guide, window))


def means(features: Tensor, shares: Tensor | float) -> Tensor:
    """Computes mean and mean of squares of features by the shares of positions, (B, 2, C)."""
    f = upcast(features)
    return torch.stack([(f * shares).sum(dim=(2, 3)), (f * f * shares).sum(dim=(2, 3))], dim=1)


def mean_and_deviation(described: Tensor) -> tuple[Tensor, Tensor]:
    """Turns (B, 2, C) from `describe` into mean and standard deviation, (B, C) each."""
    mean, squares = described.unbind(dim=1)
    return mean, ((squares - mean.square()).clamp(min=0) + EPSILON).sqrt()


class MeanVarianceLoss(AffineLoss):
    """The statistics that batch normalisation knows: (1/C)·Σ((μ − μ*)² + (σ − σ*)²).

    Li, Wang, Liu & Hou 2017, "Demystifying Neural Style Transfer", section 4.2.

    Args:
        target: from `describe`, (B, 2, C) or (1, 2, C).
        guide: (B, 1, h, w), what each position counts; by default all count alike.
    """

    target: Tensor

    def __init__(self, target: Tensor, guide: Tensor | None = None) -> None:
        super().__init__(guide)
        self.register_buffer("target", target.detach(), persistent=False)

    def moments(self, features: Tensor, window: Window) -> Tensor:
        """Computes the mean and the mean of squares of each channel, (B, 2, C)."""
        return means(features, self.position_shares(window))

    def value(self, gathered: Tensor) -> Tensor:
        """Computes the loss, (B,), from the moments."""
        pairs = zip(mean_and_deviation(gathered), mean_and_deviation(self.target), strict=True)
        mean, deviation = ((a - b).square().mean(dim=1) for a, b in pairs)
        return mean + deviation

    def gradient(self, features: Tensor, slope: Tensor) -> Tensor:
        """Returns a + 2·b·F, with a and b the slopes of mean and mean of squares."""
        a, b = slope[..., None, None].unbind(dim=1)
        return a + 2 * b * upcast(features)


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: mean-variance` names; see `style_kind`."""
    return StyleKind(describe, weighted_mean, MeanVarianceLoss, adds_up=True)
