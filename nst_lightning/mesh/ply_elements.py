"""The elements of a PLY: its header, and columns of numbers in ASCII or binary.

The format is Greg Turk's, "The PLY Polygon File Format" (1994).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.placed_faces import Array

_KINDS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_HEADER_END = b"end_header"
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True)
class Property:
    """A property of an element.

    name: of it.
    kind: numpy's code of its numbers, without their byte order.
    counts: that of the length before each list; None for a single number.
    """

    name: str
    kind: str
    counts: str | None = None

    @property
    def line(self) -> str:
        """Its line of the header."""
        names = {code: name for name, code in reversed(_KINDS.items())}
        of = "" if self.counts is None else f"list {names[self.counts]} "
        return f"property {of}{names[self.kind]} {self.name}"


@dataclass(frozen=True)
class Element:
    """What a PLY declares to have a number of: vertices, faces and others."""

    name: str
    count: int
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Lists:
    """A column of lists: the length of each, (n,), and all their numbers."""

    sizes: Array
    flat: Array


Column = Array | Lists
"""What an element's rows have of a property: numbers (n,), or lists."""


@dataclass(frozen=True)
class Header:
    """The header of a PLY.

    lines: as they are, without line ends.
    line_end: of these.
    order: numpy's code of the byte order, "" for ASCII.
    elements: in their order.
    length: its bytes.
    """

    lines: list[str]
    line_end: str
    order: str
    elements: tuple[Element, ...]
    length: int


def parse_header(data: bytes) -> Header:
    """Reads the header of a PLY.

    Raises:
        BadMesh: it is none, or damaged.
    """
    if not data.startswith(b"ply"):
        raise BadMesh("is not a PLY: it does not begin with ply; give it the suffix of its format.")
    end = data.find(_HEADER_END, 0, _LONGEST_HEADER)
    stop = data.find(b"\n", end) + 1
    if end < 0 or stop < 1:
        raise BadMesh("is cut short: its header has no end; get a whole copy of it.")
    text = data[:stop].decode("utf-8", "surrogateescape")
    line_end = "\r\n" if text.endswith("\r\n") else "\n"
    lines = text.split(line_end)[:-1]
    order: str | None = None
    elements: list[tuple[str, int, list[Property]]] = []
    for line in lines:
        try:
            match line.split():
                case ["format", name, *_]:
                    order = _ORDERS[name]
                case ["element", name, count]:
                    elements.append((name, int(count), []))
                case ["property", "list", counts, kind, name]:
                    if _KINDS[counts].startswith("f"):
                        raise KeyError(counts)
                    elements[-1][2].append(Property(name, _KINDS[kind], _KINDS[counts]))
                case ["property", kind, name]:
                    elements[-1][2].append(Property(name, _KINDS[kind]))
        except (KeyError, ValueError, IndexError):
            raise BadMesh(
                f"has a header with a damaged line ({line[:60]!r}); export it anew."
            ) from None
    if order is None:
        raise BadMesh("has a header that names no format; export it anew.")
    if any(count < 0 or not properties for _, count, properties in elements if count):
        raise BadMesh("has a header with an element that cannot be; export it anew.")
    found = tuple(Element(name, count, tuple(ones)) for name, count, ones in elements)
    return Header(lines, line_end, order, found, stop)


def read_elements(data: bytes, header: Header) -> dict[str, dict[str, Column]]:
    """Reads the columns of all elements, by the names of elements and properties.

    Raises:
        BadMesh: the file is cut short, or holds something else than its header says.
    """
    reader: _Ascii | _Binary
    if header.order:
        reader = _Binary(data, header.length, header.order)
    else:
        reader = _Ascii(data[header.length :].split())
    return {element.name: reader.read(element) for element in header.elements}


_SHORT = "is cut short: it holds less than its header says; get a whole copy of it."


class _Ascii:
    def __init__(self, words: list[bytes]) -> None:
        self.words, self.at = words, 0

    def read(self, element: Element) -> dict[str, Column]:
        width = len(element.properties)
        if self.at + element.count * width > len(self.words):
            raise BadMesh(_SHORT)
        try:
            if all(one.counts is None for one in element.properties):
                taken = self.words[self.at : self.at + element.count * width]
                self.at += len(taken)
                table = np.array(list(map(float, taken))).reshape(element.count, width)
                return {one.name: table[:, n] for n, one in enumerate(element.properties)}
            return _columns(element, self._rows(element))
        except (ValueError, OverflowError):
            raise BadMesh(f"has a {element.name} that is no number; export it anew.") from None

    def _rows(self, element: Element) -> Iterator[list[list[float]]]:
        for _ in range(element.count):
            row = []
            for one in element.properties:
                count = 1 if one.counts is None else int(self._take(1)[0])
                row.append([float(word) for word in self._take(count)])
            yield row

    def _take(self, count: int) -> list[bytes]:
        if count < 0 or self.at + count > len(self.words):
            raise BadMesh(_SHORT)
        self.at += count
        return self.words[self.at - count : self.at]


class _Binary:
    def __init__(self, data: bytes, start: int, order: str) -> None:
        self.data, self.at, self.order = data, start, order

    def read(self, element: Element) -> dict[str, Column]:
        start = self.at
        uniform = self._uniform(element, self._first_sizes(element))
        if uniform is not None:
            return uniform
        self.at = start
        return _columns(element, self._rows(element))

    def _first_sizes(self, element: Element) -> list[int]:
        """Returns the lengths of the lists in the first row of an element."""
        if not element.count:
            return [0] * len(element.properties)
        row = next(self._rows(element))
        return [len(values) for values in row]

    def _uniform(self, element: Element, sizes: list[int]) -> dict[str, Column] | None:
        """Reads an element whose lists are all as long as in its first row; None for another."""
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        for number, (one, size) in enumerate(zip(element.properties, sizes, strict=True)):
            if one.counts is not None:
                fields.append((f"count {number}", self.order + one.counts))
                fields.append((f"{number}", self.order + one.kind, (size,)))
            else:
                fields.append((f"{number}", self.order + one.kind))
        kind = np.dtype(fields)
        start = self.at - (kind.itemsize if element.count else 0)
        if start + kind.itemsize * element.count > len(self.data):
            if all(one.counts is None for one in element.properties):
                raise BadMesh(_SHORT)
            return None
        table = np.frombuffer(self.data, kind, element.count, start)
        found: dict[str, Column] = {}
        for number, (one, size) in enumerate(zip(element.properties, sizes, strict=True)):
            values = table[str(number)].astype(_native(one.kind))
            if one.counts is None:
                found[one.name] = values
            elif (table[f"count {number}"] == size).all():
                found[one.name] = Lists(np.full(element.count, size), values.reshape(-1))
            else:
                return None
        self.at = start + kind.itemsize * element.count
        return found

    def _rows(self, element: Element) -> Iterator[list[list[float]]]:
        for _ in range(element.count):
            row = []
            for one in element.properties:
                count = 1 if one.counts is None else int(self._take(one.counts, 1)[0])
                row.append(self._take(one.kind, count))
            yield row

    def _take(self, kind: str, count: int) -> list[float]:
        form = struct.Struct(f"{self.order}{max(count, 0)}{_LETTERS[kind]}")
        if count < 0 or self.at + form.size > len(self.data):
            raise BadMesh(_SHORT)
        self.at += form.size
        return list(form.unpack_from(self.data, self.at - form.size))


_LETTERS = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}
"""The codes of numbers that Python's struct has."""


def _native(kind: str) -> str:
    return f"={kind}"


def _columns(element: Element, rows: Iterator[list[list[float]]]) -> dict[str, Column]:
    sizes: list[list[int]] = [[] for _ in element.properties]
    flat: list[list[float]] = [[] for _ in element.properties]
    for row in rows:
        for number, values in enumerate(row):
            sizes[number].append(len(values))
            flat[number] += values
    return {
        one.name: np.array(flat[n], np.float64)
        if one.counts is None
        else Lists(np.array(sizes[n], np.int64), np.array(flat[n], np.float64))
        for n, one in enumerate(element.properties)
    }


def write_element(
    properties: Sequence[Property], columns: dict[str, Column], order: str, line_end: str
) -> bytes:
    """Returns the rows of an element.

    Args:
        properties: in their order.
        columns: by the names of these, all of one length.
        order: see `Header`.
        line_end: of rows in ASCII.
    """
    split = [_as_lists(columns[one.name], one) for one in properties]
    rows = []
    for row in zip(*split, strict=True):
        if order:
            parts = [
                struct.pack(
                    f"{order}{'' if one.counts is None else _LETTERS[one.counts]}"
                    f"{len(values)}{_LETTERS[one.kind]}",
                    *([] if one.counts is None else [len(values)]),
                    *values,
                )
                for one, values in zip(properties, row, strict=True)
            ]
            rows.append(b"".join(parts))
        else:
            words = [
                " ".join(map(str, values if one.counts is None else [len(values), *values]))
                for one, values in zip(properties, row, strict=True)
            ]
            rows.append((" ".join(words) + line_end).encode())
    return b"".join(rows)


def _as_lists(column: Column, one: Property) -> list[list[float]]:
    """Returns a column's numbers, row by row, integers as such."""
    lists = column if isinstance(column, Lists) else Lists(np.ones(len(column), int), column)
    flat = lists.flat if one.kind.startswith("f") else lists.flat.astype(np.int64)
    ends = np.cumsum(lists.sizes).tolist()
    values = flat.tolist()
    return [values[end - size : end] for end, size in zip(ends, lists.sizes.tolist(), strict=True)]
