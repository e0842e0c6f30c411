"""Wasserstein-2 distance between the Gaussians that have the features' moments."""

import torch
from torch import Tensor, nn

from nst_lightning.losses.moments import covariance, moments
from nst_lightning.losses.style_kind import StyleKind, weighted_mean
from nst_lightning.settings import TransferSettings

EPSILON = 1e-4
"""Added to the variances (crowsonkb/style-transfer-pytorch, StyleLossW2)."""


def symmetric_root(matrix: Tensor) -> Tensor:
    """Computes the symmetric square root of symmetric matrices (…, C, C); eigenvalues that are
    negative by rounding count as 0."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()[..., None, :]) @ vectors.mT
    return root


def wasserstein2(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_root: Tensor
) -> tuple[Tensor, Tensor]:
    """Computes the squared Wasserstein-2 distance between Gaussians, in its two parts.

    |μ−μ*|² and tr(Σ + Σ* − 2(Σ*^½ Σ Σ*^½)^½); their sum is the squared distance (Dowson & Landau
    1982).

    Args:
        mean: μ, (B, C).
        covariance: Σ, (B, C, C).
        other_mean: μ*, (B, C) or (1, C).
        other_root: Σ*^½, symmetric, (B, C, C) or (1, C, C); see `symmetric_root`.

    Returns:
        (B,) and (B,).
    """
    between = other_root @ covariance @ other_root
    values = torch.linalg.eigvalsh((between + between.mT) / 2)
    # Where an eigenvalue is 0 the root has no slope, and where rounding makes it negative no value.
    smallest = torch.finfo(values.dtype).eps * values.detach().amax(dim=-1, keepdim=True)
    overlap = torch.maximum(values, smallest.clamp(min=torch.finfo(values.dtype).tiny)).sqrt()
    traces = covariance.diagonal(dim1=1, dim2=2).sum(dim=1) + other_root.square().sum(dim=(1, 2))
    return (mean - other_mean).square().sum(dim=1), traces - 2 * overlap.sum(dim=1)


def exact(x: Tensor) -> Tensor:
    """Converts to float64, on the CPU for mps, which has neither float64 nor eigenvalues.

    What rounding adds to eigenvalues of 0 is seen in their roots: in float32 the distance was 4 %
    off in layers of few positions.
    """
    return x.cpu().double() if x.device.type == "mps" else x.double()


def describe(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Computes mean and raw second moment of features (B, C, h, w), side by side: (B, C, 1 + C)."""
    mean, second = moments(features, guide)
    return torch.cat([mean[:, :, None], second], dim=2)


class WassersteinLoss(nn.Module):
    """The squared Wasserstein-2 distance to the style's Gaussian, divided by the C channels.

    crowsonkb/style-transfer-pytorch, StyleLossW2: mean(Δμ²) + mean(diag(Σ + Σ* − 2(…)^½)).

    Args:
        target: from `describe`, (B, C, 1 + C) or (1, C, 1 + C).
    """

    mean: Tensor
    root: Tensor

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        mean, second = target.detach()[:, :, 0], target.detach()[:, :, 1:]
        self.register_buffer("mean", mean, persistent=False)
        root = symmetric_root(regular_covariance(exact(mean), exact(second)))
        self.register_buffer("root", root.to(mean), persistent=False)

    def forward(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""
        mean, second = moments(features, guide)
        covariance = regular_covariance(exact(mean), exact(second))
        parts = wasserstein2(exact(mean), covariance, exact(self.mean), exact(self.root))
        return ((parts[0] + parts[1]) / features.shape[1]).to(mean)


def regular_covariance(mean: Tensor, second: Tensor) -> Tensor:
    """Computes the covariance with `EPSILON` added to the variances, so that it has an inverse."""
    identity = torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)
    return covariance(mean, second) + EPSILON * identity


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: wasserstein` names; see `style_kind`."""
    return StyleKind(describe, weighted_mean, WassersteinLoss)
