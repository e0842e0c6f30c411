"""The motion from one frame to another: dense optical flow by OpenCV's DIS."""

import numpy as np
import torch
from torch import Tensor

from nst_lightning.video.plain_areas import camera_motion, textured

LUMA = (0.299, 0.587, 0.114)
"""The weights of ITU-R BT.601."""

FINEST_SCALE = 0
"""Descends to the full size, where the preset MEDIUM stops at half of it. At 512², on one core, a
pan of 3.5 px takes 107 ms instead of 23 ms, with errors of 0.01 to 0.04 px instead of 0.04 to
0.06 px, which counts where results are warped again and again. A stride of 5 with 12 descents takes
64 ms and is as exact, but finds 82 % instead of all of a motion of 12 % of a frame of 256²."""

SMALLEST = 16
"""Pixels that a side needs: two of the method's patches."""


def flow_between(first: Tensor, second: Tensor) -> Tensor:
    """Computes the motion of every pixel by dense inverse search (Kroeger et al. 2016).

    The same frames give the same flow, whatever the number of threads.

    Args:
        first: a frame, (1, 3, H, W) in [0, 1].
        second: a frame of the same size.

    Returns:
        The flow (1, 2, H, W) in pixels (x, y), float32, where the frames are, so that
        second(p + flow(p)) ≈ first(p).
    """
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(FINEST_SCALE)
    height, width = first.shape[-2:]
    # Of a frame that is smaller than that, the last row and column are repeated.
    more = (0, max(SMALLEST - height, 0)), (0, max(SMALLEST - width, 0))
    before, after = (np.pad(_luma(frame), more, mode="edge") for frame in (first, second))
    start = np.zeros((*before.shape, 2), dtype=np.float32)
    found = np.asarray(search.calc(_bytes(before), _bytes(after), start))
    share = textured(before)
    flow = share[..., None] * found + (1 - share[..., None]) * camera_motion(found, share)
    return torch.from_numpy(flow[:height, :width].transpose(2, 0, 1).copy())[None].to(first.device)


def _luma(frame: Tensor) -> np.ndarray:
    """Returns the luma of a frame in levels, float32 (H, W)."""
    weights = torch.tensor(LUMA).view(3, 1, 1)
    return np.asarray(255 * (frame[0].float().cpu() * weights).sum(dim=0))


def _bytes(luma: np.ndarray) -> np.ndarray:
    return np.asarray(luma.round().clip(0, 255), dtype=np.uint8)
