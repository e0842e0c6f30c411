"""The JSON and the buffers of a glTF 2.0, from a GLB or from a .gltf with files beside it."""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.glb import BINARY, JSON, MAGIC, Chunk, split_glb
from nst_lightning.mesh.gltf_accessors import view_range
from nst_lightning.mesh.gltf_json import Json, member, objects, parse_json, text, whole
from nst_lightning.mesh.gltf_scene import DRACO
from nst_lightning.mesh.model_folder import ModelFolder

_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")


@dataclass(frozen=True)
class GltfSource:
    """A glTF as it was read.

    root: its JSON.
    json_text: the bytes of that.
    buffers: the bytes of its buffers, each of its `byteLength`.
    more: the chunks of a GLB other than its JSON and its first binary one.
    binary: whether it is a GLB.
    folder: in which its files lie.
    """

    root: Json
    json_text: bytes
    buffers: list[bytearray]
    more: list[Chunk]
    binary: bool
    folder: ModelFolder


def split_gltf(data: bytes, folder: ModelFolder, *, binary: bool) -> GltfSource:
    """Reads the JSON and the buffers of a GLB or .gltf.

    Args:
        data: the file's bytes.
        folder: in which its other files lie.
        binary: whether it is to be a GLB; one is read as such under any name.

    Raises:
        BadMesh: it is malformed, of another version, compressed in a way that is not supported, or
            a file of it cannot be read.
    """
    binary = binary or data.startswith(MAGIC)
    chunks = split_glb(data) if binary else [(JSON, data)]
    json_text = chunks[0][1]
    root = parse_json(json_text)
    version = text(member(root, "asset"), "version")
    if version is None or not version.startswith("2."):
        raise BadMesh(f"is a glTF of version {version}; only 2 can be read, so export it anew.")
    _check_compression(root)
    more = chunks[1:]
    own = next((chunk for chunk in more if chunk[0] == BINARY), None)
    more = [chunk for chunk in more if chunk is not own]
    buffers = []
    for number, buffer in enumerate(objects(root, "buffers")):
        uri, length = text(buffer, "uri"), whole(buffer, "byteLength")
        if uri is not None:
            found = read_uri(uri, folder)
        elif number == 0 and own is not None:
            found = own[1]
        else:
            raise BadMesh(f"has a buffer {number} without data; get a whole copy of it.")
        if length > len(found):
            raise BadMesh(
                f"has a buffer {number} that should have {length} bytes and has {len(found)}; get "
                "a whole copy of it."
            )
        buffers.append(bytearray(found[:length]))
    for view in objects(root, "bufferViews"):
        view_range(view, buffers)
    return GltfSource(root, json_text, buffers, more, binary, folder)


def _check_compression(root: Json) -> None:
    required = root.get("extensionsRequired", [])
    if isinstance(required, list) and DRACO in required:  # where it is not, there is both
        label = "Draco"
    elif any(
        name in member(view, "extensions")
        for view in objects(root, "bufferViews")
        for name in _MESHOPT
    ):
        label = "meshopt"
    else:
        return
    raise BadMesh(
        f"is compressed by {label}, which is not supported; export it without compression."
    )


def read_uri(uri: str, folder: ModelFolder) -> bytes:
    """Returns the bytes that a URI of a glTF stands for: its own data, or a file below the folder.

    Raises:
        BadMesh: it is damaged, or names a file that cannot be read or may not be.
    """
    if is_data(uri):
        head, comma, data = uri.partition(",")
        if comma and not head.endswith(";base64"):
            return unquote_to_bytes(data)
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error:
            raise BadMesh("has a data URI that is damaged; get a whole copy of it.") from None
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", uri):
        raise BadMesh(f"names {uri[:80]}, which is no file in its folder; put it there.")
    return folder.read(unquote(uri))


def is_data(uri: str) -> bool:
    """Whether a URI holds its data itself."""
    return uri.startswith("data:")
