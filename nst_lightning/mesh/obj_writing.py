"""Writing an OBJ again, with its materials and textures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nst_lightning.mesh.named_lines import Line, NamingLine, join_lines
from nst_lightning.mesh.obj_text import ObjText
from nst_lightning.mesh.placed_faces import Array


@dataclass(frozen=True)
class ObjForm:
    """What is kept of an OBJ.

    lines: its text.
    materials: the text of its MTL.
    textures: how many images it shows.
    others: the bytes of other textures, by the endings of their names.
    """

    lines: list[Line]
    materials: list[Line]
    textures: int
    others: dict[str, bytes]

    def files(self, pngs: Sequence[bytes], name: str) -> dict[str, bytes]:
        stem = name.rpartition(".")[0]
        return {
            **{stem + texture_ending(number): png for number, png in enumerate(pngs)},
            **{stem + ending: data for ending, data in self.others.items()},
            f"{stem}.mtl": join_lines(self.materials, stem),
            name: join_lines(self.lines, stem),
        }

    def names(self, name: str) -> list[str]:
        stem = name.rpartition(".")[0]
        endings = [*map(texture_ending, range(self.textures)), *self.others, ".mtl"]
        return [*(stem + ending for ending in endings), name]


def texture_ending(number: int) -> str:
    """Returns what the name of a texture has behind the stem of its mesh."""
    return f"-{number}.png"


@dataclass(frozen=True)
class NewFaces:
    """Triangles that take the place of polygons.

    polygons: (F,), the polygon that each is of, in order.
    corners: (F, 3), the numbers of their corners among those of all polygons.
    uv: (T, 2), new UVs, v upwards.
    places: (F, 3), which of these the corners have.
    """

    polygons: Array
    corners: Array
    uv: Array
    places: Array


def rewritten(
    text: ObjText, new: NewFaces | None, renamed: dict[int, str], unnamed: str | None
) -> list[Line]:
    """Returns the lines of an OBJ that names its new MTL, with new faces in the place of polygons.

    Args:
        text: as it was read.
        new: the faces that were unwrapped.
        renamed: names of the materials that new faces have in place of their own, by the numbers of
            these.
        unnamed: the name of the material of faces that have none.
    """
    replaced: dict[int, list[Line]] = {}
    removed: set[int] = set()
    if new is not None:
        _replace_faces(text, new, renamed, replaced, removed)
    nameless = np.flatnonzero(text.material == 0)
    if unnamed is not None and len(nameless):
        line = int(text.spans[nameless[0], 0])
        before = replaced.get(line, [text.lines[line]])
        replaced[line] = [f"usemtl {unnamed}", *before]
    library = NamingLine("mtllib ", ".mtl")
    for number, (line, _) in enumerate(text.libraries):
        replaced[line] = [library] if number == 0 else []
    lines: list[Line] = [] if text.libraries else [library]
    for number, old in enumerate(text.lines):
        if number in replaced:
            lines += replaced[number]
        elif number not in removed:
            lines.append(old)
    return lines


def _replace_faces(
    text: ObjText,
    new: NewFaces,
    renamed: dict[int, str],
    replaced: dict[int, list[Line]],
    removed: set[int],
) -> None:
    """Notes the lines that new faces stand in, and those of other faces whose UVs count anew.

    New UVs stand before the first new face, so that those that came before keep their numbers.
    """
    first = int(text.spans[new.polygons[0], 0])
    before, added = int((text.uv_lines < first).sum()), len(new.uv)

    def written(corner: int, uv: int) -> str:
        vertex, _, normal = (int(one) + 1 for one in text.corners[corner])
        end = f"/{normal}" if normal else ""
        return f"{vertex}/{uv + 1 if uv >= 0 else ''}{end}"

    triangles: dict[int, list[Line]] = {}
    for polygon, corners, places in zip(new.polygons, new.corners, new.places, strict=True):
        words = [written(int(c), before + int(p)) for c, p in zip(corners, places, strict=True)]
        triangles.setdefault(int(polygon), []).append(f"f {' '.join(words)}")
    starts = np.cumsum(text.sizes) - text.sizes
    for polygon, (start, stop) in enumerate(text.spans.tolist()):
        uv = text.corners[starts[polygon] : starts[polygon] + text.sizes[polygon], 1]
        if polygon in triangles:
            replaced[start] = triangles[polygon]
            own = int(text.material[polygon])
            if own in renamed:
                back = [f"usemtl {text.names[own]}"]
                replaced[start] = [f"usemtl {renamed[own]}", *triangles[polygon], *back]
        elif (uv >= before).any() or (text.relative[polygon] and (uv >= 0).any() and start > first):
            corners = range(starts[polygon], starts[polygon] + text.sizes[polygon])
            words = [
                written(c, int(one) + added if one >= before else int(one))
                for c, one in zip(corners, uv, strict=True)
            ]
            replaced[start] = [f"f {' '.join(words)}"]
        else:
            continue
        removed.update(range(start + 1, stop))
    uv_lines: list[Line] = [f"vt {u:.9g} {v:.9g}" for u, v in new.uv.tolist()]
    replaced[first] = [*uv_lines, *replaced[first]]
