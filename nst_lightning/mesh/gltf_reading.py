"""From a GLB or .gltf to a mesh."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from torch import Tensor

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.baking import bake
from nst_lightning.mesh.gltf_accessors import Accessors, view_range
from nst_lightning.mesh.gltf_editing import GltfEditor, free_uv_set
from nst_lightning.mesh.gltf_json import Json, entry, member, numbers, objects, text, whole
from nst_lightning.mesh.gltf_materials import (
    BaseTexture,
    base_texture,
    keep_to_one_use,
    transformed,
)
from nst_lightning.mesh.gltf_scene import (
    PlacedPrimitive,
    PrimitiveId,
    placed_primitives,
    primitive_of,
)
from nst_lightning.mesh.gltf_source import GltfSource, is_data, read_uri, split_gltf
from nst_lightning.mesh.gltf_writing import GltfForm
from nst_lightning.mesh.mesh_file import MeshFile
from nst_lightning.mesh.model_folder import ModelFolder
from nst_lightning.mesh.placed_faces import Array, check_corners, surface_of
from nst_lightning.mesh.surface import Texture
from nst_lightning.mesh.texture_input import decode_texture
from nst_lightning.mesh.unwrapping import has_own_places, unwrap


def read_gltf(data: bytes, path: Path, *, texture_size: int, max_pixels: int) -> MeshFile:
    """Reads a glTF 2.0: the scene that it shows, at rest (see `placed_primitives`).

    A texture is shown as it is, without the factors that a material or its vertices have beside it.
    Primitives without texture get one, with the colours of their vertices and their material; they
    keep their UVs where these give each face a place of its own, and are unwrapped where not.

    Args:
        data: the file's bytes.
        path: its path, for its name and for the files beside it.
        texture_size: the longest side of textures that are made, in pixels.
        max_pixels: an image of more is refused.

    Raises:
        BadMesh: the file cannot be used.
        UserError: an image of it cannot be read.
    """
    source = split_gltf(data, ModelFolder(path.parent), binary=path.suffix.lower() == ".glb")
    accessors = Accessors(source.root, source.buffers)
    placed = placed_primitives(source.root, accessors)
    check_corners(np.concatenate([one.corners for one in placed]))
    reader = _Reader(source, path, placed, texture_size, max_pixels)
    return reader.read()


class _Reader:
    """Gives the primitives of a glTF their textures, and changes its JSON where they have none."""

    def __init__(
        self,
        source: GltfSource,
        path: Path,
        placed: Sequence[PlacedPrimitive],
        texture_size: int,
        max_pixels: int,
    ) -> None:
        self.source, self.root, self.path = source, source.root, path
        self.accessors = Accessors(source.root, source.buffers)
        self.editor = GltfEditor(source.root, source.buffers)
        self.placed = placed
        self.texture_size, self.max_pixels = texture_size, max_pixels
        self.textures: list[Texture] = []
        self.alphas: list[Tensor | None] = []
        self.places: list[int] = []
        self.shown: dict[PrimitiveId, tuple[int, Array]] = {}
        """The texture and the UVs (F, 3, 2) of each primitive."""

    def read(self) -> MeshFile:
        triangles = {one.id: one.triangles for one in self.placed if len(one.triangles)}
        blank = self._read_textures(triangles)
        if blank:
            self._make_textures({id: triangles[id] for id in blank})
        shown = [(one.corners, *self.shown[one.id]) for one in self.placed if one.id in self.shown]
        surface = surface_of(
            np.concatenate([corners for corners, _, _ in shown]),
            np.concatenate([uv for _, _, uv in shown]),
            np.repeat([texture for _, texture, _ in shown], [len(uv) for _, _, uv in shown]),
        )
        form = GltfForm(self.source, self.places, self._other_files())
        return MeshFile(
            self.path, surface, self.textures, self.alphas, form, self.source.folder.used
        )

    def _read_textures(self, triangles: dict[PrimitiveId, Array]) -> list[PrimitiveId]:
        """Reads the textures of all primitives; returns those that have none."""
        blank = []
        slots: dict[tuple[int, tuple[str, str]], dict[PrimitiveId, BaseTexture]] = {}
        for id in triangles:
            material = self._material(id)
            found = base_texture(self.root, material)
            attributes = member(primitive_of(self.root, id), "attributes")
            if found is None or f"TEXCOORD_{found.uv_set}" not in attributes:
                blank.append(id)
            else:
                slots.setdefault((found.image, found.wrap), {})[id] = found
        for (image, wrap), members in slots.items():
            name = f"{self.path}, image {image}"
            data = self._image_bytes(entry(self.root, "images", image))
            loaded = decode_texture(data, name, max_pixels=self.max_pixels, with_profile=False)
            for id, found in members.items():
                uv = transformed(self._uv(id, found.uv_set), found.info)
                self.shown[id] = len(self.textures), uv[triangles[id]]
            shared = sum(image == other for other, _ in slots) > 1
            self.places.append(keep_to_one_use(self.root, list(members.values()), shared=shared))
            self.textures.append(Texture(loaded.rgb[0], wrap))
            self.alphas.append(None if loaded.alpha is None else loaded.alpha[0])
        return blank

    def _make_textures(self, blank: dict[PrimitiveId, Array]) -> None:
        """Makes a texture for each material whose UVs serve, and one for all that is unwrapped."""
        materials: dict[int | None, list[PrimitiveId]] = {}
        for id in blank:
            materials.setdefault(primitive_of(self.root, id).get("material"), []).append(id)
        homeless: list[PrimitiveId] = []
        for ids in materials.values():
            uv = [self._uv(id, 0)[blank[id]] if self._has_uv(id) else None for id in ids]
            known = [one for one in uv if one is not None]
            corners = [self._local(id)[blank[id]] for id in ids]
            if len(known) == len(ids) and has_own_places(
                np.concatenate(known), np.concatenate(corners)
            ):
                size = (self.texture_size, self.texture_size)
                self._show(dict(zip(ids, known, strict=True)), blank, size, dict.fromkeys(ids, 0))
            else:
                homeless += ids
        if homeless:
            meshes, size = unwrap(
                [(self._local(id), blank[id]) for id in homeless], self.texture_size
            )
            uv_sets = {id: free_uv_set(primitive_of(self.root, id)) for id in homeless}
            uv_of = {id: one.uv[one.faces] for id, one in zip(homeless, meshes, strict=True)}
            colours = {id: self._colours(id)[blank[id]] for id in homeless}
            for id, one in zip(homeless, meshes, strict=True):
                self.editor.split_vertices(id, one, uv_sets[id])
            self._show(uv_of, blank, size, uv_sets, colours)

    def _show(
        self,
        uv: dict[PrimitiveId, Array],
        triangles: dict[PrimitiveId, Array],
        size: tuple[int, int],
        uv_sets: dict[PrimitiveId, int],
        colours: dict[PrimitiveId, Array] | None = None,
    ) -> None:
        """Bakes the colours of primitives into a texture and has them show it."""
        if colours is None:
            colours = {id: self._colours(id)[triangles[id]] for id in uv}
        image = bake(
            np.concatenate(list(uv.values())), np.concatenate([colours[id] for id in uv]), size
        )
        texture = self.editor.append_texture()
        groups: dict[tuple[int | None, int], list[PrimitiveId]] = {}
        for id in uv:
            key = primitive_of(self.root, id).get("material"), uv_sets[id]
            groups.setdefault(key, []).append(id)
            self.shown[id] = len(self.textures), uv[id]
        for (_, uv_set), ids in groups.items():
            self.editor.show(ids, texture, uv_set)
        self.places.append(self.root["textures"][texture]["source"])
        self.textures.append(Texture(image))
        self.alphas.append(None)

    def _material(self, id: PrimitiveId) -> Json:
        primitive = primitive_of(self.root, id)
        if "material" not in primitive:
            return {}
        return entry(self.root, "materials", whole(primitive, "material"))

    def _has_uv(self, id: PrimitiveId) -> bool:
        return "TEXCOORD_0" in member(primitive_of(self.root, id), "attributes")

    def _uv(self, id: PrimitiveId, uv_set: int) -> Array:
        return self._vertices(id, f"TEXCOORD_{uv_set}", (2,))

    def _local(self, id: PrimitiveId) -> Array:
        return self._vertices(id, "POSITION", (3,))

    def _colours(self, id: PrimitiveId) -> Array:
        """Returns the colours (V, 3) of a primitive's vertices, sRGB in [0, 1]: of the material
        and, where there are some, of the vertices, whose product is linear light."""
        white = (1.0, 1.0, 1.0, 1.0)
        factor = numbers(
            member(self._material(id), "pbrMetallicRoughness"), "baseColorFactor", white
        )
        linear = np.broadcast_to(factor[:3], (len(self._local(id)), 3))
        if "COLOR_0" in member(primitive_of(self.root, id), "attributes"):
            linear = linear * self._vertices(id, "COLOR_0", (3, 4))[:, :3]
        linear = np.nan_to_num(linear).clip(0, 1)
        # IEC 61966-2-1
        bright = 1.055 * linear ** (1 / 2.4) - 0.055
        return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, bright))

    def _vertices(self, id: PrimitiveId, name: str, widths: tuple[int, ...]) -> Array:
        attributes = member(primitive_of(self.root, id), "attributes")
        found = self.accessors.values(whole(attributes, name))
        count = self.accessors.count(whole(attributes, "POSITION"))
        if found.shape[1] not in widths or len(found) != count:
            raise BadMesh(f"has a {name} that does not fit its vertices; export it anew.")
        return found

    def _image_bytes(self, image: Json) -> bytes:
        uri = text(image, "uri")
        if uri is not None:
            return read_uri(uri, self.source.folder)
        view = entry(self.root, "bufferViews", whole(image, "bufferView"))
        start, length = view_range(view, self.source.buffers)
        return bytes(self.source.buffers[view["buffer"]][start : start + length])

    def _other_files(self) -> dict[int, bytes]:
        """Reads the images that are files but no textures here; those that are missing stay so."""
        found = {}
        for index, image in enumerate(objects(self.root, "images")):
            uri = image.get("uri")
            if index not in self.places and isinstance(uri, str) and not is_data(uri):
                with suppress(BadMesh):
                    found[index] = read_uri(uri, self.source.folder)
        return found
