"""Ways to keep a photograph's colours, on gamma-coded sRGB values.

Gatys, Bethge, Hertzmann & Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer".
"""

from collections.abc import Callable

import torch
from torch import Tensor

from nst_lightning.losses.wasserstein import exact, symmetric_root
from nst_lightning.settings.transfer import ColorVariant, PreserveColor

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in Y of YIQ, the space of the paper's section 3 (ITU-R BT.601)."""

RIDGE = 1e-5
"""Added to the variances, so that images of one colour have an inverse: 0.8 levels of 255."""


def match_linear(source: Tensor, target: Tensor, variant: ColorVariant) -> Tensor:
    """Gives the source the mean and covariance of the target's colours: x → A·x + b.

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
    mean_s, covariance_s = colour_statistics(source)
    mean_t, covariance_t = colour_statistics(target)
    if variant == "cholesky":
        lower_s, lower_t = torch.linalg.cholesky(covariance_s), torch.linalg.cholesky(covariance_t)
        matrix = lower_t @ torch.linalg.inv(lower_s)
    elif variant == "pca":
        matrix = symmetric_root(covariance_t) @ torch.linalg.inv(symmetric_root(covariance_s))
    else:
        root_s = symmetric_root(covariance_s)
        inverse = torch.linalg.inv(root_s)
        matrix = inverse @ symmetric_root(root_s @ covariance_t @ root_s) @ inverse
    pixels = exact(source.flatten(1)) - mean_s
    matched: Tensor = (matrix @ pixels + mean_t).clamp(0, 1)
    return matched.to(source).reshape(source.shape)


def colour_statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Computes mean (3, 1) and covariance (3, 3) of the colours of an image (3, H, W)."""
    pixels = exact(image.flatten(1))
    mean = pixels.mean(dim=1, keepdim=True)
    centred = pixels - mean
    ridge = RIDGE * torch.eye(3, dtype=pixels.dtype, device=pixels.device)
    return mean, centred @ centred.T / pixels.shape[1] + ridge


def match_histogram(source: Tensor, target: Tensor) -> Tensor:
    """Gives the source the target's distribution of values in each of R, G and B.

    The k-th smallest of n values becomes the target's quantile at (k + ½)/n, between neighbours by
    straight lines; equal values stay equal, at the middle of their ranks.

    Args:
        source: (3, h, w) in [0, 1].
        target: (3, H, W) in [0, 1].

    Returns:
        (3, h, w).
    """
    values, order = exact(source.flatten(1)).sort(dim=1)
    ordered = exact(target.flatten(1)).sort(dim=1).values
    n, m = values.shape[1], ordered.shape[1]
    first, end = first_of_equals(values), n - first_of_equals(values.flip(1)).flip(1)
    share = (first + end).to(values) / (2 * n)  # in (0, 1): the middle of its equals
    at = (share * m - 0.5).clamp(0, m - 1)
    below = at.long()
    above = (below + 1).clamp(max=m - 1)
    matched = torch.lerp(ordered.gather(1, below), ordered.gather(1, above), at - below)
    return torch.empty_like(matched).scatter_(1, order, matched).to(source).reshape(source.shape)


def first_of_equals(ordered: Tensor) -> Tensor:
    """Returns for each value of sorted rows (R, n) the index, (R, n), of the first that equals it.

    `torch.unique` would wait for the device.
    """
    index = torch.arange(ordered.shape[1], device=ordered.device)
    return torch.where(ordered != ordered.roll(1, dims=1), index, 0).cummax(dim=1).values


def content_colours(content: Tensor, preserve_color: PreserveColor) -> Tensor:
    """Returns contents (B, 3, H, W) in the colours in which they are transferred."""
    return luma(content) if preserve_color == "luminance" else content


def style_colours(
    style: Tensor, content: Tensor, preserve_color: PreserveColor, variant: ColorVariant
) -> Tensor:
    """Returns styles in the colours in which they are transferred to contents.

    Args:
        style: (B, 3, h, w) or (1, 3, h, w) in [0, 1].
        content: (B, 3, H, W) in [0, 1].
        preserve_color: the setting of this name.
        variant: of `match_linear`.

    Returns:
        (B, 3, h, w), or (1, 3, h, w) where the content does not matter.
    """
    if preserve_color == "none":
        return style
    styles = style.expand(len(content), -1, -1, -1)
    match: Callable[[Tensor, Tensor], Tensor] = {
        "luminance": match_luma,
        "match-histogram": match_histogram,
        "match-linear": lambda a, b: match_linear(a, b, variant),
    }[preserve_color]
    return torch.stack([match(a, b) for a, b in zip(styles, content, strict=True)])


def luma(image: Tensor) -> Tensor:
    """Returns Y of YIQ in all three channels of images (…, 3, H, W)."""
    weights = image.new_tensor(LUMA).view(3, 1, 1)
    return (image * weights).sum(dim=-3, keepdim=True).expand_as(image)


def match_luma(source: Tensor, target: Tensor) -> Tensor:
    """Gives the source's luma the mean and deviation of the target's.

    Args:
        source: (3, h, w) in [0, 1].
        target: (3, H, W) in [0, 1].

    Returns:
        (3, h, w), gray, clamped to [0, 1].
    """
    gray, other = luma(source), luma(target)
    scale = other.std(correction=0) / gray.std(correction=0).clamp(min=RIDGE)
    return (scale * (gray - gray.mean()) + other.mean()).clamp(0, 1)


def with_luma(colours: Tensor, gray: Tensor) -> Tensor:
    """Puts the colours of one image under the luma of another.

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
