"""Areas without texture move with the camera."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning.video.flow import flow_between
from nst_lightning.video.plain_areas import camera_motion, textured
from nst_lightning.video.reliability import reliable
from tests.moving_images import Camera, positions, texture, with_noise

EDGE = 100
SIZE = (160, 224)


def half_plain(at: Tensor) -> Tensor:
    """A texture that is nearly plain left of an edge, like a sky."""
    share = torch.sigmoid((at[:, :1] - EDGE) / 1.5)
    return share * texture()(at) + (1 - share) * (0.6 + 0.0002 * at[:, 1:])


def before_a_wall(time: int) -> Tensor:
    """A textured disc that moves before a plain wall."""
    from_centre = positions(*SIZE) - torch.tensor([80.0 + 5 * time, 80.0]).view(1, 2, 1, 1)
    share = torch.sigmoid(30 - from_centre.norm(dim=1, keepdim=True))
    return share * texture(1)(from_centre) + (1 - share) * 0.6


@pytest.mark.parametrize(
    "moved",
    [Camera(*SIZE), Camera(*SIZE, shift=(3.5, 1.0)), Camera(*SIZE, zoom=1.02, degrees=0.5)],
)
def test_a_plain_area_moves_with_the_camera_whatever_its_noise(moved: Camera) -> None:
    start = Camera(*SIZE)
    frames = [
        with_noise(each.frame(half_plain), 2, seed) for seed, each in enumerate((start, moved))
    ]
    backward, forward = flow_between(*frames), flow_between(*frames[::-1])
    plain = (..., slice(12, -12), slice(12, EDGE - 15))
    error = (backward - start.flow_to(moved)).norm(dim=1, keepdim=True)[plain]
    assert error.mean() < 0.15
    assert reliable(backward, forward)[plain].mean() > 0.95


def test_a_plain_wall_stands_still_behind_what_moves():
    frames = [with_noise(before_a_wall(time), 1, time) for time in range(2)]
    flow = flow_between(*frames)
    from_centre = (positions(*SIZE) - torch.tensor([80.0, 80.0]).view(1, 2, 1, 1)).norm(dim=1)
    length = flow.norm(dim=1)
    assert length[from_centre > 50].max() < 0.01
    assert (length[from_centre < 15] - 5).abs().mean() < 0.1


def test_texture_is_told_from_noise():
    noise = np.random.default_rng(0).normal(128, 2, (64, 64)).astype(np.float32)
    assert textured(noise).max() == 0
    waves = 128 + 20 * np.sin(np.arange(64, dtype=np.float32) / 3) * np.ones((64, 1), np.float32)
    assert textured(waves)[8:-8, 8:-8].min() == 1


def test_camera_motion_is_fitted_to_what_agrees():
    true = Camera(*SIZE).flow_to(Camera(*SIZE, shift=(2.0, -1.0), zoom=1.03, degrees=1.0))
    flow = true[0].permute(1, 2, 0).numpy().copy()
    flow[100:, 30:120] = (20.0, 9.0)
    found = camera_motion(flow, np.ones(SIZE, np.float32))
    np.testing.assert_allclose(found, true[0].permute(1, 2, 0).numpy(), atol=0.05)


def test_camera_stands_still_where_little_shows_its_motion():
    flow = np.full((*SIZE, 2), 3.0, np.float32)
    weight = np.zeros(SIZE, np.float32)
    weight[40:120, 50:150] = 1
    weight[-15:, 90:130] = 1
    assert not camera_motion(flow, weight).any()
    np.testing.assert_allclose(camera_motion(flow, np.ones(SIZE, np.float32)), flow, rtol=1e-4)
