"""Flow between frames whose motion is known."""

import cv2
import pytest
import torch

from nst_lightning.video.flow import flow_between
from tests.moving_images import Camera, positions, texture

BORDER = 16
START = Camera(160, 256)


@pytest.mark.parametrize(
    ("moved", "most"),
    [
        (Camera(160, 256, (3.5, 0.0)), 0.03),
        (Camera(160, 256, (-0.4, 0.2)), 0.03),
        (Camera(160, 256, zoom=1.05), 0.1),
        (Camera(160, 256, degrees=3.0), 0.15),
        (Camera(160, 256, (20.0, 5.0)), 0.1),
    ],
)
def test_flow_is_the_motion(moved: Camera, most: float) -> None:
    colours = texture()
    found = flow_between(START.frame(colours), moved.frame(colours))
    assert found.shape == (1, 2, 160, 256)
    assert found.dtype == torch.float32
    true = START.flow_to(moved)
    target = positions(160, 256) + true
    far = torch.tensor([255.0, 159.0]).view(1, 2, 1, 1) - BORDER
    seen = ((target >= BORDER) & (target <= far)).all(dim=1)
    seen[:, :BORDER], seen[:, -BORDER:] = False, False
    seen[..., :BORDER], seen[..., -BORDER:] = False, False
    assert (found - true).norm(dim=1)[seen].mean() < most


def test_flow_does_not_depend_on_the_number_of_threads():
    colours = texture()
    frames = START.frame(colours), Camera(160, 256, (3.5, 1.0), 1.02, 1.0).frame(colours)
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 2, 3, 8):
            cv2.setNumThreads(threads)
            found.append(flow_between(*frames))
    finally:
        cv2.setNumThreads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_still_frames_have_no_flow():
    frame = START.frame(texture())
    assert not flow_between(frame, frame).any()


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (17, 31), (64, 15), (16, 16)])
def test_small_frames_have_a_flow(size: tuple[int, int]) -> None:
    colours = texture()
    start, moved = Camera(*size), Camera(*size, shift=(1.0, 0.0))
    found = flow_between(start.frame(colours), moved.frame(colours))
    assert found.shape == (1, 2, *size)
    assert found.isfinite().all()
    if min(size) > 1:
        assert (found - start.flow_to(moved)).norm(dim=1).mean() < 0.2
