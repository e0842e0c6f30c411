"""Material files of OBJ: colours, textures, and the text to write them again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.model_folder import ModelFolder
from nst_lightning.mesh.named_lines import Line, NamingLine, split_lines

_ARGUMENTS = {
    "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1,
    "-mm": 2, "-texres": 1, "-type": 1,
}  # fmt: skip
"""The arguments of each option of a map; those of -s, -o and -t are one to three numbers."""

_OTHER_MAPS = ("map_", "bump", "disp", "decal", "refl", "norm")


@dataclass(frozen=True)
class ColourMap:
    """A texture, as a material shows it.

    file: its name.
    options: the text before it in its line.
    scale: by which u and v are multiplied, v upwards.
    offset: what is then added.
    clamp: whether it does not repeat.
    """

    file: str
    options: str
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    clamp: bool = False


@dataclass
class Material:
    """A material of an MTL.

    lines: its lines, `newmtl` first.
    colour: RGB in [0, 1], its Kd; None where it says none.
    map: the texture of that colour.
    """

    lines: list[Line]
    colour: tuple[float, float, float] | None = None
    map: ColourMap | None = None


@dataclass
class MaterialLibrary:
    """The materials of all MTL files of a mesh.

    head: the lines before the first material.
    materials: by their names, in order.
    files: the bytes of the textures other than those of Kd, by the ending of their new name.
    endings: these endings, by the paths of the files.
    """

    head: list[Line] = field(default_factory=list)
    materials: dict[str, Material] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    endings: dict[Path, str] = field(default_factory=dict)

    def read(self, data: bytes, folder: ModelFolder) -> None:
        """Adds the materials of an MTL.

        Raises:
            BadMesh: a number in it is none, or it names a file outside of the folder.
        """
        lines = split_lines(data)
        if lines[-1] == "":
            lines.pop()
        current: Material | None = None
        for line in lines:
            key, _, rest = (
                line.strip().partition(" ") if " " in line else line.strip().partition("\t")
            )
            rest = rest.strip()
            if key == "newmtl":
                current = Material([line])
                self.materials[rest] = current
            elif current is None:
                self.head.append(line)
            else:
                current.lines.append(self._read_line(line, key.lower(), rest, current, folder))

    def _read_line(
        self, line: str, key: str, rest: str, material: Material, folder: ModelFolder
    ) -> Line:
        if key == "kd" and not rest.startswith(("spectral", "xyz")):
            red, *others = _numbers(rest.split()[:3], line)
            green, blue = others if len(others) == 2 else (red, red)
            material.colour = red, green, blue
        elif key == "map_kd" and rest:
            material.map = parse_map(rest)
        elif key.startswith(_OTHER_MAPS) and rest:
            found = parse_map(rest)
            path = folder.find(found.file)
            if path is not None and path.is_file():
                if path not in self.endings:
                    self.endings[path] = f"-{len(self.endings)}-{path.name}"
                    self.files[self.endings[path]] = folder.read(found.file)
                return NamingLine(f"{line.split()[0]} {found.options}", self.endings[path])
        return line

    def show(self, name: str, ending: str, *, white: bool) -> None:
        """Has a material, which is made where there is none, show an image of the result.

        Args:
            name: of the material.
            ending: of the image's name.
            white: whether the image holds the colour of the material, which then has none.
        """
        material = self.materials.setdefault(name, Material([f"newmtl {name}"]))
        options = material.map.options if material.map and not white else ""
        kept = [line for line in material.lines if not _is(line, "map_kd")]
        if white:
            kept = ["Kd 1 1 1" if _is(line, "kd") else line for line in kept]
        at = next(
            (n for n, line in enumerate(material.lines) if _is(line, "map_kd")),
            max(n for n, line in enumerate(kept) if not isinstance(line, str) or line.strip()) + 1,
        )
        kept.insert(at, NamingLine(f"map_Kd {options}", ending))
        material.lines = kept

    def copy(self, name: str) -> str:
        """Adds a copy of a material that has no texture; returns its name."""
        new = self.free_name(f"{name}-unwrapped")
        first, *others = self.materials[name].lines
        indent = "\r" if isinstance(first, str) and first.endswith("\r") else ""
        kept = [line for line in others if not _is(line, "map_kd")]
        self.materials[new] = Material([f"newmtl {new}{indent}", *kept])
        return new

    def free_name(self, name: str) -> str:
        """Returns a name that no material has, this one if it is free."""
        while name in self.materials:
            name += "-"
        return name

    @property
    def lines(self) -> list[Line]:
        """The lines of one file with all materials."""
        return [*self.head, *(line for one in self.materials.values() for line in one.lines), ""]


def parse_map(text: str) -> ColourMap:
    """Reads what stands behind `map_Kd`: options, and the name of a file, perhaps with spaces.

    Raises:
        BadMesh: an option is damaged.
    """
    rest, pairs, clamp = text, {"-s": (1.0, 1.0), "-o": (0.0, 0.0)}, False
    while rest.startswith("-"):
        name, *words = rest.split()
        if name in ("-s", "-o", "-t"):
            count = next((n for n, one in enumerate(words[:3]) if not _is_number(one)), 3)
            given = _numbers(words[:count], text)
            if name in pairs:
                _, second = pairs[name]
                pairs[name] = given[0], given[1] if len(given) > 1 else second
        elif name in _ARGUMENTS:
            count = _ARGUMENTS[name]
            clamp = words[:1] == ["on"] if name == "-clamp" else clamp
        else:
            break
        for _ in range(count + 1):
            parts = rest.split(maxsplit=1)
            rest = parts[1] if len(parts) > 1 else ""
    if not rest:
        raise BadMesh(f"has a material whose texture has no name ({text[:80]!r}); name it there.")
    return ColourMap(rest, text[: len(text) - len(rest)], pairs["-s"], pairs["-o"], clamp)


def _is(line: Line, key: str) -> bool:
    return isinstance(line, str) and line.split()[:1] != [] and line.split()[0].lower() == key


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(words: Sequence[str], line: str) -> list[float]:
    if not words or not all(map(_is_number, words)):
        raise BadMesh(
            f"has a material with a line that is damaged ({line.strip()[:80]!r}); mend it."
        )
    return [float(word) for word in words]
