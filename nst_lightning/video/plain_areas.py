"""Motion in areas without texture, which show none: sky, walls, and whatever noise lies over them.

A search for motion finds that of the noise there, or of what moves before them. They are taken to
move with the camera, whose motion is that of the frame's outer parts. At one level of noise over a
plain half of a frame that panned, 9 % of the flow there was consistent, with an error of 2.9 px;
taken from the camera, all of it, with an error of 0.01 px.
"""

import numpy as np

NOISE_BOX = 5
"""Pixels a side of the box by which noise is averaged out, twice."""
TEXTURE_BOX = 9
"""Pixels a side of the box whose deviation says how much texture there is."""
LEAST_TEXTURE = 1.0
"""Levels of deviation that noise of four levels a channel does not reach once it is averaged."""

OUTER = 8
"""The outer parts are an eighth of the frame at each side."""
LEAST_SHARE = 0.1
"""Of the outer parts, what must have texture; less may belong to somebody before a plain wall."""
STILL = 0.25
"""Pixels; what moves less stands still."""
STILL_SHARE = 0.2
"""Of the textured outer parts, what must stand still for the camera to do so: large things that
pass before it may be most of what has texture."""
POINTS = 64
"""Points to which a motion is fitted, along the shorter side."""
ROUNDS = 10
STRAY = 1.0
"""Pixels off the camera's motion at which a flow counts a quarter, in the end."""


def textured(luma: np.ndarray) -> np.ndarray:
    """Says how far pixels have texture around them.

    Args:
        luma: in levels, float32 (H, W).

    Returns:
        (H, W) in [0, 1], float32.
    """
    import cv2

    noise_box, box = (NOISE_BOX, NOISE_BOX), (TEXTURE_BOX, TEXTURE_BOX)
    smooth = cv2.blur(cv2.blur(luma, noise_box), noise_box)
    variance = cv2.blur(smooth**2, box) - cv2.blur(smooth, box) ** 2
    weight = (variance / LEAST_TEXTURE**2 - 0.5).clip(0, 1)
    # The boxes reach from textured areas into plain ones; what they reach is taken back.
    reach = TEXTURE_BOX + 2 * (NOISE_BOX - 1)
    return np.asarray(cv2.erode(weight, np.ones((reach, reach), dtype=np.uint8)))


def camera_motion(flow: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fits an affine motion to the outer parts of a flow, by least squares without what strays.

    Weights are those of Geman & McClure, wide at first, from the median motion on.

    Args:
        flow: (H, W, 2) in pixels.
        weight: of its pixels, (H, W) in [0, 1].

    Returns:
        The fitted flow (H, W, 2), float32; zeros if too little of the outer parts has weight, or
        enough of them stands still.
    """
    height, width = weight.shape
    step = max(min(height, width) // POINTS, 1)
    outer = np.zeros((height, width), dtype=bool)
    outer[::step, ::step] = True
    outer[height // OUTER : -(height // OUTER), width // OUTER : -(width // OUTER)] = False
    counted = outer & (weight > 0.5)
    still = (flow[counted] ** 2).sum(axis=1) < STILL**2
    if counted.sum() < LEAST_SHARE * outer.sum() or still.mean() > STILL_SHARE:
        return np.zeros_like(flow)
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width) - 0.5
    motion = _fit(np.stack([x[counted], y[counted]]), flow[counted].T).astype(np.float32)
    constant, by_x, by_y = motion[:, None, None]
    return np.asarray(constant + x[..., None] * by_x + y[..., None] * by_y)


def _fit(places: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """Returns the constant motion and its slopes along x and y, (3, 2), of flows (2, N) at places
    (2, N)."""
    points = np.stack([np.ones_like(places[0]), *places]).astype(np.float64)
    motion = np.zeros((3, 2))
    motion[0] = np.median(flows, axis=1)
    spread = np.abs(flows - motion[0, :, None]).max()
    for turn in range(ROUNDS):
        # Sums, and no matrix products: they do not depend on the number of threads.
        off = flows - (motion[:, :, None] * points[:, None]).sum(axis=0)
        stray = max(STRAY, spread / 2**turn)
        weighted = points / (1 + (off**2).sum(axis=0) / stray**2) ** 2
        square = (weighted[:, None] * points).sum(axis=2) + 1e-6 * points.shape[1] * np.eye(3)
        motion = np.linalg.solve(square, (weighted[:, None] * flows).sum(axis=2))
    return motion
