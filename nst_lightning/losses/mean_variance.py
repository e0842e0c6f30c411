"""Style loss: how far the mean and the deviation of each channel are from the style's."""

import torch
from torch import Tensor, nn

from nst_lightning.losses.moments import shares_of_positions
from nst_lightning.losses.style_kind import StyleKind, weighted_mean
from nst_lightning.losses.upcast import upcast
from nst_lightning.settings import TransferSettings

EPSILON = 1e-5
"""Added to the variances, as batch normalisation does: the root of 0 has no slope."""


def describe(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Computes the mean and the mean of squares of each channel.

    Args:
        features: (B, C, h, w), of any floating type.
        guide: (B, 1, h, w), what each position counts; by default all count alike.

    Returns:
        (B, 2, C), in float32 (float64 for float64 features).
    """
    f = upcast(features)
    weights = 1 / f[0, 0].numel() if guide is None else shares_of_positions(guide)
    return torch.stack([(f * weights).sum(dim=(2, 3)), (f * f * weights).sum(dim=(2, 3))], dim=1)


def mean_and_deviation(described: Tensor) -> tuple[Tensor, Tensor]:
    """Turns (B, 2, C) from `describe` into mean and standard deviation, (B, C) each."""
    mean, squares = described.unbind(dim=1)
    return mean, ((squares - mean.square()).clamp(min=0) + EPSILON).sqrt()


class MeanVarianceLoss(nn.Module):
    """The statistics that batch normalisation knows: (1/C)·Σ((μ − μ*)² + (σ − σ*)²).

    Li, Wang, Liu & Hou 2017, "Demystifying Neural Style Transfer", section 4.2.

    Args:
        target: from `describe`, (B, 2, C) or (1, 2, C).
    """

    target: Tensor

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target.detach(), persistent=False)

    def forward(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""
        image = mean_and_deviation(describe(features, guide))
        style = mean_and_deviation(self.target)
        return sum(
            ((a - b).square().mean(dim=1) for a, b in zip(image, style, strict=True)),
            image[0].new_zeros(len(image[0])),
        )


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: mean-variance` names; see `style_kind`."""
    return StyleKind(describe, weighted_mean, MeanVarianceLoss)
