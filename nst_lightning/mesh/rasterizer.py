"""Which face of a mesh each pixel of a view shows, and where on it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_lightning.windows import Window

Point = tuple[float, float, float]

FACES = 1 << 16
"""So many faces are prepared at once, and"""
PAIRS = 1 << 17
"""so many pairs of a face and a pixel tested, so that the memory does not grow with the mesh."""


@dataclass(frozen=True)
class Camera:
    """An eye that sees a scene in perspective, in right-handed coordinates.

    position: where it stands.
    target: the point that it shows in the middle of the view.
    up: what points upwards in the view; not parallel with the way that it looks.
    field_of_view: the angle between the upper and the lower border of the view, in degrees.
    """

    position: Point
    target: Point = (0.0, 0.0, 0.0)
    up: Point = (0.0, 1.0, 0.0)
    field_of_view: float = 30.0

    def axes(self) -> Tensor:
        """Returns the unit vectors to the right, downwards and forwards, (3, 3) float64."""
        position, target, up = (
            torch.tensor(point, dtype=torch.float64)
            for point in (self.position, self.target, self.up)
        )
        forward = target - position
        right = torch.linalg.cross(forward, up)
        down = torch.linalg.cross(forward, right)
        return torch.stack([each / each.norm() for each in (right, down, forward)])

    def local(self, points: Tensor) -> Tensor:
        """Returns points (…, 3) as seen from here: to the right, downwards and in depth."""
        moved = points - points.new_tensor(self.position)
        return torch.stack([dot(moved, axis) for axis in self.axes().to(points)], dim=-1)

    def focal_length(self, height: int) -> float:
        """Returns the distance, in pixels, of an image plane so many pixels high."""
        return height / 2 / math.tan(math.radians(self.field_of_view) / 2)


@dataclass(frozen=True)
class Hits:
    """What each pixel of a view shows.

    face: (h, w) int64, the index of the nearest face; −1 where there is none.
    weights: (h, w, 3) float64, how much each corner of that face counts at the pixel's centre, in
        space and not on the screen; they sum to 1, and are 0 where there is no face.
    """

    face: Tensor
    weights: Tensor


def rasterize(
    corners: Tensor, camera: Camera, height: int, width: int, window: Window | None = None
) -> Hits:
    """Finds what the centre of each pixel of a view shows, from both sides of a face.

    A face with corners a, b, c is met by the ray d from the camera where d·(b×c), d·(c×a) and
    d·(a×b) have one sign; in proportion they are the weights of the corners (Olano & Greer 1997,
    "Triangle scan conversion using 2D homogeneous coordinates"). Nothing is divided by a depth, so
    that faces which reach behind the camera need no clipping, and two faces agree bit for bit
    on which of them has a pixel at their common edge. Of faces at one depth the first counts.

    Args:
        corners: (F, 3, 3) float64, of each face.
        camera: where the view is from.
        height: of the view, in pixels.
        width: of the view, in pixels.
        window: the part of the view that is wanted; by default all of it.

    Returns:
        The hits of the window, on the device of the corners; the same on every call.
    """
    window = window or Window.all_of(height, width)
    across = window.shape[1]
    focal = camera.focal_length(height)
    depth = corners.new_full((math.prod(window.shape),), math.inf)
    none = len(corners)
    face = torch.full_like(depth, none, dtype=torch.int64)

    def products(planes: Tensor, row: Tensor, column: Tensor) -> list[Tensor]:
        x = (column.to(planes) + (window.left + 0.5 - width / 2)) / focal
        y = (row.to(planes) + (window.top + 0.5 - height / 2)) / focal
        return [x * side[:, 0] + y * side[:, 1] + side[:, 2] for side in planes.unbind(dim=1)]

    for first in range(0, len(corners), FACES):
        local = camera.local(corners[first : first + FACES])
        planes, volume = _planes(local)
        for index, row, column in pairs(_boxes(local, focal, (height, width), window)):
            sides = products(planes[index], row, column)
            inside = (sides[0] >= 0) & (sides[1] >= 0) & (sides[2] >= 0)
            total = sides[0] + sides[1] + sides[2]
            kept = (inside & (total > 0) & (volume[index] > 0)).nonzero()[:, 0]
            pixel, index = (row * across + column)[kept], index[kept]
            ahead = volume[index] / total[kept]
            before = depth[pixel]
            depth.scatter_reduce_(0, pixel, ahead, "amin")
            face[pixel[ahead < before]] = none
            nearest = (ahead == depth[pixel]).nonzero()[:, 0]
            face.scatter_reduce_(0, pixel[nearest], index[nearest] + first, "amin")
    weights = corners.new_zeros(len(face), 3)
    for pixel in torch.split((face < none).nonzero()[:, 0], PAIRS):
        planes, _ = _planes(camera.local(corners[face[pixel]]))
        row = torch.div(pixel, across, rounding_mode="floor")
        parts = torch.stack(products(planes, row, pixel - row * across), dim=1)
        weights[pixel] = parts / parts.sum(dim=1, keepdim=True)
    face[face == none] = -1
    return Hits(face.view(window.shape), weights.view(*window.shape, 3))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Returns the scalar products of vectors (…, 3), always added up in one order."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _planes(local: Tensor) -> tuple[Tensor, Tensor]:
    """Returns b×c, c×a and a×b, (F, 3, 3), with the sign of a·(b×c), and that without it, (F,)."""
    a, b, c = local.unbind(dim=1)
    crosses = [_cross(b, c), _cross(c, a), _cross(a, b)]
    volume = dot(a, crosses[0])
    return torch.stack(crosses, dim=1) * volume.sign()[:, None, None], volume.abs()


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Returns a×b, which is −(b×a) bit for bit: no product is rounded together with a sum."""
    ax, ay, az = a.unbind(dim=1)
    bx, by, bz = b.unbind(dim=1)
    left = torch.stack([ay * bz, az * bx, ax * by], dim=1)
    return left - torch.stack([az * by, ax * bz, ay * bx], dim=1)


def _boxes(local: Tensor, focal: float, size: tuple[int, int], window: Window) -> Tensor:
    """Returns the pixels that a face may cover, (F, 4): top, left, bottom, right in the window."""
    behind = (local[..., 2] <= 0).any(dim=1, keepdim=True)
    screen = local[..., :2] / local[..., 2:] * focal  # from the middle: to the right, down
    slack = 1e-6  # a corner is rounded in another way than the edges are
    ends = []
    for axis, limits in ((1, (window.top, window.bottom)), (0, (window.left, window.right))):
        positions = screen[..., axis] + size[1 - axis] / 2 - 0.5
        lowest = (positions.amin(dim=1, keepdim=True) - slack).ceil()
        highest = (positions.amax(dim=1, keepdim=True) + slack).floor() + 1
        lowest = torch.where(behind, limits[0], lowest).clamp(*limits)
        highest = torch.where(behind, limits[1], highest).clamp(*limits)
        ends.append((lowest - limits[0], highest - limits[0]))
    (top, bottom), (left, right) = ends
    return torch.cat([top, left, bottom, right], dim=1).long()


def pairs(boxes: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields the numbers of boxes with the row and column of each of their pixels, some at a time.

    Args:
        boxes: (n, 4) int64, each the first row and column and those behind the last.
    """
    widths = (boxes[:, 3] - boxes[:, 1]).clamp(min=0)
    counts = (boxes[:, 2] - boxes[:, 0]).clamp(min=0) * widths
    ends = counts.cumsum(dim=0)
    begins = ends - counts
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, PAIRS):
        pair = torch.arange(start, min(start + PAIRS, total), device=boxes.device)
        index = torch.searchsorted(ends, pair, right=True)
        place = pair - begins[index]
        down = torch.div(place, widths[index], rounding_mode="floor")
        top, left = boxes[index, 0], boxes[index, 1]
        yield index, top + down, left + place - down * widths[index]
