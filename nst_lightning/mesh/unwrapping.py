"""Faces without a place in a texture get one, by xatlas (https://github.com/jpcy/xatlas)."""

import io
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.placed_faces import Array, areas

_EXTENT = 1000.0
"""The longest side that meshes are scaled to: xatlas takes faces of a smaller area than float32's
epsilon for degenerate ones."""

_MOST_FACES = 20_000
"""Faces that xatlas gets in one piece. A ball of 81,920 made it crash, and its time grows faster
than they do: a torus of 90,000 took 25.8 s whole and 6.3 s in pieces."""

_PROCESS = Path(__file__).with_name("xatlas_process.py")


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
    if find_spec("xatlas") is None:
        raise BadMesh(
            "has faces without UVs, which xatlas makes: "
            "install it with pip install 'nst-lightning[mesh]' (up to Python 3.13), or unwrap "
            "the mesh where it was modelled."
        )
    extent = max(float(np.ptp(positions, axis=0).max()) for positions, _ in meshes)
    scale = _EXTENT / extent if extent > 0 else 1.0
    question: dict[str, Array] = {
        "size": np.array(size),
        "padding": np.array(min(16, max(2, size // 64))),
    }
    pieces = [_pieces(positions, faces) for positions, faces in meshes]
    vertices: list[Array] = []
    for (positions, faces), parts in zip(meshes, pieces, strict=True):
        placed = (positions - positions.mean(axis=0)) * scale
        for part in parts:
            used, corners = np.unique(faces[part], return_inverse=True)
            number = len(vertices)
            question[f"positions {number}"] = placed[used].astype(np.float32)
            question[f"faces {number}"] = corners.reshape(-1, 3).astype(np.uint32)
            vertices.append(used)
    data = io.BytesIO()
    np.savez(data, **question)  # type: ignore[arg-type]
    found = np.load(io.BytesIO(_in_child(data.getvalue())))
    unwrapped, number = [], 0
    for (positions, faces), parts in zip(meshes, pieces, strict=True):
        corners, source, uv, made = np.empty_like(faces), [], [], 0
        for part in parts:
            corners[part] = found[f"faces {number}"].astype(np.int64) + made
            source.append(vertices[number][found[f"source {number}"]])
            uv.append(found[f"uv {number}"])
            made += len(source[-1])
            number += 1
        one = _in_order(len(positions), np.concatenate(source), corners, np.concatenate(uv))
        unwrapped.append(one)
    if not all(np.isfinite(one.uv).all() for one in unwrapped):
        raise BadMesh("has faces too thin for xatlas to unwrap; give it UVs.")
    longest = max(*found["shape"], 1)
    height, width = (max(1, round(size * side / longest)) for side in found["shape"].tolist())
    return unwrapped, (height, width)


def _pieces(positions: Array, faces: Array) -> list[Array]:
    """Cuts a mesh into pieces that xatlas takes; returns the faces of each, in order.

    Each cut halves the faces along the axis that they reach furthest along.
    """
    middles = positions[faces].mean(axis=1)
    waiting, pieces = [np.arange(len(faces))], []
    while waiting:
        piece = waiting.pop()
        if len(piece) <= _MOST_FACES:
            pieces.append(piece)
            continue
        axis = np.ptp(middles[piece], axis=0).argmax()
        order = piece[np.argsort(middles[piece, axis], kind="stable")]
        waiting += [np.sort(half) for half in np.array_split(order, 2)]
    return pieces


def _in_child(question: bytes) -> bytes:
    """Has a process of its own run xatlas, which ends some meshes by a fault of its memory.

    Raises:
        BadMesh: it did.
    """
    done = subprocess.run([sys.executable, _PROCESS], input=question, capture_output=True)
    if done.returncode:
        raise BadMesh("is a mesh that xatlas cannot unwrap; give it UVs.")
    return done.stdout


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
