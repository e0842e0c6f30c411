"""Warping against a bicubic sampler of numpy's, and where it has to be exact."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning.video.warping import inside, warp
from tests.moving_images import positions


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def cubic(distance: float) -> float:
    """Keys 1981 with a = −0.75."""
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def linear(distance: float) -> float:
    return max(0.0, 1 - abs(distance))


def sampled(image: np.ndarray, x: float, y: float, mode: str) -> np.ndarray:
    """Samples (C, H, W) at a place, pixel by pixel; outside, the border goes on."""
    kernel = cubic if mode == "bicubic" else linear
    height, width = image.shape[1:]
    total = np.zeros(len(image))
    for row in range(math.floor(y) - 1, math.floor(y) + 3):
        for column in range(math.floor(x) - 1, math.floor(x) + 3):
            pixel = image[:, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            total += kernel(x - column) * kernel(y - row) * pixel
    return total


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_warp_samples_between_pixels(mode: str) -> None:
    image, flow = draw(1, 2, 9, 13), 8 * draw(1, 2, 9, 13, seed=1) - 4
    found = warp(image, flow, mode)  # type: ignore[arg-type]
    pixels = image[0].double().numpy()
    expected = np.zeros((2, 9, 13))
    for y in range(9):
        for x in range(13):
            u, v = flow[0, :, y, x].tolist()
            expected[:, y, x] = sampled(pixels, x + u, y + v, mode)
    np.testing.assert_allclose(found[0].numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (37, 101), (64, 960)])
@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_without_motion_the_image_is_the_same_bit_for_bit(size: tuple[int, int], mode: str) -> None:
    image = draw(1, 3, *size)
    assert torch.equal(warp(image, torch.zeros(1, 2, *size), mode), image)  # type: ignore[arg-type]


def test_motion_by_whole_pixels_is_exact_and_continues_the_border():
    image = draw(1, 3, 40, 51)
    flow = torch.tensor([7.0, -3.0]).view(1, 2, 1, 1).expand(1, 2, 40, 51)
    x, y = (positions(40, 51)[0] + flow[0]).long()
    assert torch.equal(warp(image, flow), image[:, :, y.clamp(0, 39), x.clamp(0, 50)])


def test_inside_reaches_from_the_first_pixel_to_the_last():
    flow = torch.zeros(1, 2, 2, 4)
    flow[0, 0] = torch.tensor([[0.0, -1.0, 1.2, 0.0], [-0.2, 2.0, 1.05, 0.2]])
    flow[0, 1, 0, 3] = -0.2
    flow[0, 1, 0, 0] = 1.05
    assert inside(flow)[0, 0].tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]
