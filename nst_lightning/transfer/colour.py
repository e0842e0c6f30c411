"""Keeping a photograph's colours, on gamma-coded sRGB values.

Gatys, Bethge, Hertzmann & Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer".
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from nst_lightning.settings import TransferSettings

Variant = Literal["cholesky", "pca", "symmetric"]

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in Y of YIQ, the space of the paper's section 3 (ITU-R BT.601)."""

RIDGE = 1e-5
"""Added to the variances, so that pictures of one colour have an inverse: 0.8 levels of 255."""

EXACT = torch.float64


def match_linear(source: Tensor, target: Tensor, variant: Variant) -> Tensor:
    """The source with the mean and covariance of the target's colours: x → A·x + b.

    A·Σ_s·Aᵀ = Σ_t has many solutions. `cholesky`: A = L_t·L_s⁻¹ (the paper). `pca`:
    A = Σ_t^½·Σ_s^-½ with symmetric roots (the paper, after Hertzmann's Image Analogies).
    `symmetric`: the one that moves colours least, A = Σ_s^-½(Σ_s^½·Σ_t·Σ_s^½)^½Σ_s^-½ (Pitié and
    Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping").

    Args:
        source: (3, h, w) in [0, 1].
        target: (3, H, W) in [0, 1].
        variant: which A.

    Returns:
        (3, h, w), clamped to [0, 1].
    """
    mean_s, covariance_s = moments(source)
    mean_t, covariance_t = moments(target)
    if variant == "cholesky":
        lower_s, lower_t = torch.linalg.cholesky(covariance_s), torch.linalg.cholesky(covariance_t)
        matrix = lower_t @ torch.linalg.inv(lower_s)
    elif variant == "pca":
        matrix = root(covariance_t) @ torch.linalg.inv(root(covariance_s))
    else:
        root_s = root(covariance_s)
        inverse = torch.linalg.inv(root_s)
        matrix = inverse @ root(root_s @ covariance_t @ root_s) @ inverse
    pixels = source.flatten(1).to(EXACT) - mean_s
    matched: Tensor = (matrix @ pixels + mean_t).clamp(0, 1)
    return matched.to(source.dtype).reshape(source.shape)


def moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3, 1) and covariance (3, 3) of the colours of a picture (3, H, W)."""
    pixels = picture.flatten(1).to(EXACT)
    mean = pixels.mean(dim=1, keepdim=True)
    centred = pixels - mean
    return mean, centred @ centred.T / pixels.shape[1] + RIDGE * torch.eye(3, dtype=EXACT)


def root(matrix: Tensor) -> Tensor:
    """The symmetric square root of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    found: Tensor = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    return found


def match_histogram(source: Tensor, target: Tensor) -> Tensor:
    """The source with the target's distribution of values in each of R, G and B.

    The k-th smallest of n values becomes the target's quantile at (k + ½)/n, between neighbours by
    straight lines; equal values stay equal, at the middle of their ranks.

    Args:
        source: (3, h, w) in [0, 1].
        target: (3, H, W) in [0, 1].

    Returns:
        (3, h, w).
    """
    matched = [
        _match_channel(mine, wanted)
        for mine, wanted in zip(source.flatten(1), target.flatten(1), strict=True)
    ]
    return torch.stack(matched).to(source.dtype).reshape(source.shape)


def _match_channel(source: Tensor, target: Tensor) -> Tensor:
    """(n,), (m,) → (n,)."""
    _, where, counts = torch.unique(source, return_inverse=True, return_counts=True)
    after = counts.cumsum(0).to(EXACT)
    share = ((after - counts / 2) / len(source))[where]  # in (0, 1): the middle of its equals
    ordered = target.sort().values.to(EXACT)
    at = (share * len(ordered) - 0.5).clamp(0, len(ordered) - 1)
    below = at.floor().long()
    above = (below + 1).clamp(max=len(ordered) - 1)
    return torch.lerp(ordered[below], ordered[above], at - below)


def content_colours(content: Tensor, settings: TransferSettings) -> Tensor:
    """The content as it is transferred: (B, 3, H, W) → the same shape."""
    return luma(content) if settings.preserve_color == "luminance" else content


def style_colours(style: Tensor, content: Tensor, settings: TransferSettings) -> Tensor:
    """The style as it is transferred to a content.

    Args:
        style: (B, 3, h, w) or (1, 3, h, w) in [0, 1].
        content: (B, 3, H, W) in [0, 1].
        settings: `preserve_color` and `color_variant`.

    Returns:
        (B, 3, h, w), or (1, 3, h, w) where the content does not matter.
    """
    how = settings.preserve_color
    if how == "none":
        return style
    styles = style.expand(len(content), -1, -1, -1)
    match: Callable[[Tensor, Tensor], Tensor] = {
        "luminance": match_luma,
        "match-histogram": match_histogram,
        "match-linear": lambda a, b: match_linear(a, b, settings.color_variant),
    }[how]
    return torch.stack([match(a, b) for a, b in zip(styles, content, strict=True)])


def luma(picture: Tensor) -> Tensor:
    """Y of YIQ, in all three channels: (…, 3, H, W) → the same shape."""
    weights = picture.new_tensor(LUMA).view(3, 1, 1)
    return (picture * weights).sum(dim=-3, keepdim=True).expand_as(picture)


def match_luma(source: Tensor, target: Tensor) -> Tensor:
    """The luma of the source with the mean and deviation of the target's.

    Args:
        source: (3, h, w) in [0, 1].
        target: (3, H, W) in [0, 1].

    Returns:
        (3, h, w), gray, clamped to [0, 1].
    """
    mine, wanted = luma(source), luma(target)
    scale = wanted.std(correction=0) / mine.std(correction=0).clamp(min=RIDGE)
    return (scale * (mine - mine.mean()) + wanted.mean()).clamp(0, 1)


def with_luma(colours: Tensor, gray: Tensor) -> Tensor:
    """The colours of one picture under the luma of another.

    Where a colour would leave the range, its saturation gives way and its luma stays.

    Args:
        colours: (B, 3, H, W) in [0, 1].
        gray: (B, 3, H, W) in [0, 1]; its luma counts.

    Returns:
        (B, 3, H, W) in [0, 1].
    """
    level = luma(gray)
    chroma = colours - luma(colours)
    # The largest factor on the chroma of each pixel that keeps all three channels within 0 and 1.
    room = torch.where(chroma > 0, 1 - level, level)
    factor = (room / chroma.abs().clamp(min=1e-9)).amin(dim=-3, keepdim=True).clamp(max=1)
    return (level + factor * chroma).clamp(0, 1)
