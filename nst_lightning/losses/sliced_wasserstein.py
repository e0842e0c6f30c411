"""Style loss made of Wasserstein-2 distances between features projected onto lines.

Heitz, Vanhoey, Chambon & Belcour 2021, "A Sliced Wasserstein Loss for Neural Texture Synthesis".
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.losses.layer_loss import StyleLoss
from nst_lightning.losses.moments import shares_of_positions
from nst_lightning.losses.style_kind import StyleKind, weighted_mean
from nst_lightning.losses.upcast import upcast
from nst_lightning.settings import TransferSettings
from nst_lightning.windows import Window


@functools.cache
def directions(
    channels: int,
    dtype: torch.dtype = torch.float64,
    device: torch.device = torch.device("cpu"),  # noqa: B008
) -> Tensor:
    """Draws as many orthonormal directions as there are channels, (C, C), always the same.

    The paper draws new ones at every step; L-BFGS needs a loss that stays what it is.
    """
    generator = torch.Generator().manual_seed(channels)
    drawn = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    orthonormal: Tensor = torch.linalg.qr(drawn)[0]
    return orthonormal.to(device, dtype)


def project(features: Tensor) -> Tensor:
    """Projects features (B, C, h, w) onto each direction: (B, C, h·w)."""
    f = upcast(features.flatten(2))
    return directions(features.shape[1], f.dtype, f.device) @ f


def describe(features: Tensor, guide: Tensor | None = None, window: Window | None = None) -> Tensor:
    """Computes the quantiles of features along each direction, as many as there are positions.

    Args:
        features: (B, C, h, w), of any floating type.
        guide: (B, 1, h, w), what each position counts; by default all count alike.
        window: all of the layer.

    Returns:
        (B, C, h·w), rising; the k-th of n is the quantile at (k + ½)/n.
    """
    values, order = project(features).sort(dim=2)
    if guide is None:
        return values
    reached = middles(guide, order)
    n = values.shape[2]
    levels = (torch.arange(n, device=values.device) + 0.5).to(values) / n
    above = torch.searchsorted(reached, levels.expand_as(reached).contiguous()).clamp(1, n - 1)
    low, high = reached.gather(2, above - 1), reached.gather(2, above)
    part = ((levels - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return torch.lerp(values.gather(2, above - 1), values.gather(2, above), part)


def middles(guide: Tensor, order: Tensor) -> Tensor:
    """Computes which share of the weight lies below the middle of each position, once sorted.

    Args:
        guide: (B, 1, h, w).
        order: (B, C, n), the positions from low to high along each direction.

    Returns:
        (B, C, n).
    """
    weights = sorted_shares(guide, order)
    return weights.cumsum(dim=2) - weights / 2


def sorted_shares(guide: Tensor, order: Tensor) -> Tensor:
    """Returns the share of the weight at each position, (B, C, n), in the given order."""
    return shares_of_positions(guide).flatten(2).expand_as(order).gather(2, order)


def resample(quantiles: Tensor, count: int) -> Tensor:
    """Interpolates quantiles (B, C, n) to `count` of them, (B, C, count)."""
    if quantiles.shape[2] == count:
        return quantiles
    return F.interpolate(quantiles, count, mode="linear", align_corners=False)


def blend(described: list[Tensor], shares: list[float]) -> Tensor:
    """Computes the quantiles of the Wasserstein barycentre along each direction."""
    return weighted_mean(match_shapes(described), shares)


def match_shapes(described: list[Tensor]) -> list[Tensor]:
    """Interpolates the quantiles of several styles to as many as the one that has most."""
    return [resample(one, max(each.shape[2] for each in described)) for one in described]


class SlicedWassersteinLoss(StyleLoss):
    """The mean over directions of the squared Wasserstein-2 distance along each.

    Args:
        target: from `describe`, (B, C, n) or (1, C, n).
        guide: (B, 1, h, w), what each position counts; by default all count alike.
    """

    target: Tensor

    def __init__(self, target: Tensor, guide: Tensor | None = None) -> None:
        super().__init__(guide)
        self.register_buffer("target", target.detach(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""
        values, order = project(features).sort(dim=2)
        if self.shares is None:
            target = resample(self.target, values.shape[2])
            return (values - target).square().mean(dim=(1, 2))
        at = middles(self.shares, order) * self.target.shape[2] - 0.5
        at = at.clamp(0, self.target.shape[2] - 1)
        below = at.floor().long()
        target = self.target.expand(len(values), -1, -1)
        above = (below + 1).clamp(max=target.shape[2] - 1)
        quantiles = torch.lerp(target.gather(2, below), target.gather(2, above), at - below)
        squares = (values - quantiles).square() * sorted_shares(self.shares, order)
        return squares.sum(dim=2).mean(dim=1)


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: sliced-wasserstein` names; see `style_kind`."""
    return StyleKind(describe, blend, SlicedWassersteinLoss, match_shapes)
