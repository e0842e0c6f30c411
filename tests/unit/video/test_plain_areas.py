"""Areas without texture move as what is around them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning.video.flow import flow_between
from nst_lightning.video.plain_areas import filled, textured
from nst_lightning.video.reliability import reliable
from tests.moving_images import Camera, Texture, positions, texture, with_noise

EDGE = 100
SIZE = (160, 224)


def half_plain(at: Tensor) -> Tensor:
    """A texture that is nearly plain left of an edge, like a sky."""
    share = torch.sigmoid((at[:, :1] - EDGE) / 1.5)
    return share * texture()(at) + (1 - share) * (0.6 + 0.0002 * at[:, 1:])


def noisy(camera: Camera, of: Texture, seed: int) -> Tensor:
    return with_noise(camera.frame(of), 2, seed)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.5, 1.0)])
def test_noise_over_a_plain_area_does_not_move(shift: tuple[float, float]) -> None:
    start, moved = Camera(*SIZE), Camera(*SIZE, shift=shift)
    frames = noisy(start, half_plain, 0), noisy(moved, half_plain, 1)
    backward, forward = flow_between(*frames), flow_between(*frames[::-1])
    plain = (..., slice(12, -12), slice(12, EDGE - 15))
    error = (backward - start.flow_to(moved)).norm(dim=1, keepdim=True)[plain]
    assert error.mean() < 0.1
    assert reliable(backward, forward)[plain].mean() > 0.95


def test_texture_is_told_from_noise():
    noise = np.random.default_rng(0).normal(128, 2, (64, 64)).astype(np.float32)
    assert textured(noise).max() == 0
    waves = 128 + 20 * np.sin(np.arange(64, dtype=np.float32) / 3) * np.ones((64, 1), np.float32)
    assert textured(waves)[0, 0, 8:-8, 8:-8].min() == 1


def test_filled_takes_the_nearest():
    flow, weight = torch.zeros(1, 2, 33, 70), torch.zeros(1, 1, 33, 70)
    flow[..., :10], weight[..., :10] = 2.0, 1.0
    flow[..., 60:], weight[..., 60:] = -3.0, 1.0
    flow[..., 10:60] = 100.0  # has no weight
    found = filled(flow, weight)
    assert torch.equal(found[..., :10], flow[..., :10])
    assert torch.equal(found[..., 60:], flow[..., 60:])
    assert found[..., 10:20].mean() > 1
    assert found[..., 50:60].mean() < -2
    assert found.min() >= -3.001
    assert found.max() <= 2.001


def test_filled_is_zero_where_nothing_has_weight():
    flow = positions(9, 13)
    assert not filled(flow, torch.zeros(1, 1, 9, 13)).any()
    assert torch.equal(filled(flow, torch.ones(1, 1, 9, 13)), flow)
