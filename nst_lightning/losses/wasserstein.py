"""Wasserstein-2 distance between the Gaussians that have the features' moments."""

import torch
from torch import Tensor

EPSILON = 1e-4
"""Added to the variances (crowsonkb/style-transfer-pytorch, StyleLossW2)."""


def root(matrix: Tensor) -> Tensor:
    """The symmetric square root of symmetric matrices (B, C, C); what is negative by rounding
    counts as 0."""
    values, vectors = torch.linalg.eigh(matrix)
    found: Tensor = (vectors * values.clamp(min=0).sqrt()[:, None, :]) @ vectors.mT
    return found


def wasserstein2(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_root: Tensor
) -> tuple[Tensor, Tensor]:
    """The squared Wasserstein-2 distance between Gaussians, in its two parts.

    |μ−μ*|² and tr(Σ + Σ* − 2(Σ*^½ Σ Σ*^½)^½); their sum is the squared distance (Dowson & Landau
    1982).

    Args:
        mean: μ, (B, C).
        covariance: Σ, (B, C, C).
        other_mean: μ*, (B, C) or (1, C).
        other_root: Σ*^½, symmetric, (B, C, C) or (1, C, C); see `root`.

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
