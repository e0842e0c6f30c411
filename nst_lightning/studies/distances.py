"""How alike two pictures are, as numbers."""

from pathlib import Path

import torch
from torch import Tensor

from nst_lightning.evaluation import content_metrics
from nst_lightning.evaluation.style_metrics import colour_histogram, histogram_distance
from nst_lightning.imaging.read import load_image
from nst_lightning.imaging.resize import resize


def picture(path: Path, like: Tensor | None = None) -> Tensor:
    """A picture file, (1, 3, H, W) in [0, 1], brought to the size of another."""
    image = load_image(path)
    return image if like is None else resize(image, *like.shape[-2:])


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of two (1, 3, H, W) in [0, 1]; infinite where equal."""
    return float(content_metrics.psnr(a, b))


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity of two (1, 3, H, W) in [0, 1], at most 1; nan below 11 pixels."""
    return float(content_metrics.ssim(a, b))


def rms(a: Tensor, b: Tensor) -> float:
    """Root mean square of the difference, in [0, 1] units."""
    return float((a - b).square().mean().sqrt())


def colour_distance(a: Tensor, b: Tensor) -> float:
    """Total-variation distance of the joint RGB histograms, 8 bins a channel: 0 (the same colours)
    to 1 (none in common); sizes may differ."""
    return float(histogram_distance(colour_histogram(a), colour_histogram(b)))


def grain(image: Tensor) -> float:
    """Size of what a (1, 3, H, W) shows, in pixels: how far it must be shifted, across or down,
    until the correlation with itself, all channels together, falls to 1/2; nan for one colour.

    The autocorrelation of the picture repeated endlessly, by the Wiener-Khinchin theorem.
    """
    flat = image.double() - image.double().mean(dim=(2, 3), keepdim=True)
    power = torch.fft.rfft2(flat).abs().square()
    correlation = torch.fft.irfft2(power, s=flat.shape[-2:]).sum(dim=(0, 1))
    if correlation[0, 0] <= 0:
        return float("nan")
    correlation = correlation / correlation[0, 0]
    across = fall(correlation[0, : max(2, image.shape[3] // 2)])
    return (across + fall(correlation[: max(2, image.shape[2] // 2), 0])) / 2


def fall(correlation: Tensor) -> float:
    """Where a curve that starts at 1 first falls to 1/2, between samples; its end if nowhere."""
    below = (correlation <= 0.5).nonzero()
    if not len(below):
        return float(len(correlation))
    k = int(below[0])
    before, after = float(correlation[k - 1]), float(correlation[k])
    return k - 1 + (before - 0.5) / (before - after)
