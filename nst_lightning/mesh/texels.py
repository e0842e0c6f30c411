"""What views of a mesh show, as a linear map of its texels, and the way back."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.mesh.atlas import Atlas
from nst_lightning.mesh.rasterizer import Camera, rasterize
from nst_lightning.mesh.surface import Surface
from nst_lightning.windows import Window

SAMPLES = 1 << 20
"""So many points of a view are rendered at once."""

FAINT = 0.02
"""A texel that makes up less of a pixel than this follows no loss."""

ROUGH = 128
"""The size of the views, in pixels, from which is told what larger ones take."""


@dataclass(frozen=True)
class SparseMatrix:
    """A matrix that is mostly zero, row by row (CSR).

    offsets: (rows + 1,), where the entries of each row begin, and the last one's end.
    columns: (entries,), of each entry.
    weights: (entries,), its value.
    """

    offsets: Tensor
    columns: Tensor
    weights: Tensor

    def times(self, x: Tensor) -> Tensor:
        """Returns the product with x (columns, n), (rows, n), each sum in one order."""
        return F.embedding_bag(
            self.columns,
            x.contiguous(),
            self.offsets,
            mode="sum",
            per_sample_weights=self.weights,
            include_last_offset=True,
        )

    def transposed(self, columns: int) -> "SparseMatrix":
        """Returns the transpose of the matrix, which has so many columns."""
        rows = len(self.offsets) - 1
        order = self.columns.argsort(stable=True)
        lengths = self.offsets.diff()
        row = torch.arange(rows, device=lengths.device, dtype=lengths.dtype)
        row = row.repeat_interleave(lengths)[order]
        return SparseMatrix(
            _ends(torch.bincount(self.columns, minlength=columns)).to(self.offsets.dtype),
            row,
            self.weights[order],
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> "SparseMatrix":
        """Returns the matrix on a device, with weights of a type."""
        return SparseMatrix(
            self.offsets.to(device), self.columns.to(device), self.weights.to(device, dtype)
        )

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return sum(each.nbytes for each in (self.offsets, self.columns, self.weights))


@dataclass(frozen=True)
class Rendering:
    """All views of a mesh in one image: M·texels and, where they show no mesh, the background.

    The views, each a square, stand side by side in the order of their cameras, row by row.

    matrix: M, from the texels of the atlas to the pixels of each view after the other.
    transpose: of M.
    coverage: (1, 1, H, W) in [0, 1], the share of each pixel that shows the mesh.
    texel_pixels: (1, 1, h, w), how many pixels each texel makes up, 0 where no view sees it.
    background: its value in each channel.
    views: their number.
    """

    matrix: SparseMatrix
    transpose: SparseMatrix
    coverage: Tensor
    texel_pixels: Tensor
    background: float
    views: int

    def see(self, texels: Tensor) -> Tensor:
        """Renders the views; autograd may follow, and differentiates by the transpose.

        Args:
            texels: (B, 3, h, w) of the atlas, of the type and on the device of the rendering.

        Returns:
            (B, 3, H, W).
        """
        columns = texels.flatten(0, 1).flatten(1).T
        pixels: Tensor = _Product.apply(columns, self.matrix, self.transpose)
        views = side_by_side(pixels.T.reshape(*texels.shape[:2], -1), self.views)
        return views + self.background * (1 - self.coverage)

    def gradient_to_texels(self, gradient: Tensor) -> Tensor:
        """Returns the gradient by the texels, (B, 3, h, w), of one by the views, (B, 3, H, W)."""
        pixels = one_by_one(gradient, self.views, self.coverage.shape[-2:])
        texels = self.transpose.times(pixels.flatten(0, 1).T)
        shape = *gradient.shape[:2], *self.texel_pixels.shape[-2:]
        return texels.T.reshape(shape)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Rendering":
        """Returns the rendering on a device, for texels of a type; by default of the same."""
        device, dtype = torch.device(device), dtype or self.coverage.dtype
        return replace(
            self,
            matrix=self.matrix.to(device, dtype),
            transpose=self.transpose.to(device, dtype),
            coverage=self.coverage.to(device, dtype),
            texel_pixels=self.texel_pixels.to(device, dtype),
        )

    @property
    def seen(self) -> Tensor:
        """The texels that make up enough of some pixels to be optimised, (1, 1, h, w) bool."""
        return self.texel_pixels > FAINT

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        beside = self.coverage.nbytes + self.texel_pixels.nbytes
        return self.matrix.bytes + self.transpose.bytes + beside


class _Product(torch.autograd.Function):
    """The product with a matrix, whose gradient is the product with its transpose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: SparseMatrix, transpose: SparseMatrix) -> Tensor:
        ctx.matrices = transpose, matrix
        return matrix.times(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        product: Tensor = _Product.apply(gradients[0], *ctx.matrices)
        return product, None, None


def columns_of_views(count: int) -> int:
    """Returns how many of so many views stand in a row; `grid/sources.py` says so too, without
    torch."""
    return math.ceil(math.sqrt(count))


def side_by_side(pixels: Tensor, views: int) -> Tensor:
    """Lays square views out in one image; where there is no view left, it is 0.

    Args:
        pixels: (B, C, views · S · S).
        views: their number.

    Returns:
        (B, C, rows · S, columns · S).
    """
    side = math.isqrt(pixels.shape[2] // views)
    across = columns_of_views(views)
    down = math.ceil(views / across)
    padded = F.pad(pixels, (0, (down * across - views) * side * side))
    grid = padded.reshape(*pixels.shape[:2], down, across, side, side)
    return grid.transpose(3, 4).reshape(*pixels.shape[:2], down * side, across * side)


def one_by_one(image: Tensor, views: int, whole: Sequence[int]) -> Tensor:
    """Takes an image of `side_by_side`, (B, C, H, W), apart again: (B, C, views · S · S)."""
    across = columns_of_views(views)
    down, side = math.ceil(views / across), whole[1] // across
    grid = image.reshape(*image.shape[:2], down, side, across, side)
    return grid.transpose(3, 4).reshape(*image.shape[:2], -1)[..., : views * side * side]


def render_map(
    surface: Surface,
    atlas: Atlas,
    cameras: Sequence[Camera],
    view_size: int,
    oversampling: int | None = None,
    background: float = 0.5,
    dtype: torch.dtype = torch.float32,
) -> Rendering:
    """Renders views of a mesh once and for all textures that it may have.

    A pixel is the mean of `oversampling`² points, of which each is interpolated between four
    texels of its own texture. There are no smaller levels of the texture: their choice by
    derivatives would jump at the borders of the islands.

    Args:
        surface: the mesh.
        atlas: how its textures lie in the image of the texels.
        cameras: of the views, at least one.
        view_size: the height and width of each view, in pixels.
        oversampling: points along each side of a pixel; by default see `oversampling_for`.
        background: the value of each channel where there is no mesh.
        dtype: of the texels, float32 or float64.

    Returns:
        The rendering, on the device of the surface; the same on every call.
    """
    points = oversampling or oversampling_for(surface, atlas, cameras, view_size)
    most = max(4 * len(cameras) * (view_size * points) ** 2, atlas.count)
    number = torch.int32 if most < 2**31 else torch.int64
    parts = [
        (counts, columns.to(number), weights.to(dtype), covered.to(dtype))
        for camera in cameras
        for counts, columns, weights, covered in _rows_of_view(
            surface, atlas, camera, view_size, points
        )
    ]
    counts, columns, weights, covered = (torch.cat(each) for each in zip(*parts, strict=True))
    del parts
    matrix = SparseMatrix(_ends(counts).to(number), columns, weights)
    transpose = matrix.transposed(atlas.count)
    total = _sums(transpose.weights, transpose.offsets.long().diff())
    return Rendering(
        matrix,
        transpose,
        side_by_side(covered.view(1, 1, -1), len(cameras)),
        total.view(1, 1, atlas.height, atlas.width),
        background,
        len(cameras),
    )


def render_bytes(
    surface: Surface,
    atlas: Atlas,
    cameras: Sequence[Camera],
    view_size: int,
    oversampling: int | None = None,
) -> int:
    """Estimates the memory of a rendering in float32, in bytes, from a smaller one.

    It is 8 bytes for each texel that a pixel is made of, twice; views and textures of half the
    size have the same texels a pixel. While the rendering is made, it takes up to four times that.
    """
    points = oversampling or oversampling_for(surface, atlas, cameras, view_size)
    size = min(view_size, ROUGH)
    smaller = atlas.scaled(size / view_size)
    rough = render_map(surface, smaller, cameras, size, points)
    entries = len(rough.matrix.columns) * (view_size / size) ** 2
    pixels = rough.coverage.numel() * (view_size / size) ** 2
    return round(16 * entries + 8 * atlas.count + 4 * (pixels + view_size**2 * len(cameras)))


def oversampling_for(
    surface: Surface, atlas: Atlas, cameras: Sequence[Camera], view_size: int
) -> int:
    """Returns how many points along each side of a pixel miss no texel, from 2 to 4.

    That is the number of texels along a pixel's side, as a mean over what the views show.
    """
    across = density(surface, atlas, cameras, view_size)
    return 2 if math.isnan(across) else min(4, max(2, math.ceil(across - 1e-6)))


def density(surface: Surface, atlas: Atlas, cameras: Sequence[Camera], view_size: int) -> float:
    """Returns how many texels lie along the side of a pixel that shows the mesh, on average; NaN
    where none does."""
    rough = min(view_size, ROUGH)
    shown = torch.cat([texels_across(surface, atlas, camera, rough) for camera in cameras])
    return float(shown.mean()) * rough / view_size


def texels_across(surface: Surface, atlas: Atlas, camera: Camera, view_size: int) -> Tensor:
    """Returns how many texels lie along the side of each pixel that shows the mesh, (n,)."""
    face = rasterize(surface.corners, camera, view_size, view_size).face
    face = face[face >= 0]
    shown, pixels = torch.unique(face, return_counts=True)
    local = camera.local(surface.corners[shown])
    screen = local[..., :2] / local[..., 2:] * camera.focal_length(view_size)
    texels = atlas.in_texels(surface.material[shown], surface.uv[shown])
    ratio = doubled_area(texels) / doubled_area(screen).clamp(min=torch.finfo(screen.dtype).tiny)
    return ratio.sqrt().repeat_interleave(pixels)


def doubled_area(triangles: Tensor) -> Tensor:
    """Returns twice the area of triangles (F, 3, 2) in a plane."""
    (ax, ay), (bx, by) = ((triangles[:, i] - triangles[:, 0]).unbind(dim=1) for i in (1, 2))
    return (ax * by - ay * bx).abs()


def _rows_of_view(
    surface: Surface, atlas: Atlas, camera: Camera, view_size: int, points: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yields, for some rows of a view at a time, how many texels each pixel is made of, (n,), these
    texels with their weights, and the share of each pixel that is covered, (n,)."""
    side = view_size * points
    rows = max(1, SAMPLES // (side * points))
    for top in range(0, view_size, rows):
        bottom = min(view_size, top + rows)
        window = Window(top * points, 0, bottom * points, side, (side, side))
        hits = rasterize(surface.corners, camera, side, side, window)
        y, x = (hits.face >= 0).nonzero().unbind(dim=1)
        face = hits.face[y, x]
        uv = (hits.weights[y, x, :, None] * surface.uv[face]).sum(dim=1)
        texel, weight = atlas.taps(surface.material[face], uv)
        pixel = torch.div(y, points, rounding_mode="floor") * view_size
        pixel += torch.div(x, points, rounding_mode="floor")
        key, order = (pixel[:, None] * atlas.count + texel).flatten().sort(stable=True)
        key, repeats = torch.unique_consecutive(key, return_counts=True)
        summed = _sums(weight.flatten()[order], repeats) / points**2
        shown = torch.div(key, atlas.count, rounding_mode="floor")
        pixels = (bottom - top) * view_size
        covered = torch.bincount(pixel, minlength=pixels).to(weight) / points**2
        yield (
            torch.bincount(shown, minlength=pixels),
            key - shown * atlas.count,
            summed,
            covered,
        )


def _sums(values: Tensor, counts: Tensor) -> Tensor:
    """Returns the sums of the first values, of the next and so on, each in one order."""
    if not len(counts):  # which torch refuses
        return values
    return torch.segment_reduce(values, "sum", lengths=counts)


def _ends(counts: Tensor) -> Tensor:
    """Returns 0 and the sums of the first counts, int64."""
    return F.pad(counts.cumsum(dim=0), (1, 0))
