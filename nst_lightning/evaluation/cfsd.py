"""CFSD, content feature structural distance: whether what was alike in the content still is.

Chung, Hyun & Heo 2024, "Style Injection in Diffusion" (StyleID): every position of VGG-19's relu3_1
is compared with every other, the softmax over each row of similarities makes a distribution of it,
and the distance is the Kullback-Leibler divergence of the result's from the content's. Two things
differ. Similarities are cosines (as in Kolkin, Salavon & Shakhnarovich 2019, "Style Transfer by
Relaxed Optimal Transport and Self-Similarity") over a temperature, where theirs are products of
features divided by their channels: numbers then do not depend on the scale of the network's
activations. And positions are pooled, so that the cost does not grow with the fourth power of a
picture's side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.evaluation.per_image import PerImage
from nst_lightning.settings.sizes import fit

POSITIONS = 32
"""Along the longest side: 4 MB per picture instead of 1 GB at 512 px."""

TEMPERATURE = 0.07
"""Of He et al. 2020 (MoCo), where cosines of features are turned into distributions too."""


def structure(features: Tensor) -> Tensor:
    """(B, C, h, w), averaged down to at most 32 positions along the longest side."""
    height, width = features.shape[-2:]
    return F.adaptive_avg_pool2d(features, fit(height, width, POSITIONS))


def log_self_similarity(features: Tensor) -> Tensor:
    """log softmax over each row of the cosines of positions, divided by the temperature.

    Args:
        features: (B, C, h, w).

    Returns:
        (B, h·w, h·w).
    """
    rows = F.normalize(features.flatten(2).mT, dim=2)
    return F.log_softmax(rows @ rows.mT / TEMPERATURE, dim=2)


def cfsd(features: Tensor, content: Tensor) -> Tensor:
    """KL(content's self-similarity ‖ the picture's), the mean over positions.

    Args:
        features: of pictures, (B, C, h, w): pool them with `structure` first.
        content: of their contents, (B, C, h, w).

    Returns:
        (B,), in nats; 0 for the content itself.
    """
    mine, wanted = log_self_similarity(features), log_self_similarity(content)
    divergence = torch.sum(wanted.exp() * (wanted - mine), dim=2)
    return divergence.mean(dim=1).clamp(min=0)


class CFSD(PerImage):
    """`cfsd` of each image."""

    higher_is_better = False

    def measure(self, *inputs: Tensor) -> Tensor:
        """Features of pictures and of contents, (B, C, h, w) each, → (B,)."""
        return cfsd(*(structure(features) for features in inputs))
