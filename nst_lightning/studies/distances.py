"""How alike images of a study are, as numbers."""

from pathlib import Path

import torch
from torch import Tensor

from nst_lightning.evaluation import content_metrics
from nst_lightning.evaluation.style_metrics import colour_histogram, histogram_distance
from nst_lightning.imaging.reading import load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.studies.results import Result


def read_result(result: Result) -> Tensor:
    """Reads a result, (1, 3, H, W) in [0, 1]."""
    return load_image(result.path, max_pixels=result.max_pixels)


def read_input(result: Result, path: Path, like: Tensor | None = None) -> Tensor:
    """Reads an image that a result was made from, brought to the size of another as it was then."""
    image = load_image(path, max_pixels=result.max_pixels)
    if like is None:
        return image
    return resize(image, *like.shape[-2:], how=result.record.resampling)


def psnr(a: Tensor, b: Tensor) -> float:
    """Returns the PSNR in dB of two (1, 3, H, W) in [0, 1]; infinite where they are equal."""
    return float(content_metrics.psnr(a, b))


def ssim(a: Tensor, b: Tensor) -> float:
    """Returns the SSIM of two (1, 3, H, W) in [0, 1], at most 1; nan below 11 pixels."""
    return float(content_metrics.ssim(a, b))


def rms(a: Tensor, b: Tensor) -> float:
    """Returns the root mean square of the difference, in [0, 1] units."""
    return float((a - b).square().mean().sqrt())


def colour_distance(a: Tensor, b: Tensor) -> float:
    """Returns how far the joint RGB histograms are apart, 8 bins a channel; sizes may differ.

    It is 0 for the same colours, 1 for none in common.
    """
    return float(histogram_distance(colour_histogram(a), colour_histogram(b)))


def grain(image: Tensor) -> float:
    """Returns the size of what a (1, 3, H, W) shows, in pixels; nan for one colour.

    It is how far the image must be shifted, across or down, until the correlation with itself, all
    channels together, falls to 1/2.

    The autocorrelation of the image repeated endlessly, by the Wiener-Khinchin theorem.
    """
    flat = image.double() - image.double().mean(dim=(2, 3), keepdim=True)
    power = torch.fft.rfft2(flat).abs().square()
    correlation = torch.fft.irfft2(power, s=flat.shape[-2:]).sum(dim=(0, 1))
    if correlation[0, 0] <= 0:
        return float("nan")
    correlation = correlation / correlation[0, 0]
    across = find_fall(correlation[0, : max(2, image.shape[3] // 2)])
    return (across + find_fall(correlation[: max(2, image.shape[2] // 2), 0])) / 2


def find_fall(correlation: Tensor) -> float:
    """Returns where a curve that starts at 1 first falls to 1/2, between samples, or its end."""
    below = (correlation <= 0.5).nonzero()
    if not len(below):
        return float(len(correlation))
    k = int(below[0])
    before, after = float(correlation[k - 1]), float(correlation[k])
    return k - 1 + (before - 0.5) / (before - after)
