"""The colours of texels that no view sees."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nst_lightning.extras import need_extra
from nst_lightning.mesh.atlas import Atlas
from nst_lightning.mesh.cameras import bounding_sphere
from nst_lightning.mesh.growing import grow
from nst_lightning.mesh.rasterizer import pairs
from nst_lightning.mesh.surface import Surface
from nst_lightning.mesh.texels import FAINT

NEAREST = 8
"""So many seen texels make up one that is not."""

SLACK = 1.0
"""They are the nearest but for some that are at most this share further away: what lies far from
everything seen is found in a seventh of the time, and by 1 or 2 % further away on average."""

TURN = 0.5
"""How far apart two places are whose normals differ by 1, in radii of the mesh, so that one side of
a thin wall is not filled from the other."""

BESIDE = 0.5
"""A texel beside the faces that makes up less than this share of what texels do on average is
filled too: the loss hardly moves it, and it would draw a line of its old colour along the seam."""

PERIODS = 3
"""A face that repeats its texture is laid out so many times at most, around its middle."""

FACES = 1 << 16
"""So many faces are laid out at once."""


@dataclass(frozen=True)
class Layout:
    """Where on the surface the texels of an atlas lie.

    face: (H, W) int64, the face that shows a texel: the first of those that hold its middle; where
        there is none, the nearest whose interpolation takes it; −1 where none does.
    weights: (H, W, 3) float64, of that face's corners, at the point of it next to the texel's
        middle; they sum to 1, and are 0 where there is no face.
    inside: (H, W) bool, where a face holds a texel's middle.
    """

    face: Tensor
    weights: Tensor
    inside: Tensor


def lay_out(surface: Surface, atlas: Atlas) -> Layout:
    """Finds where on the surface each texel of an atlas lies.

    Args:
        surface: a mesh, whose faces may overlap in the texture.
        atlas: how its textures lie in the image of the texels.
    """
    clamped = _clamped(surface, atlas)
    distance = clamped.uv.new_full((atlas.count,), math.inf)
    first = torch.zeros_like(distance, dtype=torch.int64)
    face = torch.full_like(first, -1)
    weights = clamped.uv.new_zeros(atlas.count, 3)
    last = torch.iinfo(first.dtype).max
    start = 0
    for index, texel, point in _near(clamped, atlas):
        triangle = atlas.in_texels(clamped.material[index], clamped.uv[index])
        corner_weights, away = closest(point, triangle)
        taken = (away < 1).nonzero()[:, 0]
        texel, away, number = texel[taken], away[taken], taken + start
        first[texel[away < distance[texel]]] = last
        distance.scatter_reduce_(0, texel, away, "amin")
        nearest = (away == distance[texel]).nonzero()[:, 0]
        first.scatter_reduce_(0, texel[nearest], number[nearest], "amin")
        own = nearest[number[nearest] == first[texel[nearest]]]
        face[texel[own]] = index[taken[own]]
        weights[texel[own]] = corner_weights[taken[own]]
        start += len(index)
    size = atlas.height, atlas.width
    return Layout(face.view(size), weights.view(*size, 3), (distance == 0).view(size))


def fill_unseen(texels: Tensor, pixels: Tensor, surface: Surface, atlas: Atlas) -> Tensor:
    """Gives the texels of a surface that no view sees the colours of those around them in space.

    So it does those at its seams that views hardly see, see `BESIDE`.

    Such a texel is the mean of `NEAREST` seen ones near it, each counting by the inverse square of
    its distance, to which a difference between the normals adds. Then the islands grow, each inside
    its own texture and never over another.

    Args:
        texels: (B, 3, H, W) of the atlas.
        pixels: (1, 1, H, W), how many pixels of the views each texel makes up.
        surface: the mesh.
        atlas: how its textures lie in the image of the texels.

    Returns:
        Texels of the same shape; the others that are seen are as they were.

    Raises:
        UserError: scipy is not installed.
    """
    need_extra("mesh", "textures", "scipy")
    layout = lay_out(surface, atlas)
    shown = layout.face >= 0
    known = _known(pixels[0, 0].to(shown.device), layout)
    filled = texels.clone()
    if bool((known & shown).any()) and bool((~known & shown).any()):
        _fill(filled, known, shown, layout, surface)
    for place in atlas.places:
        part = place.window.cut(filled)
        part.copy_(grow(part, place.window.cut(shown | known)))
    return filled


def closest(point: Tensor, triangle: Tensor) -> tuple[Tensor, Tensor]:
    """Finds the point of each triangle that is closest to a point.

    Args:
        point: (n, 2).
        triangle: (n, 3, 2), which may be a line or a point.

    Returns:
        The weights of its corners, (n, 3), and the distance along the axis on which it is larger,
        (n,), 0 inside.
    """
    ends = triangle.roll(-1, dims=1)
    along, from_start = ends - triangle, point[:, None] - triangle
    sides = along[..., 0] * from_start[..., 1] - along[..., 1] * from_start[..., 0]
    total = sides.sum(dim=1, keepdim=True)
    inner = (sides / total).roll(-1, dims=1)  # the side from a to b is the weight of c
    inside = ((inner >= 0).all(dim=1) & (total[:, 0] != 0))[:, None]
    tiny = torch.finfo(point.dtype).tiny
    share = ((from_start * along).sum(dim=2) / (along * along).sum(dim=2).clamp(min=tiny)).clamp(
        0, 1
    )
    squares = (from_start - share[..., None] * along).square().sum(dim=2)
    side = squares.argmin(dim=1, keepdim=True)
    part = share.gather(1, side)
    outer = torch.zeros_like(inner).scatter(1, side, 1 - part).scatter(1, (side + 1) % 3, part)
    weights = torch.where(inside, inner, outer)
    away = (point - (weights[..., None] * triangle).sum(dim=1)).abs().amax(dim=1)
    return weights, torch.where(inside[:, 0], 0, away)


def _clamped(surface: Surface, atlas: Atlas) -> Surface:
    """Returns the surface with the faces that lie beyond a clamped texture drawn to its border."""
    axes = []
    for axis in (0, 1):
        clamps = [place.wrap[axis] == "clamp" for place in atlas.places]
        clamp = torch.tensor(clamps, device=surface.uv.device)[surface.material][:, None]
        each = surface.uv[..., axis]
        beyond = ((each < 0).all(dim=1) | (each > 1).all(dim=1))[:, None]
        axes.append(torch.where(clamp & beyond, each.clamp(0, 1), each))
    return replace(surface, uv=torch.stack(axes, dim=2))


def _near(surface: Surface, atlas: Atlas) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields faces with the texels in and around them: the face, the texel of the atlas, and its
    middle in texels of the face's texture, which may lie beyond that."""
    for first in range(0, len(surface.uv), FACES):
        part = slice(first, first + FACES)
        material = surface.material[part]
        corners = atlas.in_texels(material, surface.uv[part])
        sizes = corners.new_tensor([place.window.shape[::-1] for place in atlas.places])[material]
        middle = corners.mean(dim=1)
        half = PERIODS / 2 * sizes
        low = torch.maximum(corners.amin(dim=1), middle - half).floor().long() - 1
        high = torch.minimum(corners.amax(dim=1), middle + half).floor().long() + 2
        boxes = torch.stack([low[:, 1], low[:, 0], high[:, 1], high[:, 0]], dim=1)
        for index, row, column in pairs(boxes):
            texel = atlas.index(material[index], row, column)
            yield index + first, texel, torch.stack([column, row], dim=1).to(corners) + 0.5


def _known(pixels: Tensor, layout: Layout) -> Tensor:
    """Returns which texels have colours of their own, (H, W) bool, by the pixels they make up."""
    seen = pixels > FAINT
    return seen & (layout.inside | (pixels > BESIDE * pixels[seen].mean()))


def _fill(filled: Tensor, known: Tensor, shown: Tensor, layout: Layout, surface: Surface) -> None:
    """Writes the texels that are shown and not known, of which some others are."""
    from scipy.spatial import cKDTree

    sources, targets = known & shown, ~known & shown
    places = _places(sources, layout, surface)
    tree = cKDTree(places.numpy())
    ranks = list(range(1, min(NEAREST, len(places)) + 1))
    found = tree.query(_places(targets, layout, surface).numpy(), k=ranks, eps=SLACK)
    far, nearest = map(torch.from_numpy, found)
    near = far.clamp(min=torch.finfo(far.dtype).eps).square().reciprocal()
    shares = (near / near.sum(dim=1, keepdim=True)).to(filled)
    colours = filled[:, :, sources][:, :, nearest.to(filled.device)]
    filled[:, :, targets] = (colours * shares).sum(dim=3)


def _places(where: Tensor, layout: Layout, surface: Surface) -> Tensor:
    """Returns where texels of a mask lie and which way they look, (n, 6), on the CPU."""
    corners = surface.corners[layout.face[where]]
    a, b, c = corners.unbind(dim=1)
    normal = torch.linalg.cross(b - a, c - a)
    normal = normal / normal.norm(dim=1, keepdim=True).clamp(min=torch.finfo(a.dtype).tiny)
    place = (layout.weights[where][..., None] * corners).sum(dim=1)
    turn = TURN * bounding_sphere(surface).radius
    return torch.cat([place, turn * normal], dim=1).cpu()
