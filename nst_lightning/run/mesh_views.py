"""A mesh at one of the scales: its textures in one image, and the views that are painted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nst_lightning.grid.models import load_model
from nst_lightning.mesh.atlas import Atlas, pack, repack, unpack
from nst_lightning.mesh.cameras import choose_cameras
from nst_lightning.mesh.filling import fill_unseen
from nst_lightning.mesh.mesh_file import MeshFile
from nst_lightning.mesh.rasterizer import Camera
from nst_lightning.mesh.texels import Rendering, density, render_map
from nst_lightning.settings import BatchSettings, Pass

LARGEST_TEXTURE = 2048
"""Longest side of textures, in pixels, where `texture_size` does not say it."""

RESOLVED = 1.5
"""Texels along the side of a pixel, on average, that are painted at most: what is finer than views
tell apart shows their pixels as squares. Larger textures are enlarged from these."""


ViewSets = Sequence[Sequence[Camera]]
"""The cameras of each set of views, the same at every scale."""


@dataclass(frozen=True)
class ViewedMesh:
    """A mesh at one of the scales, from one of its sets of views.

    mesh: as it was read.
    view_sets: all of them.
    cameras: of its views, which are one of them.
    whole: how its textures lie in one image at the size of the result.
    atlas: the same at the size at which they are painted at this scale.
    texels: (1, 3, h, w) in [0, 1], the textures as they were, in that image.
    rendering: from texels to views, on the CPU.
    """

    mesh: MeshFile
    view_sets: ViewSets
    cameras: Sequence[Camera]
    whole: Atlas
    atlas: Atlas
    texels: Tensor
    rendering: Rendering

    def filled(self, texels: Tensor) -> Tensor:
        """Returns texels (B, 3, h, w) in which those that no view sees are as those around them."""
        return fill_unseen(texels, self.rendering.texel_pixels, self.mesh.surface, self.atlas)

    def textures(self, texels: Tensor, how: str) -> list[Tensor]:
        """Returns the textures (3, h, w) of the result from texels (1, 3, h, w), all filled."""
        return unpack(repack(texels, self.atlas, self.whole, how), self.whole)

    def brought_to(self, other: "ViewedMesh", texels: Tensor, how: str) -> Tensor:
        """Returns texels as a start at another scale of the same mesh, or for other views."""
        return repack(self.filled(texels.cpu()), self.atlas, other.atlas, how)


def view_mesh(
    path: Path, settings: BatchSettings, scale: Pass, view_sets: ViewSets | None = None
) -> ViewedMesh:
    """Reads a mesh and renders its views.

    Args:
        path: of its file.
        settings: views, sizes, resampling.
        scale: one of the passes.
        view_sets: where they are known; by default they are chosen at the last scale.

    Raises:
        UserError: the mesh cannot be used, or nothing of it can be seen.
    """
    mesh = load_model(path, settings)
    last = settings.scales[-1].longest
    texels, whole = pack(mesh.textures, texture_side(mesh, settings))
    if view_sets is None:
        views = settings.views
        view_sets = choose_cameras(mesh.surface, whole, last, views, views, settings.view_sets)
    finest = density(mesh.surface, whole, view_sets[0], last)
    share = min(1.0, RESOLVED / finest) * scale.longest / last
    atlas = whole
    if share != 1:
        atlas = whole.scaled(share)
        texels = repack(texels, whole, atlas, settings.resampling)
    cameras = view_sets[scale.view_set]
    rendering = render_map(mesh.surface, atlas, cameras, scale.longest)
    return ViewedMesh(mesh, view_sets, cameras, whole, atlas, texels, rendering)


def texture_side(mesh: MeshFile, settings: BatchSettings) -> int:
    """Returns the longest side of the largest texture that is painted, in pixels."""
    own = max(max(texture.image.shape[1:]) for texture in mesh.textures)
    return settings.texture_size or min(own, LARGEST_TEXTURE)
