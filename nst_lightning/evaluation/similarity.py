"""torchmetrics' own metrics, one value per image."""

import torch
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchmetrics.functional.image import total_variation as summed_variation

WINDOW = 11
"""Side of the window of SSIM."""


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004).

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
    """Peak signal-to-noise ratio in dB of (B, 3, H, W) in [0, 1] → (B,); infinite where equal."""
    return peak_signal_noise_ratio(images, others, data_range=1.0, reduction="none", dim=(1, 2, 3))


def total_variation(images: Tensor) -> Tensor:
    """Σ|dx| + |dy| over all values, divided by their number: (B, 3, H, W) in [0, 1] → (B,)."""
    found: Tensor = summed_variation(images, reduction="none")
    return found / torch.tensor(images[0].numel(), dtype=found.dtype, device=found.device)
