"""Reliability against its formulas, written again with numpy, and on a disc that covers."""

import numpy as np
import pytest
import torch

from nst_lightning.video.flow import flow_between
from nst_lightning.video.reliability import matching, reliable
from nst_lightning.video.warping import warp
from tests.moving_images import Camera, Disc, positions, texture, with_noise

BOX = 15


def test_reliable_is_the_formula():
    random = torch.Generator().manual_seed(0)
    where = positions(24, 30)
    backward = 3 * torch.sin(where / 7) + 0.3 * torch.randn(1, 2, 24, 30, generator=random).round()
    forward = -backward + torch.randn(1, 2, 24, 30, generator=random)
    back = warp(forward, backward, "bilinear")[0].double().numpy()
    (u, v), (bu, bv) = backward[0].double().numpy(), back
    length = u**2 + v**2
    occluded = (u + bu) ** 2 + (v + bv) ** 2 > 0.01 * (length + bu**2 + bv**2) + 0.5

    def slopes(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, 1, mode="edge")
        across = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
        down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
        return across**2 + down**2

    boundary = slopes(u) + slopes(v) > 0.01 * length + 0.002
    x, y = where[0].numpy() + backward[0].numpy()
    outside = (x < -0.1) | (x > 29.1) | (y < -0.1) | (y > 23.1)
    expected = ~(occluded | boundary | outside)
    assert 0.02 < expected.mean() < 0.98
    assert np.array_equal(reliable(backward, forward)[0, 0].bool().numpy(), expected)


def test_what_a_disc_revealed_is_found():
    disc = Disc()
    now, before = disc.frame(1), disc.frame(0)
    unreliable = reliable(flow_between(now, before), flow_between(before, now)) == 0
    revealed = disc.revealed(1, 0)
    assert unreliable[revealed].float().mean() >= 0.9
    assert unreliable[~revealed].float().mean() <= 0.05


def test_what_comes_into_view_is_not_reliable():
    colours = texture()
    now, before = Camera(64, 128, (5.0, 0.0)).frame(colours), Camera(64, 128).frame(colours)
    found = reliable(flow_between(now, before), flow_between(before, now))
    assert not found[..., -5:].any()
    assert found[..., 4:-12].mean() > 0.97


def test_matching_is_the_formula():
    frame = Camera(40, 50).frame(texture())
    warped = with_noise(Camera(40, 50, (1.0, 0.5)).frame(texture()), 3, 0)
    weights = np.array([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    luma, other = ((each[0].double().numpy() * weights).sum(0) for each in (frame, warped))
    expected = np.zeros((40, 50), bool)
    for y in range(40):
        for x in range(50):
            box = (
                slice(max(y - BOX // 2, 0), y + BOX // 2 + 1),
                slice(max(x - BOX // 2, 0), x + BOX // 2 + 1),
            )
            missed = ((luma[box] - other[box]) ** 2).mean()
            expected[y, x] = missed <= 0.1 * luma[box].var() + (4 / 255) ** 2
    assert 0.02 < expected.mean() < 0.98
    assert (matching(frame, warped)[0, 0].bool().numpy() == expected).mean() > 0.995


@pytest.mark.parametrize(("shift", "share"), [((0.1, 0.0), 0.99), ((30.0, 12.0), 0.1)])
def test_only_what_shows_the_same_matches(shift: tuple[float, float], share: float) -> None:
    colours = texture()
    found = matching(Camera(96, 96).frame(colours), Camera(96, 96, shift).frame(colours)).mean()
    assert found >= share if share > 0.5 else found <= share
