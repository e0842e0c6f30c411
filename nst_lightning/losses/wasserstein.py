"""Wasserstein-2 distance between the Gaussians that have the features' moments."""

import torch
from torch import Tensor

from nst_lightning.losses.moments import covariance
from nst_lightning.losses.second_moments import SecondMomentsLoss, describe
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
    overlap = torch.maximum(values, smallest_of(values)).sqrt()
    traces = covariance.diagonal(dim1=1, dim2=2).sum(dim=1) + other_root.square().sum(dim=(1, 2))
    return (mean - other_mean).square().sum(dim=1), traces - 2 * overlap.sum(dim=1)


def root_of_product(between: Tensor) -> tuple[Tensor, Tensor]:
    """Computes the trace of the root of M = Σ*^½ΣΣ*^½ and the inverse root, of which half is the
    trace's gradient to M.

    Roots by Newton–Schulz iterations need neither float64 nor eigenvalues, but were slower on a CPU
    or not near enough in layers of few positions (tests/benchmarks/roots.py).

    Args:
        between: M, (B, C, C), symmetric but for rounding.

    Returns:
        (B,) and (B, C, C).
    """
    values, vectors = torch.linalg.eigh((between + between.mT) / 2)
    smallest = smallest_of(values)
    roots = torch.maximum(values, smallest).sqrt()
    slopes = torch.where(values > smallest, 1 / roots, 0.0)
    return roots.sum(dim=1), (vectors * slopes[:, None, :]) @ vectors.mT


def smallest_of(values: Tensor) -> Tensor:
    """Returns what eigenvalues (B, C) are at least: where one is 0 its root has no slope, and where
    rounding makes it negative no value."""
    smallest = torch.finfo(values.dtype).eps * values.detach().amax(dim=-1, keepdim=True)
    return smallest.clamp(min=torch.finfo(values.dtype).tiny)


def exact(x: Tensor) -> Tensor:
    """Converts to float64, on the CPU for mps, which has neither float64 nor eigenvalues.

    What rounding adds to eigenvalues of 0 is seen in their roots: in float32 the distance was 4 %
    off in layers of few positions.
    """
    return x.cpu().double() if x.device.type == "mps" else x.double()


class WassersteinLoss(SecondMomentsLoss):
    """The squared Wasserstein-2 distance to the style's Gaussian, divided by the C channels.

    crowsonkb/style-transfer-pytorch, StyleLossW2: mean(Δμ²) + mean(diag(Σ + Σ* − 2(…)^½)).

    Args:
        target: from `describe`, (B, C, 1 + C) or (1, C, 1 + C).
        guide: (B, 1, h, w), what each position counts; by default all count alike.
    """

    mean: Tensor
    root: Tensor
    waits = True  # for eigenvalues, which the processor looks at

    def __init__(self, target: Tensor, guide: Tensor | None = None) -> None:
        super().__init__(guide)
        mean, second = target.detach()[:, :, 0], target.detach()[:, :, 1:]
        self.register_buffer("mean", mean, persistent=False)
        root = symmetric_root(regular_covariance(exact(mean), exact(second)))
        self.register_buffer("root", root.to(mean), persistent=False)

    def value(self, gathered: Tensor) -> Tensor:
        """Computes the loss, (B,), from the moments."""
        mean, second = exact(gathered[:, :, 0]), exact(gathered[:, :, 1:])
        covariance = regular_covariance(mean, second)
        parts = wasserstein2(mean, covariance, exact(self.mean), exact(self.root))
        return ((parts[0] + parts[1]) / gathered.shape[1]).to(gathered)

    def value_and_slope(self, gathered: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its gradient to the moments, (B, C, 1 + C).

        With T = ∂/∂Σ = I − Σ*^½(Σ*^½ΣΣ*^½)^-½Σ*^½, the second moment has T and the mean
        2(μ − μ*) − 2Tμ, for Σ holds −μμᵀ.
        """
        mean, second = exact(gathered[:, :, 0]), exact(gathered[:, :, 1:])
        other, root = exact(self.mean), exact(self.root)
        covariance = regular_covariance(mean, second)
        overlap, inverse = root_of_product(root @ covariance @ root)
        traces = covariance.diagonal(dim1=1, dim2=2).sum(dim=1) + root.square().sum(dim=(1, 2))
        value = (mean - other).square().sum(dim=1) + traces - 2 * overlap
        to_second = -root @ inverse @ root
        to_second.diagonal(dim1=1, dim2=2).add_(1)
        to_mean = 2 * (mean - other)[:, :, None] - 2 * to_second @ mean[:, :, None]
        slope = torch.cat([to_mean, to_second], dim=2)
        return (value / gathered.shape[1]).to(gathered), (slope / gathered.shape[1]).to(gathered)


def regular_covariance(mean: Tensor, second: Tensor) -> Tensor:
    """Computes the covariance with `EPSILON` added to the variances, so that it has an inverse."""
    identity = torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)
    return covariance(mean, second) + EPSILON * identity


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: wasserstein` names; see `style_kind`."""
    return StyleKind(describe, weighted_mean, WassersteinLoss, adds_up=True)
