"""Meshes that are contents: found in folders, read and named."""

from pathlib import Path
from typing import TYPE_CHECKING

from nst_lightning.errors import UserError
from nst_lightning.extras import need_extra
from nst_lightning.files import file_state
from nst_lightning.formats import MESH_SUFFIXES
from nst_lightning.grid.sources import (
    Model,
    Source,
    find_images,
    output_names,
    shape_of_views,
)
from nst_lightning.settings import BatchSettings

if TYPE_CHECKING:
    from nst_lightning.mesh.mesh_file import MeshFile

USUAL_MESH = {"size": 192, "steps": 120, "scales": 2, "view_sets": 4}
"""Settings that are not said where meshes are painted: there are many views, each of them small,
and others from time to time."""

State = tuple[str, int, int]

MADE = 1024
"""The side of a texture that is made where a mesh has none, unless `texture_size` says it."""

READ_MESHES = 2
"""So many meshes are remembered: one is read when it is planned, and soon after to be made."""


def read_models(where: Path, settings: BatchSettings, out: Path) -> list[Source]:
    """Reads the meshes of a folder, or one; those that cannot be read with their problem.

    Raises:
        UserError: there is none, or the settings do not go with meshes.
    """
    check_for_meshes(settings)
    paths = find_images(
        where, recursive=settings.recursive, skip=out, suffixes=MESH_SUFFIXES, what="meshes"
    )
    root = where if where.is_dir() else where.parent
    names = output_names([path.relative_to(root) for path in paths])
    return [read_model(path, names[path.relative_to(root)], settings) for path in paths]


def read_model(path: Path, name: str, settings: BatchSettings) -> Source:
    """Returns one mesh, with its files or the reason why it cannot be read."""
    try:
        mesh = load_model(path, settings)
    except UserError as error:
        return Source(path, name, None, str(error))
    shape = shape_of_views(settings.views, settings.scales[-1].longest)
    return Source(path, name, shape, model=Model(settings.views, tuple(mesh.used)))


def load_model(path: Path, settings: BatchSettings) -> "MeshFile":
    """Returns a mesh from its files, the last ones from memory where nothing has changed.

    Raises:
        UserError: it cannot be used.
    """
    from nst_lightning.mesh.mesh_formats import read_mesh

    size = settings.texture_size or MADE
    key = (path, size, settings.max_pixels)
    if key in _read:
        mesh, states = _read[key]
        if states == _states(mesh):
            return mesh
    mesh = read_mesh(path, texture_size=size, max_pixels=settings.max_pixels)
    _read[key] = mesh, _states(mesh)
    for old in list(_read)[:-READ_MESHES]:
        _read.pop(old, None)
    return mesh


_read: dict[tuple[Path, int, int], "tuple[MeshFile, list[State]]"] = {}


def _states(mesh: "MeshFile") -> list[State]:
    return [file_state(path) for path in (mesh.path, *mesh.used)]


def check_for_meshes(settings: BatchSettings) -> None:
    """Sees that settings go with meshes, and that the packages for them are installed.

    Raises:
        UserError: they do not, or are not.
    """
    need_extra("mesh", "meshes", "scipy")
    for scale in settings.scales:
        if not isinstance(scale.size, int):
            raise UserError(
                f"size {scale.size} does not go with meshes: give the side of each view in pixels, "
                "such as --view-size 192."
            )
    for name, wanted, why in (
        ("split", False, "a mesh is made on one device"),
        ("style_fit", "keep", "a mesh has no aspect"),
        ("finish", "none", "the textures are what is optimised"),
        ("format", "png", "a mesh keeps its format, and its textures are PNG"),
        ("bit_depth", 8, "textures have 8 bits a channel"),
        ("dither", False, "textures are rounded"),
        ("keep_exif", False, "a mesh has none"),
    ):
        value = getattr(settings, name)
        if value != wanted:
            raise UserError(f"{name} {value} does not go with meshes, for {why}: leave it out.")
