"""Faces without a place in a texture get one, by xatlas (https://github.com/jpcy/xatlas)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.placed_faces import Array, areas

_EXTENT = 1000.0
"""The longest side that meshes are scaled to: xatlas takes faces of a smaller area than float32's
epsilon for degenerate ones."""


@dataclass(frozen=True)
class Unwrapped:
    """A mesh whose vertices have one place each in a texture.

    source: (N,) int64, the vertex that each is a copy of. The first V are the mesh's own, as they
        were, so that what else names them stays right.
    faces: (F, 3) int64, the corners of each face, in the order of the mesh's.
    uv: (N, 2) float64 in [0, 1], v downwards; 0 for vertices of no face.
    """

    source: Array
    faces: Array
    uv: Array


def unwrap(
    meshes: Sequence[tuple[Array, Array]], size: int
) -> tuple[list[Unwrapped], tuple[int, int]]:
    """Gives the faces of meshes places in one texture that they share.

    Args:
        meshes: the positions (V, 3), finite, and faces (F, 3) of each.
        size: the longest side of the texture, in pixels.

    Returns:
        The meshes unwrapped, and the (height, width) of the texture.

    Raises:
        BadMesh: xatlas is not installed, or cannot do it.
    """
    try:
        import xatlas
    except ImportError:
        raise BadMesh(
            "has faces without UVs, which xatlas makes: "
            "install it with pip install 'nst-lightning[mesh]'."
        ) from None
    extent = max(float(np.ptp(positions, axis=0).max()) for positions, _ in meshes)
    scale = _EXTENT / extent if extent > 0 else 1.0
    atlas = xatlas.Atlas()
    for positions, faces in meshes:
        placed = (positions - positions.mean(axis=0)) * scale
        atlas.add_mesh(placed.astype(np.float32), faces.astype(np.uint32))
    packing = xatlas.PackOptions()
    packing.resolution = size
    packing.padding = min(16, max(2, size // 64))
    atlas.generate(xatlas.ChartOptions(), packing)
    unwrapped = [
        _in_order(len(positions), *atlas.get_mesh(number))
        for number, (positions, _) in enumerate(meshes)
    ]
    if not all(np.isfinite(one.uv).all() for one in unwrapped):
        raise BadMesh("has faces too thin for xatlas to unwrap; give it UVs.")
    longest = max(atlas.height, atlas.width, 1)
    height, width = (max(1, round(size * side / longest)) for side in (atlas.height, atlas.width))
    return unwrapped, (height, width)


def _in_order(vertices: int, source: Array, faces: Array, uv: Array) -> Unwrapped:
    """Numbers the vertices of xatlas so that the mesh's own come first, and copies after them."""
    source = source.astype(np.int64)
    used, first = np.unique(source, return_index=True)
    number = np.full(len(source), -1)
    number[first] = used
    copies = np.flatnonzero(number < 0)
    number[copies] = vertices + np.arange(len(copies))
    places = np.zeros((vertices + len(copies), 2))
    places[number] = uv
    return Unwrapped(
        np.concatenate([np.arange(vertices), source[copies]]),
        number[faces.astype(np.int64)],
        places,
    )


def has_own_places(uv: Array | None, corners: Array) -> bool:
    """Whether each face has a place of its own in a texture, as far as a glance at them tells.

    They do not where UVs lie outside of [0, 1], have no area although the face has one, or have
    areas that sum to more than the texture.

    Args:
        uv: (F, 3, 2); None where there are none.
        corners: (F, 3, 3).
    """
    if uv is None or not np.isfinite(uv).all() or uv.min() < 0 or uv.max() > 1:
        return False
    covered = areas(uv)
    return bool(covered.sum() <= 1.001 and (covered[areas(corners) > 0] > 0).all())
