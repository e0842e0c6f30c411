"""Writing a glTF again with other images: nothing else in it changes but where bytes lie."""

import base64
import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from nst_lightning.mesh.glb import BINARY, JSON, join_glb
from nst_lightning.mesh.gltf_accessors import view_range
from nst_lightning.mesh.gltf_editing import GltfEditor
from nst_lightning.mesh.gltf_json import Json, objects_below, whole, write_json
from nst_lightning.mesh.gltf_source import GltfSource, is_data

_ALIGNMENT = 8
"""Bytes by multiples of which data is moved, so that all of it stays as aligned as it was."""


@dataclass(frozen=True)
class GltfForm:
    """What is kept of a glTF.

    source: its JSON and buffers, with what was appended to them.
    places: the index of the image of each texture.
    beside: the bytes of those other images that are files, by their index.
    """

    source: GltfSource
    places: list[int]
    beside: dict[int, bytes] = field(default_factory=dict)

    def files(self, pngs: Sequence[bytes], name: str) -> dict[str, bytes]:
        root = copy.deepcopy(self.source.root)
        buffers = [bytearray(buffer) for buffer in self.source.buffers]
        files: dict[str, bytes] = {}
        replaced: dict[int, bytes] = {}
        for index, png in zip(self.places, pngs, strict=True):
            image = root["images"][index]
            image["mimeType"] = "image/png"
            how = self._how(index)
            if how == "view":
                replaced[image["bufferView"]] = png
            elif how == "append":
                image.pop("uri", None)
                image["bufferView"] = GltfEditor(root, buffers).append_view(png)
            elif how == "data":
                image["uri"] = "data:image/png;base64," + base64.b64encode(png).decode()
            else:
                image.pop("bufferView", None)
                image["uri"] = quote(self._image_name(index, name))
                files[self._image_name(index, name)] = png
        _replace(root, buffers, replaced)
        for index, data in self.beside.items():
            root["images"][index]["uri"] = quote(self._image_name(index, name))
            files[self._image_name(index, name)] = data
        chunks = self.source.more
        for index, (buffer, held) in enumerate(zip(root["buffers"], buffers, strict=True)):
            if self._is_chunk(index):
                chunks = [(BINARY, bytes(held)), *chunks]
            elif is_data(buffer.get("uri", "")):
                head = buffer["uri"].partition(",")[0].removesuffix(";base64")
                buffer["uri"] = f"{head};base64,{base64.b64encode(held).decode()}"
            else:
                buffer["uri"] = quote(_buffer_name(index, name))
                files[_buffer_name(index, name)] = bytes(held)
        text = write_json(root, self.source.json_text)
        if self.source.binary:
            return {**files, name: join_glb([(JSON, text), *chunks])}
        return {**files, name: text}

    def names(self, name: str) -> list[str]:
        images = [
            *(index for index in self.places if self._how(index) == "file"),
            *self.beside,
        ]
        buffers = [
            index
            for index, buffer in enumerate(self.source.root["buffers"])
            if not self._is_chunk(index) and not is_data(buffer.get("uri", ""))
        ]
        return [
            *(self._image_name(index, name) for index in images),
            *(_buffer_name(index, name) for index in buffers),
            name,
        ]

    def _is_chunk(self, buffer: int) -> bool:
        """Whether a buffer is the binary chunk of a GLB."""
        return self.source.binary and "uri" not in self.source.root["buffers"][buffer]

    def _how(self, index: int) -> str:
        """Returns where the image of a texture goes: into its `view`, as `data` into the JSON,
        into a `file`, or into a view that is to `append`."""
        image = self.source.root["images"][index]
        if "bufferView" in image and _is_alone(self.source.root, image["bufferView"]):
            return "view"
        if is_data(image.get("uri", "")):
            return "data"
        return "append" if self.source.binary or "bufferView" in image else "file"

    def _image_name(self, index: int, name: str) -> str:
        if index in self.places:
            suffix = ".png"
        else:
            uri = self.source.root["images"][index]["uri"]
            found = re.search(r"\.[A-Za-z0-9]{1,5}$", uri)
            suffix = found[0].lower() if found else ""
        return f"{name.rpartition('.')[0]}-image-{index}{suffix}"


def _buffer_name(index: int, name: str) -> str:
    return f"{name.rpartition('.')[0]}-buffer-{index}.bin"


def _is_alone(root: Json, index: int) -> bool:
    """Whether a bufferView is used once, and shares no byte with another."""
    uses = [one for _, one in objects_below(root) if one.get("bufferView") == index]
    view = root["bufferViews"][index]
    start, end = _span(view)
    return len(uses) == 1 and not any(
        other is not view
        and other.get("buffer") == view["buffer"]
        and max(start, _span(other)[0]) < min(end, _span(other)[1])
        for other in root["bufferViews"]
    )


def _span(view: Json) -> tuple[int, int]:
    start = whole(view, "byteOffset", 0)
    return start, start + whole(view, "byteLength")


def _replace(root: Json, buffers: list[bytearray], replaced: dict[int, bytes]) -> None:
    """Replaces the bytes of bufferViews, and moves what lies behind them."""
    views = root.get("bufferViews", [])
    for number, buffer in enumerate(buffers):
        mine = sorted(
            (view_range(views[index], buffers), index)
            for index in replaced
            if views[index]["buffer"] == number
        )
        if not mine:
            continue
        parts, at, moves = [], 0, []
        for (start, length), index in mine:
            data = replaced[index]
            filled = -(len(data) - length) % _ALIGNMENT
            parts += [bytes(buffer[at:start]), data, b"\0" * filled]
            moves.append((start + length, len(data) + filled - length))
            at = start + length
        parts.append(bytes(buffer[at:]))
        for index, view in enumerate(views):
            if view.get("buffer") == number:
                begin = whole(view, "byteOffset", 0)
                by = sum(move for end, move in moves if end <= begin)
                if by:
                    view["byteOffset"] = begin + by
                if index in replaced:
                    view["byteLength"] = len(replaced[index])
        buffer[:] = b"".join(parts)
        root["buffers"][number]["byteLength"] = len(buffer)
