"""Turns the texels of a mesh into its files, with images that show it."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from nst_lightning.drawing.films import write_film
from nst_lightning.files import write_bytes
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.metadata import Metadata
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.writing import write_image
from nst_lightning.layout import SIDES, SIDES_BEFORE, own_folder, turntable_name
from nst_lightning.mesh.cameras import four_sides, turntable
from nst_lightning.mesh.mesh_formats import encode_mesh
from nst_lightning.mesh.rasterizer import Camera
from nst_lightning.mesh.texels import render_map
from nst_lightning.run.mesh_views import ViewedMesh
from nst_lightning.settings import BatchSettings
from nst_lightning.store.output import RECORD_KEY
from nst_lightning.store.records import Record

SIDE = 384
"""Of each of the four sides that show a mesh, in pixels."""

FRAMES = 36
"""Of a film around a mesh."""

FRAME_SIDE = 400
"""Of such a frame, in pixels."""

_PAPER = 1.0
"""What is around a mesh in the images that show it, which differs from what is in its views."""


def write_mesh_result(
    path: Path, texels: Tensor, viewed: ViewedMesh, settings: BatchSettings, record: Record
) -> Record:
    """Writes a mesh with new textures, with images of it beside.

    When all is drawn, what stood there goes first and the main file comes last, so that where it
    stands, all of its files are there, and the record in the image of its sides is its own.

    Args:
        path: of the main file.
        texels: (3, h, w) in [0, 1].
        viewed: the mesh, with its views.
        settings: `turntable`, `resampling`.
        record: the pair's line in the manifest.

    Returns:
        The record with what is known of the files.

    Raises:
        UserError: a GLB would become too large.
        OSError: a file cannot be written.
    """
    filled = viewed.filled(texels[None].float())
    files = encode_mesh(viewed.mesh, viewed.textures(filled, settings.resampling), path)
    *beside, main = files
    record = record.with_facts(beside=beside, bytes=len(files[main]))
    cameras = four_sides(viewed.mesh.surface)
    before, after = draw_views(viewed, cameras, SIDE, [viewed.texels, filled])
    frames = [] if settings.turntable == "none" else draw_turn(viewed, filled)
    path.unlink(missing_ok=True)
    folder = own_folder(path)
    write_image(folder / SIDES_BEFORE, before, None, Metadata(profile=srgb_profile()))
    metadata = Metadata({RECORD_KEY: record.text()}, profile=srgb_profile())
    write_image(folder / SIDES, after, None, metadata)
    if frames:  # which go on where they end
        write_film(folder / turntable_name(settings.turntable), frames, hold=0)
    for name, data in files.items():
        write_bytes(path.with_name(name), data)
    return record


def draw_views(
    viewed: ViewedMesh, cameras: Sequence[Camera], side: int, textures: Sequence[Tensor]
) -> list[Tensor]:
    """Returns views of a mesh on paper, side by side, (3, H, W) for each image of texels."""
    rendering = render_map(viewed.mesh.surface, viewed.atlas, cameras, side, background=_PAPER)
    return [rendering.see(texels)[0].clamp(0, 1) for texels in textures]


def draw_turn(viewed: ViewedMesh, texels: Tensor) -> list[Image.Image]:
    """Returns the frames of a turn around a mesh with texels (1, 3, h, w)."""
    frames = []
    for camera in turntable(viewed.mesh.surface, FRAMES):
        (view,) = draw_views(viewed, [camera], FRAME_SIDE, [texels])
        frames.append(Image.fromarray(to_levels(view).permute(1, 2, 0).numpy()))
    return frames
