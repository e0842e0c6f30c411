"""How much of its colours a picture shares with the style."""

import torch
from torch import Tensor

from nst_lightning.evaluation.per_image import PerImage

BINS = 8
"""Of each channel in a colour histogram."""


def colour_histogram(images: Tensor) -> Tensor:
    """The share of each of the 8³ colours.

    Args:
        images: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 512), each row summing to 1.
    """
    level = (images * BINS).long().clamp(0, BINS - 1).flatten(2)
    index = (level[:, 0] * BINS + level[:, 1]) * BINS + level[:, 2]
    counts = [torch.bincount(row, minlength=BINS**3) for row in index]
    return torch.stack(counts) / index.shape[1]


def histogram_distance(shares: Tensor, style: Tensor) -> Tensor:
    """Total-variation distance of histograms: 0 (the same colours) to 1 (none in common).

    Half the L1 distance; 1 minus the intersection of Swain & Ballard 1991.

    Args:
        shares: (B, K), each row summing to 1.
        style: (B, K) or (1, K).

    Returns:
        (B,).
    """
    return (shares - style).abs().sum(dim=1) / 2


class ColourHistogramDistance(PerImage):
    """`histogram_distance` of each image."""

    higher_is_better = False

    def measure(self, *inputs: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [0, 1] and the style's histogram, (B, 512) or (1, 512)."""
        images, style = inputs
        return histogram_distance(colour_histogram(images), style)
