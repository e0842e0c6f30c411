"""The mean and the second moment of features, of which most statistics of a style are made.

Both are sums over the positions, each with its share, so that those of the parts of a layer add up
to those of the whole.
"""

import torch
from torch import Tensor

from nst_lightning.losses.upcast import upcast
from nst_lightning.windows import Window


def moments(features: Tensor, shares: Tensor | float | None = None) -> tuple[Tensor, Tensor]:
    """Computes the mean and the raw second moment of features over their positions.

    Unlike covariances, both may be blended: shares of several give those of the mixture.

    Args:
        features: (B, C, h, w), of any floating type.
        shares: what each position counts, (B, 1, h, w) or one number for all; they sum to 1 over
            the whole layer. By default all count alike, and the features are all there are.

    Returns:
        (B, C) and (B, C, C), both in float32 (float64 for float64 features).
    """
    if shares is None:
        shares = position_shares(features)
    with torch.autocast(features.device.type, enabled=False):
        f = upcast(features.flatten(2))
        weighted = f * (shares.flatten(2) if isinstance(shares, Tensor) else shares)
        return weighted.sum(dim=-1), torch.bmm(weighted, f.transpose(1, 2))


def position_shares(
    features: Tensor, guide: Tensor | None = None, window: Window | None = None
) -> Tensor | float:
    """Returns what each position of features (B, C, h, w) counts among those of the whole layer.

    Args:
        features: of the layer, or of a part of it.
        guide: (B, 1, h, w) of the whole layer, at least 0; by default all count alike.
        window: the part that the features are; by default all of it.
    """
    if guide is not None:
        shares = shares_of_positions(guide)
        return shares if window is None else window.cut(shares)
    return 1 / (features[0, 0].numel() if window is None else window.count)


def shares_of_positions(guide: Tensor) -> Tensor:
    """Divides a guide (B, 1, h, w) by its sum; all zeros stay zeros."""
    total = guide.sum(dim=(2, 3), keepdim=True)
    return guide / total.clamp(min=torch.finfo(guide.dtype).tiny)


def covariance(mean: Tensor, second: Tensor) -> Tensor:
    """Computes the covariance (B, C, C) from the moments (B, C) and (B, C, C)."""
    return second - mean[:, :, None] * mean[:, None, :]
