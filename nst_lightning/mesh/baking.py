"""Colours of vertices, painted into a texture."""

import numpy as np
import torch
from torch import Tensor

from nst_lightning.mesh.growing import grow
from nst_lightning.mesh.placed_faces import Array

_AT_ONCE = 1 << 22
"""Texels that are looked at in one go, for the sake of memory."""


def bake(uv: Array, colours: Array, size: tuple[int, int]) -> Tensor:
    """Paints faces into a texture, their colours interpolated between the corners.

    A texel has the colour of the last face that its middle lies in. What lies in none has that of
    the nearest that does, `GROWN` texels far, and beyond that the mean colour.

    Args:
        uv: (F, 3, 2), the corners in the texture, v downwards; what lies outside [0, 1] is cut off.
        colours: (F, 3, 3) in [0, 1], sRGB values.
        size: (height, width) of the texture.

    Returns:
        (3, h, w) float32 in [0, 1].

    Raises:
        UserError: scipy is not installed.
    """
    height, width = size
    image = np.zeros((height * width, 3), np.float32)
    painted = np.zeros(height * width, bool)
    # Texel (y, x) has its middle at (x, y) + ½; from here on that is (x, y).
    at = uv * (width, height) - 0.5
    low = np.clip(np.ceil(at.min(axis=1) - 1e-9), 0, (width, height)).astype(np.int64)
    high = np.clip(np.floor(at.max(axis=1) + 1e-9) + 1, 0, (width, height)).astype(np.int64)
    across, down = np.maximum(high - low, 0).T
    ends = np.cumsum(across * down)
    start = 0
    while start < len(at):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        some = np.arange(start, stop)
        counts = (across * down)[some]
        face = np.repeat(some, counts)
        nth = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
        x = low[face, 0] + nth % np.maximum(across[face], 1)
        y = low[face, 1] + nth // np.maximum(across[face], 1)
        weights = _barycentric(at[face], np.stack([x, y], axis=1))
        inside = (weights >= -1e-6).all(axis=1)
        texel = (y * width + x)[inside]
        image[texel] = np.einsum("nk,nkc->nc", weights[inside], colours[face[inside]])
        painted[texel] = True
        start = stop
    # Where no face reaches the middle of a texel, there is the mean of the corners.
    image[~painted] = (image[painted] if painted.any() else colours).reshape(-1, 3).mean(axis=0)
    texels = torch.from_numpy(image.reshape(height, width, 3)).permute(2, 0, 1).clamp(0, 1)
    return grow(texels, torch.from_numpy(painted.reshape(height, width))).contiguous()


def _barycentric(triangles: Array, points: Array) -> Array:
    """Returns the shares (N, 3) of the corners of triangles (N, 3, 2) in points (N, 2).

    They are −1 for a triangle of no area.
    """
    a, b, c = triangles.transpose(1, 0, 2)
    (x1, y1), (x2, y2), (x, y) = (b - a).T, (c - a).T, (points - a).T
    whole = x1 * y2 - x2 * y1
    flat = whole == 0
    whole = np.where(flat, 1.0, whole)
    second, third = (x * y2 - x2 * y) / whole, (x1 * y - x * y1) / whole
    return np.where(flat[:, None], -1.0, np.stack([1 - second - third, second, third], axis=1))
