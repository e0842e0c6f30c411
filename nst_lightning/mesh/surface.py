"""A mesh as it is rendered: triangles with a place in space and in a texture."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Surface:
    """The triangles of a mesh, in the order of its file, placed in the scene.

    corners: (F, 3, 3) float64, the position of each face's three corners, finite.
    uv: (F, 3, 2) float64, the corners in the texture of their material: u to the right, v
        downwards, [0, 1] is the texture once; beyond it the texture goes on as its `wrap` says.
    material: (F,) int64, the texture that each face shows.
    """

    corners: Tensor
    uv: Tensor
    material: Tensor


@dataclass(frozen=True)
class Texture:
    """An image that faces show.

    image: (3, h, w) float32 in [0, 1], sRGB values.
    wrap: what lies beyond its borders along u and v: `repeat`, `mirror` or `clamp`.
    """

    image: Tensor
    wrap: tuple[str, str] = ("repeat", "repeat")
