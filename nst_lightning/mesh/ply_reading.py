"""From a PLY, with its images, to a mesh."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.baking import bake
from nst_lightning.mesh.mesh_file import MeshFile
from nst_lightning.mesh.model_folder import ModelFolder
from nst_lightning.mesh.named_lines import Line, NamingLine
from nst_lightning.mesh.placed_faces import (
    Array,
    check_corners,
    check_count,
    check_indices,
    fans,
    surface_of,
)
from nst_lightning.mesh.ply_elements import (
    Column,
    Element,
    Header,
    Lists,
    Property,
    parse_header,
    read_elements,
    write_element,
)
from nst_lightning.mesh.ply_writing import PlyForm, image_ending
from nst_lightning.mesh.surface import Texture
from nst_lightning.mesh.texture_input import decode_texture
from nst_lightning.mesh.unwrapping import Unwrapped, has_own_places, unwrap

_UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))
_INDEX_NAMES = ("vertex_indices", "vertex_index")
_COLOUR_NAMES = (
    ("red", "green", "blue"),
    ("r", "g", "b"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
)
_IMAGE = "texturefile"
"""The first word of a comment that names an image, in lower case."""


def read_ply(data: bytes, path: Path, *, texture_size: int, max_pixels: int) -> MeshFile:
    """Reads a PLY in ASCII or binary, its UVs with v upwards; polygons become fans of triangles.

    UVs are those of faces (`texcoord`), else of vertices (`s` and `t`, `u` and `v`, `texture_u` and
    `texture_v`). Images are named by comments (`TextureFile`), and faces say which of them they
    show (`texnumber`).

    Args:
        data: the file's bytes.
        path: its path, for the images beside it.
        texture_size: the longest side of textures that are made, in pixels.
        max_pixels: an image of more is refused.

    Raises:
        BadMesh: the file, or an image that it names, cannot be used.
        UserError: an image cannot be read.
    """
    header = parse_header(data)
    return _PlyReader(data, header, path, texture_size, max_pixels).read()


class _PlyReader:
    """Gives the faces of a PLY their textures."""

    def __init__(
        self, data: bytes, header: Header, path: Path, texture_size: int, max_pixels: int
    ) -> None:
        self.header, self.path, self.folder = header, path, ModelFolder(path.parent)
        self.body = data[header.length :]
        self.texture_size, self.max_pixels = texture_size, max_pixels
        self.columns = read_elements(data, header)
        self.vertex = self.columns.get("vertex", {})
        self.face = self.columns.get("face", {})
        self.index_name = next((one for one in _INDEX_NAMES if one in self.face), "")
        lists = self.face.get(self.index_name)
        if not isinstance(lists, Lists):
            raise BadMesh("has no faces; a mesh of triangles or polygons is expected.")
        self.sizes = lists.sizes
        check_count(int(np.maximum(lists.sizes - 2, 0).sum()))
        self.positions = self._numbers(self.vertex, ("x", "y", "z"), "positions of vertices")
        indices = lists.flat.astype(np.int64)
        check_indices(indices, len(self.positions), "vertex")
        self.triangles, self.polygons = fans(lists.sizes)
        self.vertices = indices[self.triangles]
        self.corners = self.positions[self.vertices]
        check_corners(self.corners)

    def read(self) -> MeshFile:
        uv = self._uv()
        named = [
            words[2].strip()
            for line in self.header.lines
            if _is_image(line) and len(words := line.split(maxsplit=2)) == 3
        ]
        if uv is not None and named:
            return self._with_images(uv, named)
        colours = self._colours()
        if uv is not None and has_own_places(uv, self.corners):
            image = bake(uv, colours, (self.texture_size, self.texture_size))
            return self._mesh(self._header(1), self.body, uv, [Texture(image)], [None])
        [one], size = unwrap([(self.positions, self.vertices)], self.texture_size)
        uv = one.uv[one.faces]
        image = bake(uv, colours, size)
        header, body = self._split(one)
        return self._mesh(header, body, uv, [Texture(image)], [None])

    def _with_images(self, uv: Array, named: list[str]) -> MeshFile:
        textures, alphas = [], []
        for name in named:
            data = self.folder.read(name)
            shown = str(self.path.parent / name)
            loaded = decode_texture(data, shown, max_pixels=self.max_pixels)
            textures.append(Texture(loaded.rgb[0]))
            alphas.append(None if loaded.alpha is None else loaded.alpha[0])
        number = self.face.get("texnumber")
        which = np.zeros(len(uv), np.int64)
        if number is not None and not isinstance(number, Lists):
            which = number[self.polygons].astype(np.int64)
            check_indices(which, len(named), "texture")
        header = self._header(len(named))
        return self._mesh(header, self.body, uv, textures, alphas, which)

    def _mesh(
        self,
        header: list[Line],
        body: bytes,
        uv: Array,
        textures: list[Texture],
        alphas: list[Tensor | None],
        which: Array | None = None,
    ) -> MeshFile:
        which = np.zeros(len(uv), np.int64) if which is None else which
        surface = surface_of(self.corners, uv, which)
        return MeshFile(
            self.path,
            surface,
            textures,
            alphas,
            PlyForm(header, body, len(textures)),
            self.folder.used,
        )

    def _uv(self) -> Array | None:
        """Returns the UVs of the triangles' corners (F, 3, 2), v downwards; None without any."""
        lists = self.face.get("texcoord")
        if isinstance(lists, Lists) and (lists.sizes == 2 * self.sizes).all():
            found = lists.flat.reshape(-1, 2)[self.triangles]
        else:
            names = next((pair for pair in _UV_NAMES if set(pair) <= set(self.vertex)), None)
            if names is None:
                return None
            found = self._numbers(self.vertex, names, "UVs")[self.vertices]
        return np.asarray(found * (1, -1) + (0, 1))

    def _colours(self) -> Array:
        """Returns the colours (F, 3, 3) of the triangles' corners, sRGB in [0, 1]: of vertices,
        else of faces, else white."""
        for element, columns in (("vertex", self.vertex), ("face", self.face)):
            names = next((ones for ones in _COLOUR_NAMES if set(ones) <= set(columns)), None)
            if names is None:
                continue
            found = self._numbers(columns, names, "colours")
            kind = _property(self.header, element, names[0]).kind
            if not kind.startswith("f"):
                found = found / np.iinfo(kind).max
            found = np.nan_to_num(found).clip(0, 1)
            if element == "vertex":
                return np.asarray(found[self.vertices])
            return np.broadcast_to(found[self.polygons][:, None], self.corners.shape)
        return np.ones_like(self.corners)

    def _numbers(self, columns: dict[str, Column], names: tuple[str, ...], what: str) -> Array:
        found = [columns.get(name) for name in names]
        numbers = [one.astype(np.float64) for one in found if isinstance(one, np.ndarray)]
        if len(numbers) < len(names):
            raise BadMesh(f"has no {what} that can be read; export it anew.")
        return np.stack(numbers, axis=1)

    def _header(self, count: int) -> list[Line]:
        """Returns the lines of the header, which name the images of the result."""
        lines: list[Line] = []
        images = iter(range(count))
        for line in self.header.lines:
            if not _is_image(line):
                lines.append(line)
            elif (number := next(images, None)) is not None:
                lines.append(_image_line(number, count))
        missing = [_image_line(number, count) for number in images]
        lines[2:2] = missing  # behind `ply` and its format
        return self._ended(lines)

    def _ended(self, lines: list[Line]) -> list[Line]:
        end = self.header.line_end.removesuffix("\n")
        return [*(line + end if isinstance(line, str) else line for line in lines), ""]

    def _split(self, unwrapped: Unwrapped) -> tuple[list[Line], bytes]:
        """Returns header and body with the vertices of the unwrapped mesh and triangles only."""
        names = next((pair for pair in _UV_NAMES if set(pair) <= set(self.vertex)), _UV_NAMES[0])
        elements, body = [], []
        for element in self.header.elements:
            columns, properties = self.columns[element.name], element.properties
            if element.name == "vertex":
                columns = {name: _rows(one, unwrapped.source) for name, one in columns.items()}
                upwards = unwrapped.uv * (1, -1) + (0, 1)
                columns |= {name: upwards[:, n] for n, name in enumerate(names)}
                kept = [one for one in properties if one.name not in names]
                properties = (*kept, *(Property(name, "f4") for name in names))
            elif element.name == "face":
                columns = {name: _rows(one, self.polygons) for name, one in columns.items()}
                three = np.full(len(unwrapped.faces), 3)
                columns[self.index_name] = Lists(three, unwrapped.faces.reshape(-1))
                properties = tuple(
                    _wide(one) if one.name == self.index_name else one
                    for one in properties
                    if one.name != "texcoord"
                )
            count = len(unwrapped.source) if element.name == "vertex" else element.count
            count = len(unwrapped.faces) if element.name == "face" else count
            elements.append(Element(element.name, count, properties))
            body.append(write_element(properties, columns, self.header.order, self.header.line_end))
        kept_lines = [
            line
            for line in self.header.lines
            if line.split()[:1] not in (["element"], ["property"], ["end_header"])
            and not _is_image(line)
        ]
        lines: list[Line] = [*kept_lines[:2], _image_line(0, 1), *kept_lines[2:]]
        for one in elements:
            lines += [f"element {one.name} {one.count}", *(each.line for each in one.properties)]
        return self._ended([*lines, "end_header"]), b"".join(body)


def _is_image(line: str) -> bool:
    return [word.lower() for word in line.split()[:2]] == ["comment", _IMAGE]


def _image_line(number: int, count: int) -> NamingLine:
    return NamingLine("comment TextureFile ", image_ending(number, count))


def _property(header: Header, element: str, name: str) -> Property:
    [found] = [one for one in header.elements if one.name == element]
    return next(one for one in found.properties if one.name == name)


def _wide(one: Property) -> Property:
    """Returns the property of indices with room for as many vertices as there are after a split."""
    return replace(one, kind="i4" if one.kind in ("i1", "u1", "i2", "u2") else one.kind)


def _rows(column: Column, chosen: Array) -> Column:
    """Returns chosen rows of a column."""
    if not isinstance(column, Lists):
        return column[chosen]
    starts = (np.cumsum(column.sizes) - column.sizes)[chosen]
    sizes = column.sizes[chosen]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Lists(sizes, column.flat[np.repeat(starts, sizes) + within])
