"""Files of meshes, read and written."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.files import write_bytes
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.mesh.bad_mesh import BadMesh, naming
from nst_lightning.mesh.gltf_reading import read_gltf
from nst_lightning.mesh.mesh_file import MeshFile
from nst_lightning.mesh.model_folder import read_whole
from nst_lightning.mesh.obj_reading import read_obj
from nst_lightning.mesh.ply_reading import read_ply
from nst_lightning.mesh.texture_input import encode_texture

_READERS = {".glb": read_gltf, ".gltf": read_gltf, ".obj": read_obj, ".ply": read_ply}


def read_mesh(
    path: Path | str, *, texture_size: int = 1024, max_pixels: int = MAX_PIXELS
) -> MeshFile:
    """Reads a mesh from a GLB, glTF, OBJ or PLY.

    Faces without texture get one with their colours: those of vertices, else of materials, else
    white. Faces without UVs, or whose UVs could not tell them apart, are unwrapped by xatlas.

    Args:
        path: of the file; files that it names must lie in its folder or below.
        texture_size: the longest side of textures that are made here, in pixels.
        max_pixels: an image of more is refused.

    Raises:
        UserError: the file, or one that it names, cannot be used; the message begins with `path`.
    """
    path = Path(path)
    # What is not finite is found where faces are checked; numpy need not warn of it before.
    with naming(path), np.errstate(all="ignore"):
        suffix = path.suffix.lower()
        if suffix not in _READERS:
            raise BadMesh("is not a mesh that can be read; .glb, .gltf, .obj or .ply is expected.")
        return _READERS[suffix](
            read_whole(path), path, texture_size=texture_size, max_pixels=max_pixels
        )


def write_mesh(mesh: MeshFile, textures: Sequence[Tensor | bytes], path: Path | str) -> None:
    """Writes a mesh as it was read, but for its textures.

    Each file is seen whole or not at all, and the main one, which names the others, comes last.

    Args:
        mesh: see `encode_mesh`, as the others.
        textures: one for each of `mesh.textures`.
        path: of the result.

    Raises:
        UserError: the suffix is another one, or a GLB would become too large.
        OSError: a file cannot be written.
    """
    for name, data in encode_mesh(mesh, textures, path).items():
        write_bytes(Path(path).with_name(name), data)


def encode_mesh(
    mesh: MeshFile, textures: Sequence[Tensor | bytes], path: Path | str
) -> dict[str, bytes]:
    """Returns the files of a mesh as it was read, but for its textures; the main one is last.

    Args:
        mesh: as it was read.
        textures: one for each of `mesh.textures`: (3, h, w) in [0, 1] of any size, which keeps the
            transparency that there was; or the bytes of a PNG, taken as they are.
        path: of the result, with the suffix of the mesh's own file.

    Raises:
        UserError: the suffix is another one, or a GLB would become too large.
    """
    path = Path(path)
    if path.suffix.lower() != mesh.path.suffix.lower():
        raise UserError(
            f"{path}: a mesh keeps its format; give it the suffix {mesh.path.suffix} of "
            f"{mesh.path}."
        )
    if len(textures) != len(mesh.textures):
        raise ValueError(f"{len(textures)} textures for a mesh that has {len(mesh.textures)}")
    pngs = [
        one if isinstance(one, bytes) else encode_texture(one, alpha)
        for one, alpha in zip(textures, mesh.alphas, strict=True)
    ]
    with naming(path):
        return mesh.form.files(pngs, path.name)


def files_beside(mesh: MeshFile, path: Path | str) -> list[str]:
    """Returns the names of the files that `write_mesh` writes beside the main one."""
    return mesh.form.names(Path(path).name)[:-1]
