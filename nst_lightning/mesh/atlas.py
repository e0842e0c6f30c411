"""The textures of a mesh side by side in one image, so that one tensor holds every texel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_lightning.imaging.resize import resize
from nst_lightning.mesh.surface import Texture
from nst_lightning.windows import Window

GAP = 2
"""Texels between textures, so that an atlas looked at from afar keeps them apart."""

Wrap = tuple[str, str]


@dataclass(frozen=True)
class Place:
    """Where a texture lies in an atlas, and what lies beyond its borders along u and v."""

    window: Window
    wrap: Wrap


@dataclass(frozen=True)
class Atlas:
    """How textures lie in one image.

    height, width: of the image, in texels.
    places: of each texture, in their order.
    """

    height: int
    width: int
    places: tuple[Place, ...]

    @property
    def count(self) -> int:
        """The number of texels, those between the textures with them."""
        return self.height * self.width

    def scaled(self, by: float) -> "Atlas":
        """Returns the atlas of the same textures, each of them so many times as large."""
        sizes = [
            (max(1, round(height * by)), max(1, round(width * by)))
            for height, width in (place.window.shape for place in self.places)
        ]
        return arrange(sizes, [place.wrap for place in self.places])

    def in_texels(self, material: Tensor, uv: Tensor) -> Tensor:
        """Returns points (n, …, 2) of the textures (n,) in texels from each one's upper left."""
        sizes = uv.new_tensor([place.window.shape[::-1] for place in self.places])
        return uv * sizes[material].view(-1, *(1,) * (uv.dim() - 2), 2)

    def index(self, material: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Returns the texels (n, …) of the atlas, counted row by row, that textures (n,) show.

        Args:
            material: (n,), the textures.
            row: (n, …) int64, counted from the upper border of each; beyond its borders it goes on
                as its wrap says, so that nothing of another texture is ever taken.
            column: (n, …), the same from the left.
        """
        texel = torch.zeros_like(row)
        for number, place in enumerate(self.places):
            own = (material == number).nonzero()[:, 0]
            if len(own):
                height, width = place.window.shape
                down = place.window.top + wrapped(row[own], height, place.wrap[1])
                across = place.window.left + wrapped(column[own], width, place.wrap[0])
                texel[own] = down * self.width + across
        return texel

    def taps(self, material: Tensor, uv: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the four texels that make up each point by bilinear interpolation.

        The middle of the first texel is at u = 0.5/width, as in OpenGL and glTF.

        Args:
            material: (n,), the texture of each point.
            uv: (n, 2), the points.

        Returns:
            The texels, counted row by row, (n, 4) int64, and their weights (n, 4), which sum to 1.
        """
        place = self.in_texels(material, uv) - 0.5
        corner = place.floor()
        x, y = (place - corner).unbind(dim=1)
        column, row = corner.long().unbind(dim=1)
        columns = torch.stack([column, column + 1, column, column + 1], dim=1)
        rows = torch.stack([row, row, row + 1, row + 1], dim=1)
        weights = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], dim=1)
        return self.index(material, rows, columns), weights


def wrapped(index: Tensor, size: int, wrap: str) -> Tensor:
    """Returns which of `size` texels in a row an index beyond them shows, int64.

    Raises:
        ValueError: the wrap is unknown.
    """
    if wrap == "repeat":
        return index.remainder(size)
    if wrap == "mirror":
        turn = index.remainder(2 * size)
        return torch.minimum(turn, 2 * size - 1 - turn)
    if wrap == "clamp":
        return index.clamp(0, size - 1)
    raise ValueError(f"a texture repeats, mirrors or clamps, not: {wrap}")


def arrange(sizes: Sequence[tuple[int, int]], wraps: Sequence[Wrap]) -> Atlas:
    """Lays textures out on shelves, the highest first, in about a square.

    Args:
        sizes: (height, width) of each texture.
        wraps: of each.
    """
    area = sum((height + GAP) * (width + GAP) for height, width in sizes)
    limit = max(math.ceil(math.sqrt(area)), *(width for _, width in sizes), 0)
    corners = [(0, 0)] * len(sizes)
    top = left = shelf = right = 0
    for number in sorted(range(len(sizes)), key=lambda each: (-sizes[each][0], each)):
        height, width = sizes[number]
        if left and left + width > limit:
            top, left, shelf = top + shelf + GAP, 0, 0
        corners[number] = (top, left)
        shelf, right, left = max(shelf, height), max(right, left + width), left + width + GAP
    whole = (top + shelf, right)
    windows = [
        Window(top, left, top + height, left + width, whole)
        for (top, left), (height, width) in zip(corners, sizes, strict=True)
    ]
    return Atlas(*whole, tuple(map(Place, windows, wraps)))


def pack(textures: Sequence[Texture], texture_size: int | None = None) -> tuple[Tensor, Atlas]:
    """Lays textures out in one image.

    Args:
        textures: at least one.
        texture_size: the longest side of the largest texture, to which all are resized in
            proportion; by default they keep their sizes.

    Returns:
        The image (1, 3, H, W), float32 in [0, 1], gray between the textures, and its atlas.
    """
    atlas = atlas_of(textures, texture_size)
    image = torch.full((1, 3, atlas.height, atlas.width), 0.5)
    for texture, place in zip(textures, atlas.places, strict=True):
        resized = resize(texture.image[None], *place.window.shape)
        place.window.cut(image).copy_(resized)
    return image, atlas


def atlas_of(textures: Sequence[Texture], texture_size: int | None = None) -> Atlas:
    """Returns the atlas of `pack`."""
    shapes = [(each.image.shape[1], each.image.shape[2]) for each in textures]
    by = 1.0 if texture_size is None else texture_size / max(map(max, shapes))
    return arrange(shapes, [each.wrap for each in textures]).scaled(by)


def repack(image: Tensor, before: Atlas, after: Atlas, how: str = "bicubic") -> Tensor:
    """Brings the textures of an atlas to their sizes in another one.

    Args:
        image: (B, 3, H, W) of the first atlas.
        before: how they lie in it.
        after: how they are to lie.
        how: they are resized.

    Returns:
        (B, 3, h, w), gray between the textures.
    """
    brought = image.new_full((*image.shape[:2], after.height, after.width), 0.5)
    for old, new in zip(before.places, after.places, strict=True):
        texture = resize(old.window.cut(image), *new.window.shape, how=how)
        new.window.cut(brought).copy_(texture)
    return brought


def unpack(image: Tensor, atlas: Atlas) -> list[Tensor]:
    """Returns the textures (3, h, w) of an atlas' image (1, 3, H, W), in their order."""
    return [place.window.cut(image)[0].clone() for place in atlas.places]
