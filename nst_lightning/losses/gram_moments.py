"""Style loss of Gram matrices with the mean and the deviation of each channel beside them."""

import torch
from torch import Tensor

from nst_lightning.losses.mean_variance import mean_and_deviation
from nst_lightning.losses.second_moments import SecondMomentsLoss, describe
from nst_lightning.losses.style_kind import StyleKind, weighted_mean
from nst_lightning.settings import TransferSettings

SHARE = 10
"""What the means and deviations weigh beside the Gram matrices, times N²: wmeanstd / 100 of
bgalerne/scaling_painting_style_transfer, spst.py, where wmeanstd is 1000."""


class GramMomentsLoss(SecondMomentsLoss):
    """mean((G − A)²) + 10·N²·(mean((μ − μ*)²) + mean((σ − σ*)²)), with G = F·Fᵀ/M of N channels.

    Galerne, Raad, Lezama & Morel 2024, "Scaling Painting Style Transfer", section 3; the weights
    are those of their code, spst.py, whose 1e3/N² for the Gram matrices are the layer's.

    Args:
        target: from `describe`, (B, C, 1 + C) or (1, C, 1 + C).
        guide: (B, 1, h, w), what each position counts; by default all count alike.
    """

    target: Tensor

    def __init__(self, target: Tensor, guide: Tensor | None = None) -> None:
        super().__init__(guide)
        self.register_buffer("target", target.detach(), persistent=False)

    def value(self, gathered: Tensor) -> Tensor:
        """Computes the loss, (B,), from the moments."""
        gram = (gathered - self.target)[:, :, 1:].square().mean(dim=(1, 2))
        pairs = zip(of_channels(gathered), of_channels(self.target), strict=True)
        mean, deviation = ((a - b).square().mean(dim=1) for a, b in pairs)
        return gram + SHARE * gathered.shape[1] ** 2 * (mean + deviation)


def of_channels(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and deviation of each channel, (B, C) each, from `describe`'s moments."""
    squares = moments[:, :, 1:].diagonal(dim1=1, dim2=2)
    return mean_and_deviation(torch.stack([moments[:, :, 0], squares], dim=1))


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: gram-moments` names; see `style_kind`."""
    return StyleKind(describe, weighted_mean, GramMomentsLoss, adds_up=True)
