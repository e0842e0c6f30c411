"""The temporal loss against its formula written out, and its gradient in windows."""

import pytest
import torch
from torch import Tensor

from nst_lightning.losses.temporal import TemporalLoss
from nst_lightning.video.temporal_target import Temporal
from nst_lightning.windows import Window, tiles

GENERATOR = torch.Generator().manual_seed(9)


def values(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=GENERATOR, dtype=torch.float64)


def test_it_is_the_mean_of_the_weighted_squares():
    image, target, weight = values(2, 3, 4, 5), values(2, 3, 4, 5), values(2, 1, 4, 5)
    expected = []
    for b in range(2):
        total = 0.0
        for c in range(3):
            for y in range(4):
                for x in range(5):
                    apart = float(image[b, c, y, x]) - float(target[b, c, y, x])
                    total += float(weight[b, 0, y, x]) * apart**2
        expected.append(total / 60)
    found = TemporalLoss(Temporal(target, weight, 0 * weight))(image)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("side", [None, 4])
def test_windows_add_up_to_it_and_to_its_gradient(side: int | None):
    image = values(2, 3, 9, 7).requires_grad_(True)
    loss = TemporalLoss(Temporal(values(2, 3, 9, 7), values(2, 1, 9, 7), values(2, 1, 9, 7)))
    whole = loss(image)
    (expected,) = torch.autograd.grad(whole.sum(), image)
    total, gradient = torch.zeros(2, dtype=torch.float64), torch.zeros_like(expected)
    for window in tiles(Window.all_of(9, 7), side):
        value, slope = loss.value_and_gradient(image.detach(), window)
        total += value
        window.cut(gradient).copy_(slope)
    torch.testing.assert_close(total, whole.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-16)
