"""How alike images and their contents are: self-similarity, edges, SSIM, PSNR; and smoothness."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchmetrics.functional.image import total_variation as summed_variation

from nst_lightning.settings.sizes import fit
from nst_lightning.transfer.keep_colours import luma

POSITIONS = 32
"""Of CFSD, along the longest side: 4 MB per image instead of 1 GB at 512 px."""

TEMPERATURE = 0.07
"""Of He et al. 2020 (MoCo), where cosines of features are turned into distributions too."""

SOBEL = ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0))

WINDOW = 11
"""Side of the window of SSIM, in pixels."""


def pool_positions(features: Tensor) -> Tensor:
    """Averages (B, C, h, w) down to at most 32 positions along the longest side."""
    height, width = features.shape[-2:]
    return F.adaptive_avg_pool2d(features, fit(height, width, POSITIONS))


def log_self_similarity(features: Tensor) -> Tensor:
    """Returns the log softmax over each row of the cosines of positions, over the temperature.

    Args:
        features: (B, C, h, w).

    Returns:
        (B, h·w, h·w).
    """
    rows = F.normalize(features.flatten(2).mT, dim=2)
    return F.log_softmax(rows @ rows.mT / TEMPERATURE, dim=2)


def cfsd(features: Tensor, content: Tensor) -> Tensor:
    """Returns CFSD, the content feature structural distance: whether what was alike still is.

    Chung, Hyun & Heo 2024, "Style Injection in Diffusion" (StyleID): every position of VGG-19's
    relu3_1 is compared with every other, the softmax over each row of similarities makes a
    distribution of it, and the distance is the Kullback-Leibler divergence of the result's from the
    content's, here the mean over positions. Two things differ. Similarities are cosines (as in
    Kolkin, Salavon & Shakhnarovich 2019, "Style Transfer by Relaxed Optimal Transport and
    Self-Similarity") over a temperature, where theirs are products of features divided by their
    channels: numbers then do not depend on the scale of the network's activations. And positions
    are pooled, so that the cost does not grow with the fourth power of an image's side.

    Args:
        features: of images, (B, C, h, w): pool them with `pool_positions` first.
        content: of their contents, (B, C, h, w).

    Returns:
        (B,), in nats; 0 for the content itself.
    """
    found, expected = log_self_similarity(features), log_self_similarity(content)
    divergence = torch.sum(expected.exp() * (expected - found), dim=2)
    return divergence.mean(dim=1).clamp(min=0)


def edge_strength(images: Tensor) -> Tensor:
    """Returns the Sobel magnitude of the luma (ITU-R BT.601), away from the border.

    Args:
        images: (B, 3, H, W) in [0, 1], sides of at least 3.

    Returns:
        (B, H − 2, W − 2).
    """
    across = torch.tensor(SOBEL, dtype=images.dtype, device=images.device)
    slopes = F.conv2d(luma(images)[:, :1], torch.stack([across, across.T])[:, None])
    return slopes.square().sum(dim=1).sqrt()


def edge_agreement(images: Tensor, contents: Tensor) -> Tensor:
    """Returns Pearson's correlation of the edge strengths of images with those of their contents.

    Gradient magnitudes are what Xue et al. 2014 (GMSD) compare too. By a correlation of them, no
    threshold says what an edge is, and contrast may change as long as places do not.

    Args:
        images: (B, 3, H, W) in [0, 1].
        contents: (B, 3, H, W) in [0, 1].

    Returns:
        (B,) in [−1, 1]; 1 where edges are proportional; nan where one of the two has none.
    """
    if min(images.shape[-2:]) < 3:
        return images.new_full((len(images),), float("nan"))
    a, b = (edge_strength(each).flatten(1) for each in (images, contents))
    a, b = (each - each.mean(dim=1, keepdim=True) for each in (a, b))
    norms = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(norms > 0, (a * b).sum(dim=1) / norms, float("nan"))


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """Returns the structural similarity (Wang et al. 2004).

    Args:
        images: (B, 3, H, W) in [0, 1].
        others: (B, 3, H, W) in [0, 1].

    Returns:
        (B,), at most 1; nan below 11 pixels a side.
    """
    if min(images.shape[-2:]) < WINDOW:
        return images.new_full((len(images),), float("nan"))
    found = structural_similarity_index_measure(images, others, data_range=1.0, reduction="none")
    assert isinstance(found, Tensor)
    return found


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Returns the peak signal-to-noise ratio in dB of (B, 3, H, W) in [0, 1]: (B,), infinite where
    both are equal."""
    return peak_signal_noise_ratio(images, others, data_range=1.0, reduction="none", dim=(1, 2, 3))


def total_variation(images: Tensor) -> Tensor:
    """Returns Σ|dx| + |dy| over the values of (B, 3, H, W) in [0, 1] by their number: (B,)."""
    found: Tensor = summed_variation(images, reduction="none")
    return found / torch.tensor(images[0].numel(), dtype=found.dtype, device=found.device)
