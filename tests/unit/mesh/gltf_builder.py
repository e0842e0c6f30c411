"""A builder of glTF files, independent of the code under test: struct and json alone."""

import base64
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}

QUAD = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], "f4")
QUAD_UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], "f4")
QUAD_FACES = np.array([0, 1, 2, 0, 2, 3], "u2")


def png_of(colour: tuple[int, ...] = (200, 90, 30), size: tuple[int, int] = (8, 6)) -> bytes:
    """A PNG of one colour but for its first pixel, which is white; size is (width, height)."""
    image = Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour)
    image.putpixel((0, 0), (255,) * len(colour))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


class Gltf:
    """Collects the parts of a glTF."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {"asset": {"version": "2.0", "generator": "ein Prüfer"}}
        self.buffers = [bytearray()]

    def add(self, key: str, item: Any) -> int:
        self.root.setdefault(key, []).append(item)
        return len(self.root[key]) - 1

    def view(self, data: bytes, buffer: int = 0, **more: Any) -> int:
        while len(self.buffers) <= buffer:
            self.buffers.append(bytearray())
        into = self.buffers[buffer]
        into += b"\0" * (-len(into) % 4)
        item = {"buffer": buffer, "byteOffset": len(into), "byteLength": len(data), **more}
        into += data
        return self.add("bufferViews", item)

    def array(self, values: Any, kind: str = "f4", buffer: int = 0, **more: Any) -> int:
        array = np.asarray(values).astype("<" + kind)
        array = array.reshape(len(array), -1)
        item = {
            "bufferView": self.view(array.tobytes(), buffer),
            "componentType": CODES[kind],
            "count": len(array),
            "type": TYPES[array.shape[1]],
            **more,
        }
        return self.add("accessors", item)

    def image(self, png: bytes, **more: Any) -> int:
        item = {"bufferView": self.view(png), "mimeType": "image/png", **more}
        return self.add("images", item)

    def textured(self, image: int, **texture: Any) -> int:
        """A material that shows an image."""
        index = self.add("textures", {"source": image, **texture})
        colour = {"baseColorTexture": {"index": index}}
        return self.add("materials", {"pbrMetallicRoughness": colour})

    def quad(self, material: int | None = None, **attributes: int) -> dict[str, Any]:
        """A primitive of two faces."""
        primitive: dict[str, Any] = {
            "attributes": {"POSITION": self.array(QUAD), "TEXCOORD_0": self.array(QUAD_UV)},
            "indices": self.array(QUAD_FACES, "u2"),
        }
        primitive["attributes"] |= attributes
        if material is not None:
            primitive["material"] = material
        return primitive

    def show(self, *primitives: dict[str, Any], **node: Any) -> int:
        """A node of the scene that shows a mesh."""
        mesh = self.add("meshes", {"primitives": list(primitives)})
        return self.add("nodes", {"mesh": mesh, **node})

    def finish(self) -> dict[str, Any]:
        below = {c for node in self.root["nodes"] for c in node.get("children", [])}
        shown = [n for n in range(len(self.root["nodes"])) if n not in below]
        self.root.setdefault("scenes", [{"nodes": shown}])
        self.root["buffers"] = [{"byteLength": len(one)} for one in self.buffers]
        return self.root

    def glb(self, path: Path, *, more: list[tuple[bytes, bytes]] | None = None) -> Path:
        """Writes a GLB; buffers other than the first are files beside it."""
        root = self.finish()
        for number, data in enumerate(self.buffers[1:], 1):
            root["buffers"][number]["uri"] = f"part%20{number}.bin"
            path.with_name(f"part {number}.bin").write_bytes(data)
        binary = bytes(self.buffers[0])
        path.write_bytes(pack(root, [(b"BIN\0", binary), *(more or [])]))
        return path

    def gltf(self, path: Path, *, embedded: bool = False) -> Path:
        root = self.finish()
        for number, data in enumerate(self.buffers):
            name = f"part {number}.bin"
            root["buffers"][number]["uri"] = (
                "data:application/octet-stream;base64," + base64.b64encode(data).decode()
                if embedded
                else name.replace(" ", "%20")
            )
            if not embedded:
                path.with_name(name).write_bytes(data)
        path.write_text(json.dumps(root, indent=2, ensure_ascii=False), encoding="utf-8")
        return path


def pack(root: dict[str, Any] | bytes, chunks: list[tuple[bytes, bytes]]) -> bytes:
    text = root if isinstance(root, bytes) else json.dumps(root, ensure_ascii=False).encode()
    body = b""
    for name, data in [(b"JSON", text), *chunks]:
        filled = data + (b" " if name == b"JSON" else b"\0") * (-len(data) % 4)
        body += struct.pack("<I", len(filled)) + name + filled
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def unpack(data: bytes) -> tuple[dict[str, Any], list[tuple[bytes, bytes]]]:
    """The JSON of a GLB, and its further chunks."""
    assert struct.unpack("<4sII", data[:12]) == (b"glTF", 2, len(data))
    chunks, at = [], 12
    while at < len(data):
        size, name = struct.unpack("<I4s", data[at : at + 8])
        assert size % 4 == 0
        chunks.append((name, data[at + 8 : at + 8 + size]))
        at += 8 + size
    return json.loads(chunks[0][1]), chunks[1:]
