"""The mean and the second moment of features, of which most statistics of a style are made."""

import torch
from torch import Tensor

from nst_lightning.losses.upcast import upcast


def moments(features: Tensor, guide: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Computes the mean and the raw second moment of features over their positions.

    Unlike covariances, both may be blended: shares of several give those of the mixture.

    Args:
        features: (B, C, h, w), of any floating type.
        guide: (B, 1, h, w), what each position counts, at least 0; by default all count alike.

    Returns:
        (B, C) and (B, C, C), both in float32 (float64 for float64 features).
    """
    with torch.autocast(features.device.type, enabled=False):
        f = upcast(features.flatten(2))
        weighted = f / f.shape[-1] if guide is None else f * shares_of_positions(guide).flatten(2)
        return weighted.sum(dim=-1), torch.bmm(weighted, f.transpose(1, 2))


def shares_of_positions(guide: Tensor) -> Tensor:
    """Divides a guide (B, 1, h, w) by its sum; all zeros stay zeros."""
    total = guide.sum(dim=(2, 3), keepdim=True)
    return guide / total.clamp(min=torch.finfo(guide.dtype).tiny)


def covariance(mean: Tensor, second: Tensor) -> Tensor:
    """Computes the covariance (B, C, C) from the moments (B, C) and (B, C, C)."""
    return second - mean[:, :, None] * mean[:, None, :]
