"""How far features and colours are from the style's: Gram, Wasserstein, colour histogram."""

import torch
from torch import Tensor

from nst_lightning.losses.wasserstein import exact, regular_covariance, symmetric_root, wasserstein2

BINS = 8
"""Of each channel in a colour histogram."""


def relative_distance(found: Tensor, expected: Tensor) -> Tensor:
    """Returns ‖x − y‖ / ‖y‖ over all but the first dimension: free of the scale of both.

    Of features x and the content's y it is the content loss of Gatys, Ecker & Bethge 2016 (eq. 1),
    of Gram matrices their style loss (eq. 4), each made free of scale: 0 for y itself, 1 for zeros.

    Args:
        found: x, (B, …).
        expected: y, (B, …) or (1, …).

    Returns:
        (B,), at least 0; nan or infinite where y is all zero.
    """
    difference = torch.linalg.vector_norm((found - expected).flatten(1), dim=1)
    relative: Tensor = difference / torch.linalg.vector_norm(expected.flatten(1), dim=1)
    return relative


def gaussian(mean: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean (B, C) and covariance (B, C, C), regular and exact as the loss has them.

    Args:
        mean: (B, C).
        second: the raw second moment, (B, C, C).
    """
    mean = exact(mean)
    return mean, regular_covariance(mean, exact(second))


def style_root(mean: Tensor, second: Tensor) -> Tensor:
    """Returns Σ*^½ of a style, (B, C, C) in float64.

    Args:
        mean: (B, C).
        second: the raw second moment, (B, C, C).
    """
    return symmetric_root(gaussian(mean, second)[1])


def wasserstein_distance(
    mean: Tensor, second: Tensor, style_mean: Tensor, style_second: Tensor, style_root: Tensor
) -> Tensor:
    """Returns W₂ of the Gaussians with these moments, divided by √(|μ*|² + tr Σ*).

    The distance of Dowson & Landau 1982 (see `losses.wasserstein`), whose use for style is that of
    Mroueh 2019 ("Wasserstein Style Transfer"). The divisor is the distance of the style from a
    point mass at 0, so 0 is the style itself and 1 what features that are all zero have.

    Args:
        mean: μ, (B, C).
        second: the raw second moment, (B, C, C).
        style_mean: μ*, (B, C) or (1, C).
        style_second: (B, C, C) or (1, C, C).
        style_root: Σ*^½, (B, C, C) or (1, C, C): see `style_root`.

    Returns:
        (B,) in float64, at least 0.
    """
    mu, sigma = gaussian(mean, second)
    mu_style, sigma_style = gaussian(style_mean, style_second)
    squared = sum(wasserstein2(mu, sigma, mu_style, style_root))
    assert isinstance(squared, Tensor)
    traces = sigma_style.diagonal(dim1=1, dim2=2).sum(dim=1)
    return (squared.clamp(min=0) / (mu_style.square().sum(dim=1) + traces)).sqrt()


def colour_histogram(images: Tensor) -> Tensor:
    """Returns the share of each of the 8³ colours.

    Args:
        images: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 512), each row summing to 1.
    """
    level = (images * BINS).long().clamp(0, BINS - 1).flatten(2)
    index = (level[:, 0] * BINS + level[:, 1]) * BINS + level[:, 2]
    # torch.bincount would wait for the device.
    counts = index.new_zeros(len(index), BINS**3).scatter_add_(1, index, torch.ones_like(index))
    return counts / index.shape[1]


def histogram_distance(shares: Tensor, style: Tensor) -> Tensor:
    """Returns how far histograms are apart: 0 (the same colours) to 1 (none in common).

    Total variation: half the L1 distance; 1 minus the intersection of Swain & Ballard 1991.

    Args:
        shares: (B, K), each row summing to 1.
        style: (B, K) or (1, K).

    Returns:
        (B,).
    """
    return (shares - style).abs().sum(dim=1) / 2
