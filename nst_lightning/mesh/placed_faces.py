"""From arrays of faces to a surface that can be rendered, or a sentence on why it cannot."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nst_lightning.machine_memory import machine_bytes
from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.surface import Surface

Array = NDArray[Any]

FACE_BYTES = 800
"""Memory that reading takes for each face at its peak."""


def check_count(faces: int) -> None:
    """Sees that so many faces fit into this machine's memory, before they are made.

    Raises:
        BadMesh: there are none, or too many.
    """
    if faces < 1:
        raise BadMesh("has no faces; a mesh of triangles or polygons is expected.")
    needed, here = faces * FACE_BYTES, machine_bytes()
    if needed > here:
        raise BadMesh(
            f"has {faces} faces, which take about {needed / 2**30:.1f} GiB of memory, and there "
            f"are {here / 2**30:.1f} here; simplify it."
        )


def check_indices(indices: Array, count: int, what: str, *, first: int = 0) -> None:
    """Sees that indices lie in 0 … count − 1.

    Args:
        indices: of any shape.
        count: how many things there are.
        what: they are called.
        first: the number of the first of them in the file, for the message.

    Raises:
        BadMesh: one does not.
    """
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        wrong = indices[(indices < 0) | (indices >= count)].flat[0]
        raise BadMesh(f"names {what} {wrong + first}, and it has {count}; export it anew.")


def check_corners(corners: Array) -> None:
    """Sees that faces have finite corners, and that one at least has an area.

    Raises:
        BadMesh: not so.
    """
    check_count(len(corners))
    if not np.isfinite(corners).all():
        raise BadMesh("has vertices whose positions are not finite numbers; export it anew.")
    if not np.isfinite(np.ptp(corners.reshape(-1, 3), axis=0) ** 2).all():
        raise BadMesh("has vertices too far apart to compute with; scale it down.")
    if not (areas(corners) > 0).any():
        raise BadMesh("has faces of no area only; export it anew.")


def areas(corners: Array) -> Array:
    """Returns the areas of triangles (F, 3, 3) or (F, 3, 2), as (F,)."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    if corners.shape[-1] == 2:
        cross = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        return np.asarray(np.abs(cross) / 2)
    return np.asarray(np.linalg.norm(np.cross(first, second), axis=1) / 2)


def surface_of(corners: Array, uv: Array, texture: Array) -> Surface:
    """Makes a surface of faces.

    Args:
        corners: (F, 3, 3).
        uv: (F, 3, 2), v downwards.
        texture: (F,), which one each face shows.

    Raises:
        BadMesh: there are none, their positions or UVs are not finite, or none has an area.
    """
    check_corners(corners)
    if not np.isfinite(uv).all():
        raise BadMesh("has UVs that are not finite numbers; unwrap it anew.")
    return Surface(
        torch.from_numpy(np.ascontiguousarray(corners, np.float64)),
        torch.from_numpy(np.ascontiguousarray(uv, np.float64)),
        torch.from_numpy(np.ascontiguousarray(texture, np.int64)),
    )


def fans(sizes: Array) -> tuple[Array, Array]:
    """Splits polygons into fans of triangles around their first corners.

    Args:
        sizes: (P,), the corners of each polygon, whose corners stand one polygon after the other.

    Returns:
        (F, 3), the numbers of the triangles' corners among all these corners, and (F,), the polygon
        that each is of. A polygon of fewer than three corners has none.
    """
    counts = np.maximum(sizes - 2, 0)
    polygon = np.repeat(np.arange(len(sizes)), counts)
    start = (np.cumsum(sizes) - sizes)[polygon]
    nth = np.arange(len(polygon)) - (np.cumsum(counts) - counts)[polygon]
    return np.stack([start, start + nth + 1, start + nth + 2], axis=1), polygon
