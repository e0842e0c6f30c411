"""Continuing a result beyond its border."""

import pytest
import torch
from torch import Tensor

from nst_lightning.video.continuing import FURTHER_IN, continued, sums_around
from nst_lightning.video.warping import warp

HEIGHT, WIDTH = 24, 32


def moved(x: float, y: float) -> Tensor:
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    flow[:, 0], flow[:, 1] = x, y
    return flow


def noise() -> Tensor:
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("flow", [(0, 0), (0.05, -0.05), (3, -2), (-2.5, 1.25)])
def test_inside_it_is_the_image_along_the_flow(flow: tuple[float, float]):
    image, along = noise(), moved(*flow)
    there = continued(image, along)[..., 3:-3, 3:-3]
    torch.testing.assert_close(there, warp(image, along)[..., 3:-3, 3:-3], rtol=0, atol=0)


@pytest.mark.parametrize("flow", [(5, 0), (-5, 0), (0, 5), (0, -5), (4, 4), (40, -30)])
def test_a_plain_image_stays_plain(flow: tuple[float, float]):
    plain = torch.full((1, 3, HEIGHT, WIDTH), 0.4)
    torch.testing.assert_close(continued(plain, moved(*flow)), plain)


def test_strokes_come_from_a_quarter_further_in():
    image = noise()
    by = int(FURTHER_IN * WIDTH)
    entered = continued(image, moved(4, 0))[..., -4:]
    taken = image[..., -by : 4 - by]
    assert (entered - taken).std(dim=3).max() < 1e-6  # a shift for each row of the four columns
    assert warp(image, moved(4, 0))[..., -4:].std(dim=3).max() == 0


def test_noise_at_the_other_border_moves_nothing():
    image = noise()
    steady, noisy = (continued(image, moved(4, y)) for y in (0, -0.05))
    assert (noisy - steady)[..., 1, :].abs().max() > 0
    torch.testing.assert_close(noisy[..., 0, :], steady[..., 0, :], rtol=0, atol=0.1)


def test_the_sums_are_those_of_boxes():
    values = noise().double()
    down, across = int(FURTHER_IN * HEIGHT) // 2, int(FURTHER_IN * WIDTH) // 2
    found = sums_around(values)
    for y, x in ((0, 0), (HEIGHT - 1, WIDTH - 1), (11, 17), (0, 20), (5, 31)):
        rows = slice(max(0, y - down), y + down + 1)
        columns = slice(max(0, x - across), x + across + 1)
        expected = values[..., rows, columns].sum(dim=(-2, -1))
        torch.testing.assert_close(found[..., y, x], expected)


def test_there_is_no_step_of_colour_at_the_border():
    """A ramp of colour goes on at the border's colour, not at that of further in."""
    ramp = torch.linspace(0, 1, WIDTH).expand(1, 3, HEIGHT, WIDTH).contiguous()
    entered = continued(ramp, moved(4, 0))[..., -4:]
    assert (entered - 1).abs().max() < 0.06
    assert (warp(ramp, moved(4 - FURTHER_IN * WIDTH, 0))[..., -4:] - 1).abs().min() > 0.1
