"""The arrays of a glTF: accessors, their views of buffers, and sparse changes of them."""

from dataclasses import dataclass

import numpy as np

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.gltf_json import Json, entry, member, whole
from nst_lightning.mesh.placed_faces import Array

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
"""The numpy type of each `componentType`."""

_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
"""The numbers of an element of each `type`; the other matrices, which have gaps, are in no use."""

_MOST_WITHOUT_DATA = 1 << 24
"""Elements that an accessor without data, all zeros but for sparse ones, may have: nothing else
bounds them."""


@dataclass(frozen=True)
class Accessors:
    """The accessors of a glTF.

    root: its JSON.
    buffers: the bytes of its buffers.
    """

    root: Json
    buffers: list[bytearray]

    def stored(self, index: int) -> Array:
        """Returns an accessor's elements (count, n) as they are stored, in their own type.

        Raises:
            BadMesh: it is malformed, or reaches beyond its buffer.
        """
        accessor = entry(self.root, "accessors", index)
        kind = _kind(accessor)
        count, width = whole(accessor, "count"), _width(accessor)
        if "bufferView" in accessor:
            found: Array = self._view(accessor, kind, count, width).copy()
        elif count <= _MOST_WITHOUT_DATA:
            found = np.zeros((count, width), kind)
        else:
            raise BadMesh(f"has an accessor of {count} elements without data; export it anew.")
        if "sparse" in accessor:
            sparse = member(accessor, "sparse")
            places, values = member(sparse, "indices"), member(sparse, "values")
            changed = whole(sparse, "count")
            where = self._view(places, _kind(places), changed, 1)[:, 0].astype(np.int64)
            if where.size and (where.min() < 0 or where.max() >= count):
                raise BadMesh(
                    "has a sparse accessor whose indices are out of range; export it anew."
                )
            found[where] = self._view(values, kind, changed, width)
        return found

    def values(self, index: int) -> Array:
        """Returns an accessor's elements as float64, integers divided by their largest where they
        are `normalized`.

        Raises:
            BadMesh: see `stored`.
        """
        found = self.stored(index)
        values = found.astype(np.float64)
        if entry(self.root, "accessors", index).get("normalized") and found.dtype.kind in "iu":
            values = np.maximum(values / np.iinfo(found.dtype).max, -1.0)
        return np.asarray(values)

    def count(self, index: int) -> int:
        """Returns the number of an accessor's elements, without reading them."""
        return whole(entry(self.root, "accessors", index), "count")

    def _view(self, place: Json, kind: np.dtype, count: int, width: int) -> Array:
        """Returns elements as they lie in a buffer, without copying them.

        Args:
            place: names a bufferView and perhaps a byteOffset in it.
            kind: of a number.
            count: of elements.
            width: numbers of an element.
        """
        view = entry(self.root, "bufferViews", whole(place, "bufferView"))
        start, length = view_range(view, self.buffers)
        offset, size = whole(place, "byteOffset", 0), kind.itemsize * width
        stride = whole(view, "byteStride", 0) or size
        if stride < size or (count and offset + stride * (count - 1) + size > length):
            raise BadMesh("has an accessor that reaches beyond its bufferView; export it anew.")
        buffer = self.buffers[whole(view, "buffer")]
        if not count:
            return np.zeros((0, width), kind)
        strides = stride, kind.itemsize
        found: Array = np.ndarray((count, width), kind, buffer, start + offset, strides)
        return found


def view_range(view: Json, buffers: list[bytearray]) -> tuple[int, int]:
    """Returns where a bufferView begins in its buffer, and its length.

    Raises:
        BadMesh: it reaches beyond the buffer, or there is no such buffer.
    """
    number = whole(view, "buffer")
    if number >= len(buffers):
        raise BadMesh(f"names buffer {number}, and it has {len(buffers)}; export it anew.")
    start, length = whole(view, "byteOffset", 0), whole(view, "byteLength")
    if start + length > len(buffers[number]):
        raise BadMesh("has a bufferView that reaches beyond its buffer; get a whole copy of it.")
    return start, length


def _kind(accessor: Json) -> np.dtype:
    code = whole(accessor, "componentType")
    if code not in COMPONENTS:
        raise BadMesh(f"has an accessor of the unknown type {code}; export it anew.")
    return np.dtype(COMPONENTS[code])


def _width(accessor: Json) -> int:
    name = accessor.get("type")
    if not isinstance(name, str) or name not in _WIDTHS:
        raise BadMesh(
            f"has an accessor of the type {name!r}, which cannot be read; export it anew."
        )
    return _WIDTHS[name]
