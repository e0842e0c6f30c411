"""The text of an OBJ: what its lines say, and where each face stands."""

from array import array
from dataclasses import dataclass

import numpy as np

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.named_lines import split_lines
from nst_lightning.mesh.placed_faces import Array, check_indices


@dataclass(frozen=True)
class ObjText:
    """What an OBJ says. Numbers of vertices, UVs and normals begin with 0 here.

    lines: of the file.
    positions: (V, 3) float64.
    colours: (V, 3) in [0, 1], sRGB values; None where the vertices have none.
    uv: (T, 2) float64, v upwards.
    uv_lines: (T,), the line of each.
    corners: (N, 3), the vertex, the UV and the normal of each corner, polygon after polygon; −1
        where there is none.
    sizes: (P,), the corners of each polygon.
    spans: (P, 2), the first line of each polygon, and the one after its last.
    relative: (P,), whether a polygon counts backwards.
    material: (P,), which of the names each has.
    names: of the materials; the first is None, which faces have before any is named.
    libraries: the line and the text of each mtllib.
    """

    lines: list[str]
    positions: Array
    colours: Array | None
    uv: Array
    uv_lines: Array
    corners: Array
    sizes: Array
    spans: Array
    relative: Array
    material: Array
    names: list[str | None]
    libraries: list[tuple[int, str]]


def parse_obj(data: bytes) -> ObjText:
    """Reads the text of an OBJ; lines of other kinds than are known here are passed over.

    Raises:
        BadMesh: a line is damaged, or names a vertex or UV that there is not.
    """
    lines = split_lines(data)
    positions, colours, uv = array("d"), array("d"), array("d")
    coloured = False
    uv_lines, corners, sizes, spans = array("q"), array("q"), array("q"), array("q")
    relative, material = array("b"), array("q")
    normals = 0
    names: list[str | None] = [None]
    numbers: dict[str | None, int] = {None: 0}
    libraries, current = [], 0
    at = 0
    while at < len(lines):
        start, line = at, lines[at]
        at += 1
        while line.rstrip("\r").endswith("\\") and at < len(lines):
            line = line.rstrip("\r")[:-1] + " " + lines[at]
            at += 1
        words = line.split()
        if not words:
            continue
        key = words[0]
        try:
            if key == "v":
                x, y, z, *more = map(float, words[1:])
                positions.extend((x, y, z))
                coloured |= len(more) >= 3
                colours.extend(more[-3:] if len(more) >= 3 else (1.0, 1.0, 1.0))
            elif key == "vt":
                u, *rest = map(float, words[1:])
                uv.extend((u, rest[0] if rest else 0.0))
                uv_lines.append(start)
            elif key == "vn":
                normals += 1
            elif key == "f":
                counts = len(positions) // 3, len(uv) // 2, normals
                backwards = False
                for word in words[1:]:
                    for count, one in zip(counts, [*word.split("/"), "", ""][:3], strict=True):
                        index = int(one) if one else 0
                        backwards |= index < 0
                        corners.append(index + count if index < 0 else index - 1)
                sizes.append(len(words) - 1)
                spans.extend((start, at))
                relative.append(backwards)
                material.append(current)
            elif key == "usemtl":
                name = line.strip()[len(key) :].strip()
                current = numbers.setdefault(name, len(names))
                if current == len(names):
                    names.append(name)
            elif key == "mtllib":
                libraries.append((start, line.strip()[len(key) :].strip()))
        except (ValueError, OverflowError):
            raise BadMesh(
                f"has a damaged line {start + 1} ({line.strip()[:60]!r}); export it anew."
            ) from None
    found = np.array(corners, np.int64).reshape(-1, 3)
    check_indices(found[:, 0], len(positions) // 3, "vertex", first=1)
    with_uv = found[:, 1]
    if (with_uv < -1).any() or (with_uv >= len(uv) // 2).any():
        raise BadMesh(f"names a UV that is not there, it has {len(uv) // 2}; export it anew.")
    shades = np.array(colours).reshape(-1, 3)
    if coloured and shades.max(initial=0.0) > 1:  # some programs write 0 … 255
        shades = shades / 255
    return ObjText(
        lines,
        np.array(positions).reshape(-1, 3),
        np.nan_to_num(shades).clip(0, 1) if coloured else None,
        np.array(uv).reshape(-1, 2),
        np.array(uv_lines, np.int64),
        found,
        np.array(sizes, np.int64),
        np.array(spans, np.int64).reshape(-1, 2),
        np.array(relative, bool),
        np.array(material, np.int64),
        names,
        libraries,
    )
