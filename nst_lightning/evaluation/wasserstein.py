"""Wasserstein-2 distance between the Gaussians of features and of the style's."""

from torch import Tensor

from nst_lightning.evaluation.per_image import PerImage
from nst_lightning.losses.wasserstein import exact, regular_covariance, symmetric_root, wasserstein2


def gaussian(mean: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, C) and covariance (B, C, C), made regular and exact as the loss makes them.

    Args:
        mean: (B, C).
        second: the raw second moment, (B, C, C).
    """
    mean = exact(mean)
    return mean, regular_covariance(mean, exact(second))


def style_root(mean: Tensor, second: Tensor) -> Tensor:
    """Σ*^½ of a style, (B, C, C) in float64, from its mean (B, C) and second moment (B, C, C)."""
    return symmetric_root(gaussian(mean, second)[1])


def wasserstein_distance(
    mean: Tensor, second: Tensor, style_mean: Tensor, style_second: Tensor, style_root: Tensor
) -> Tensor:
    """W₂ of the Gaussians with these moments, divided by √(|μ*|² + tr Σ*).

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


class WassersteinDistance(PerImage):
    """`wasserstein_distance` of each image, at one layer."""

    higher_is_better = False

    def measure(self, *inputs: Tensor) -> Tensor:
        """As `wasserstein_distance` → (B,)."""
        return wasserstein_distance(*inputs)
