"""Changes of a glTF that had no texture: new accessors, textures and materials, all appended."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_lightning.mesh.gltf_accessors import COMPONENTS, Accessors
from nst_lightning.mesh.gltf_json import Json, entry, member, numbers, objects, whole
from nst_lightning.mesh.gltf_materials import base_info
from nst_lightning.mesh.gltf_scene import DRACO, PrimitiveId, primitive_of
from nst_lightning.mesh.placed_faces import Array
from nst_lightning.mesh.unwrapping import Unwrapped

_ALIGNMENT = 8
"""Bytes whose multiples views begin at: no extension asks for more."""

_VERTICES, _INDICES = 34962, 34963
_CODES = {np.dtype(kind): code for code, kind in COMPONENTS.items()}


@dataclass(frozen=True)
class GltfEditor:
    """Appends to a glTF; what was in its buffers stays where it is.

    root: its JSON, which is changed.
    buffers: is changed too.
    """

    root: Json
    buffers: list[bytearray]

    def append(self, key: str, item: Json) -> int:
        """Appends an entry to a list of the JSON; returns its index."""
        self.root.setdefault(key, []).append(item)
        return len(self.root[key]) - 1

    def append_view(self, data: bytes, **properties: int) -> int:
        """Appends bytes to the first buffer, as a bufferView; returns its index."""
        buffer = self.buffers[0]
        buffer += b"\0" * (-len(buffer) % _ALIGNMENT)
        view = {"buffer": 0, "byteOffset": len(buffer), "byteLength": len(data), **properties}
        buffer += data
        self.root["buffers"][0]["byteLength"] = len(buffer)
        return self.append("bufferViews", view)

    def append_accessor(self, stored: Array, **properties: Any) -> int:
        """Appends an array as an accessor; returns its index.

        Args:
            stored: (count, n), in the type that it is to have.
            properties: of the accessor, its `type` among them.
        """
        target = _INDICES if properties["type"] == "SCALAR" else _VERTICES
        filled = -stored.dtype.itemsize * stored.shape[1] % 4 if target == _VERTICES else 0
        rows = stored.view(np.uint8).reshape(len(stored), -1)
        rows = np.pad(rows, ((0, 0), (0, filled)))
        stride = {"byteStride": rows.shape[1]} if filled else {}
        view = self.append_view(rows.tobytes(), **stride, target=target)
        return self.append(
            "accessors",
            {
                "bufferView": view,
                "componentType": _CODES[stored.dtype],
                "count": len(stored),
                **properties,
            },
        )

    def split_vertices(self, id: PrimitiveId, unwrapped: Unwrapped, uv_set: int) -> None:
        """Gives a primitive the vertices and UVs of its unwrapped mesh.

        All attributes, of morph targets too, go with the vertices that are copies; extensions that
        hold another form of the same vertices go.

        Args:
            id: of the primitive.
            unwrapped: its vertices, of which some are copies.
            uv_set: the number of the TEXCOORD attribute that is added.
        """
        primitive = primitive_of(self.root, id)
        for attributes in (member(primitive, "attributes"), *objects(primitive, "targets")):
            for name in attributes:
                index = whole(attributes, name)
                attributes[name] = self._chosen(index, unwrapped.source)
        kind = np.uint16 if len(unwrapped.source) < 2**16 else np.uint32
        corners = unwrapped.faces.reshape(-1, 1).astype(kind)
        primitive["indices"] = self.append_accessor(corners, type="SCALAR")
        primitive.pop("mode", None)
        member(primitive, "extensions").pop(DRACO, None)
        uv = self.append_accessor(unwrapped.uv.astype(np.float32), type="VEC2")
        primitive["attributes"][f"TEXCOORD_{uv_set}"] = uv

    def _chosen(self, index: int, source: Array) -> int:
        """Appends an accessor of chosen elements of another one; returns its index."""
        accessor = entry(self.root, "accessors", index)
        stored = np.ascontiguousarray(Accessors(self.root, self.buffers).stored(index)[source])
        place = ("bufferView", "byteOffset", "sparse", "count", "componentType", "min", "max")
        kept = {key: one for key, one in accessor.items() if key not in place}
        if "min" in accessor or "max" in accessor:
            kept["min"], kept["max"] = stored.min(axis=0).tolist(), stored.max(axis=0).tolist()
        return self.append_accessor(stored, **kept)

    def append_texture(self) -> int:
        """Appends a texture with an image that is yet to come; returns the index of the texture."""
        image = self.append("images", {"mimeType": "image/png"})
        return self.append("textures", {"source": image})

    def show(self, ids: Sequence[PrimitiveId], texture: int, uv_set: int) -> None:
        """Has primitives of one material show a texture, which holds their colours already.

        Their material no longer has a colour of its own, but for its alpha, nor have their
        vertices. It is changed where it is theirs alone, otherwise they get a copy of it.
        """
        old = primitive_of(self.root, ids[0]).get("material")
        material = {} if old is None else entry(self.root, "materials", old)
        users = {
            (mesh, at)
            for mesh, one in enumerate(objects(self.root, "meshes"))
            for at, primitive in enumerate(objects(one, "primitives"))
            if primitive.get("material") == old
        }
        if old is None or users != set(ids) or base_info(material) is not None:
            material = copy.deepcopy(material)
            old = self.append("materials", material)
        colour = material.setdefault("pbrMetallicRoughness", {})
        alpha = numbers(colour, "baseColorFactor", (1.0, 1.0, 1.0, 1.0))[3]
        colour.pop("baseColorFactor", None)
        if alpha != 1:
            colour["baseColorFactor"] = [1.0, 1.0, 1.0, alpha]
        colour["baseColorTexture"] = {"index": texture, **({"texCoord": uv_set} if uv_set else {})}
        for id in ids:
            primitive = primitive_of(self.root, id)
            primitive["material"] = old
            member(primitive, "attributes").pop("COLOR_0", None)


def free_uv_set(primitive: Json) -> int:
    """Returns the number of the first TEXCOORD attribute that a primitive does not have."""
    number = 0
    while f"TEXCOORD_{number}" in member(primitive, "attributes"):
        number += 1
    return number
