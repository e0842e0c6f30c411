"""From an OBJ, with its MTL and its images, to a mesh."""

from pathlib import Path

import numpy as np
from torch import Tensor

from nst_lightning.mesh.baking import bake
from nst_lightning.mesh.mesh_file import MeshFile
from nst_lightning.mesh.model_folder import ModelFolder
from nst_lightning.mesh.mtl import MaterialLibrary
from nst_lightning.mesh.obj_text import ObjText, parse_obj
from nst_lightning.mesh.obj_writing import NewFaces, ObjForm, rewritten, texture_ending
from nst_lightning.mesh.placed_faces import (
    Array,
    check_corners,
    check_count,
    fans,
    surface_of,
)
from nst_lightning.mesh.surface import Texture
from nst_lightning.mesh.texture_input import decode_texture
from nst_lightning.mesh.unwrapping import has_own_places, unwrap

_UNNAMED = "texture"
"""What the material of faces that have none is called in a result."""


def read_obj(data: bytes, path: Path, *, texture_size: int, max_pixels: int) -> MeshFile:
    """Reads an OBJ; polygons become fans of triangles.

    An MTL that is not there counts as empty. Kd does not change the colours of a texture.

    Args:
        data: the file's bytes.
        path: its path, for the files beside it.
        texture_size: the longest side of textures that are made, in pixels.
        max_pixels: an image of more is refused.

    Raises:
        BadMesh: the file, or one that it names, cannot be used.
        UserError: an image cannot be read.
    """
    text = parse_obj(data)
    check_count(int(np.maximum(text.sizes - 2, 0).sum()))
    return _ObjReader(text, path, texture_size, max_pixels).read()


class _ObjReader:
    """Gives the faces of an OBJ their textures."""

    def __init__(self, text: ObjText, path: Path, texture_size: int, max_pixels: int) -> None:
        self.text, self.path, self.folder = text, path, ModelFolder(path.parent)
        self.texture_size, self.max_pixels = texture_size, max_pixels
        self.library, self.unnamed = MaterialLibrary(), _UNNAMED
        self.triangles, self.polygons = fans(text.sizes)
        self.vertices = text.corners[self.triangles, 0]
        self.corners = text.positions[self.vertices]
        check_corners(self.corners)
        places = text.corners[self.triangles, 1]
        self.has_uv = (places >= 0).all(axis=1)
        self.uv = np.zeros((len(places), 3, 2))
        self.uv[self.has_uv] = text.uv[places[self.has_uv]]
        self.material = text.material[self.polygons]
        self.texture = np.full(len(places), -1)
        self.textures: list[Texture] = []
        self.alphas: list[Tensor | None] = []
        self.renamed: dict[int, str] = {}

    def read(self) -> MeshFile:
        for _, names in self.text.libraries:
            self._read_library(names)
        self.unnamed = self.library.free_name(_UNNAMED)
        self._read_textures()
        new = self._make_textures()
        flipped = self.uv * (1, -1) + (0, 1)
        unnamed = self.unnamed if (self.material == 0).any() else None
        form = ObjForm(
            rewritten(self.text, new, self.renamed, unnamed),
            self.library.lines,
            len(self.textures),
            self.library.files,
        )
        surface = surface_of(self.corners, flipped, self.texture)
        return MeshFile(self.path, surface, self.textures, self.alphas, form, self.folder.used)

    def _read_library(self, names: str) -> None:
        whole = self.folder.find(names) if names else None
        found = [whole] if whole else [self.folder.find(name) for name in names.split()]
        for path in found:
            if path is not None:
                self.library.read(self.folder.take(path, path.name), self.folder)

    def _read_textures(self) -> None:
        """Reads the textures of materials, each file once for each way in which it is shown."""
        known: dict[tuple[str, bool], int] = {}
        for number, name in enumerate(self.text.names):
            faces = (self.material == number) & self.has_uv
            map = self.library.materials[name].map if name in self.library.materials else None
            if name is None or map is None or not faces.any():
                continue
            key = map.file, map.clamp
            if key not in known:
                known[key] = len(self.textures)
                shown = str(self.path.parent / map.file)
                data = self.folder.read(map.file)
                loaded = decode_texture(data, shown, max_pixels=self.max_pixels)
                wrap = "clamp" if map.clamp else "repeat"
                self._add(Texture(loaded.rgb[0], (wrap, wrap)))
                self.alphas[-1] = None if loaded.alpha is None else loaded.alpha[0]
            self.texture[faces] = known[key]
            self.uv[faces] = self.uv[faces] * map.scale + map.offset
            self.library.show(name, texture_ending(known[key]), white=False)

    def _make_textures(self) -> NewFaces | None:
        """Makes a texture for each material whose UVs serve, and one for all that is unwrapped."""
        homeless = np.zeros(len(self.texture), bool)
        colours = self._colours()
        for number in np.unique(self.material[self.texture < 0]):
            faces = (self.material == number) & (self.texture < 0)
            whole = self.has_uv[faces].all()
            if whole and has_own_places(self.uv[faces], self.corners[faces]):
                flipped = self.uv[faces] * (1, -1) + (0, 1)
                size = self.texture_size, self.texture_size
                self.texture[faces] = self._add(Texture(bake(flipped, colours[faces], size)))
                self._show(int(number))
            else:
                homeless |= faces
        if not homeless.any():
            return None
        [one], size = unwrap([(self.text.positions, self.vertices[homeless])], self.texture_size)
        places = one.uv[one.faces]
        self.texture[homeless] = self._add(Texture(bake(places, colours[homeless], size)))
        for number in np.unique(self.material[homeless]):
            self._show(int(number))
        upwards = one.uv * (1, -1) + (0, 1)
        self.uv[homeless] = upwards[one.faces]
        used, numbers = np.unique(one.faces, return_inverse=True)
        return NewFaces(
            self.polygons[homeless],
            self.triangles[homeless],
            upwards[used],
            numbers.reshape(one.faces.shape),
        )

    def _show(self, number: int) -> None:
        """Has a material show the newest texture; faces without UVs get a copy of one that has a
        texture of its own."""
        name = self.text.names[number] or self.unnamed
        found = self.library.materials.get(name)
        if found is not None and found.map is not None and self._is_shown(number):
            name = self.renamed[number] = self.library.copy(name)
        self.library.show(name, texture_ending(len(self.textures) - 1), white=True)

    def _is_shown(self, number: int) -> bool:
        shown = self.texture[self.material == number]
        return bool((shown < len(self.textures) - 1).any())

    def _colours(self) -> Array:
        """Returns the colours (F, 3, 3) of the faces' corners: of vertices, else of materials."""
        if self.text.colours is not None:
            return np.asarray(self.text.colours[self.vertices])
        white = (1.0, 1.0, 1.0)
        materials = [self.library.materials.get(name or "") for name in self.text.names]
        table = np.array([one.colour or white if one else white for one in materials])
        table = np.nan_to_num(table).clip(0, 1)
        return np.broadcast_to(table[self.material][:, None], (len(self.material), 3, 3))

    def _add(self, texture: Texture) -> int:
        self.textures.append(texture)
        self.alphas.append(None)
        return len(self.textures) - 1
