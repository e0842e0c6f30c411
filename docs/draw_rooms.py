"""Reads the imports of the code, checks them against the order of the rooms and draws them.

Run it as `python docs/draw_rooms.py`: it writes docs/architecture.svg, prints every fault and ends
with 1 if there was one. It needs nothing but Python. Every import counts: those inside functions,
under TYPE_CHECKING and by a module's name in a string.
"""

import ast
import sys
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRAWING = ROOT / "docs" / "architecture.svg"
PACKAGE = "nst_lightning"

ROOMS = {
    "cli": "the commands, thin",
    "api": "what the library exports, stylize",
    "studies": "experiments over many settings",
    "report": "contact sheet, gallery, figures",
    "evaluation": "quality as numbers",
    "benchmark": "speed against other programs",
    "run": "workers, one or several, and Slurm",
    "store": "records, ledger, fingerprints",
    "grid": "images, pairs, blends, masks",
    "callbacks": "snapshots, history, films, states",
    "transfer": "the LightningModule and its objective",
    "losses": "content, style, total variation",
    "optim": "L-BFGS with a memory per image",
    "vgg": "the network and its weights",
    "drawing": "curves, films, text",
    "mesh": "surfaces, views and their files",
    "video": "films, their motion and shots",
    "imaging": "reading and writing images",
    "settings": "every knob, once",
    "base": "layout, files, formats, errors",
}
"""From top to bottom: a file imports from its own room or from a room further down."""

WAY = [
    ("cli", "reads the command line"),
    ("settings", "checks every knob"),
    ("grid", "lists the pairs"),
    ("store", "skips what is finished"),
    ("run", "shares out the batches"),
    ("transfer", "fits in a Trainer"),
    ("callbacks", "keep snapshots and states"),
    ("base", "writes whole files"),
    ("store", "notes the record"),
    ("report", "shows the result"),
]
"""The stops of an image on its way through the rooms."""

Module = str
"""The name of a module, as it is imported."""


def modules(root: Path = ROOT) -> dict[Module, Path]:
    """Finds every module of the product; cli/ and configs/ are installed inside the package."""
    found = {}
    for folder, prefix in ((PACKAGE, ()), ("cli", (PACKAGE,)), ("configs", (PACKAGE,))):
        for path in sorted((root / folder).rglob("*.py")):
            parts = (*prefix, *path.relative_to(root).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def room_of(module: Module) -> str:
    """Names the room of a module; a file that stands in no folder belongs to the base."""
    special = {PACKAGE: "api", f"{PACKAGE}.__main__": "cli", f"{PACKAGE}.api": "api"}
    if module in special:
        return special[module]
    folder = module.split(".")[1]
    return folder if folder in ROOMS else "base"


def imports_of(module: Module, path: Path, known: dict[Module, Path]) -> Iterator[Module]:
    """Yields the modules of the product that a file imports, wherever in the file it does so."""
    parts = module.split(".")
    package = parts if path.name == "__init__.py" else parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            inner = [f"{source}.{alias.name}" for alias in node.names]
            names = [name if name in known else source for name in inner]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value] if node.value != PACKAGE else []
        yield from (name for name in names if name in known and name != module)


def all_imports(known: dict[Module, Path]) -> dict[Module, set[Module]]:
    """Maps every module to the modules that it imports."""
    return {module: set(imports_of(module, path, known)) for module, path in known.items()}


def upward(imports: dict[Module, set[Module]]) -> list[str]:
    """Lists the imports from a room further up, as `importer -> imported`."""
    order = list(ROOMS)
    return [
        f"{module} -> {other}"
        for module, others in sorted(imports.items())
        for other in sorted(others)
        if order.index(room_of(other)) < order.index(room_of(module))
    ]


def circles(imports: dict[Module, set[Module]]) -> list[str]:
    """Lists the circles inside rooms: the files, sorted, of which each reaches all the others."""

    def reach(start: Module) -> set[Module]:
        seen: set[Module] = set()
        waiting = [start]
        while waiting:
            here = imports[waiting.pop()] - seen
            same = {other for other in here if room_of(other) == room_of(start)}
            seen |= same
            waiting += same
        return seen

    reached = {module: reach(module) for module in imports}
    groups = {
        tuple(sorted(other for other in there if module in reached[other]))
        for module, there in reached.items()
        if module in there
    }
    return [" <-> ".join(group) for group in sorted(groups)]


def same_names(known: dict[Module, Path]) -> list[str]:
    """Lists the file names that occur more than once; `__init__.py` may."""
    seen: dict[str, list[str]] = {}
    for path in known.values():
        if path.name != "__init__.py":
            seen.setdefault(path.name, []).append(path.relative_to(ROOT).as_posix())
    return [" = ".join(paths) for paths in seen.values() if len(paths) > 1]


def draw(imports: dict[Module, set[Module]]) -> str:
    """Draws the rooms, their imports on the right and an image's way on the left, as SVG.

    Each room has one line that leaves it on the right and runs down; a dot on that line is an
    import of the room in whose row it lies. The line of the top room is the outermost, so that
    no line crosses another where it leaves its room.
    """
    rooms = list(ROOMS)
    needs: dict[str, set[str]] = {room: set() for room in rooms}
    for module, others in imports.items():
        needs[room_of(module)] |= {room_of(other) for other in others} - {room_of(module)}
    top, height, left, width, gap, lane = 96, 54, 210, 390, 28, 26
    right = left + width
    total = (right + gap + lane * len(rooms) + 20, top + height * len(rooms) + 40)
    middle = {room: top + height * i + height // 2 - 4 for i, room in enumerate(rooms)}
    lane_x = {room: right + gap + lane * (len(rooms) - 1 - i) for i, room in enumerate(rooms)}
    colour = {room: f"hsl({(i * 137) % 360} 60% 42%)" for i, room in enumerate(rooms)}
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" '
        f'width="{total[0]}" height="{total[1]}" font-family="DejaVu Sans, Verdana, sans-serif">',
        "<title>The rooms of nst-lightning, their imports and an image's way through them</title>",
        "<defs>",
    ]
    for name, fill in (("way", "#c2410c"), ("import", "#374151")):
        out.append(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            f'markerHeight="8" orient="auto" markerUnits="userSpaceOnUse">'
            f'<path d="M0 0L8 4L0 8z" fill="{fill}"/></marker>'
        )
    out += [
        "</defs>",
        f'<rect width="{total[0]}" height="{total[1]}" fill="#ffffff"/>',
        '<text x="20" y="34" font-size="19" font-weight="bold" fill="#c2410c">'
        "An image's way</text>",
        '<text x="20" y="56" font-size="12.5" fill="#4b5563">from stop 1 to stop '
        f"{len(WAY)}</text>",
        f'<text x="{left}" y="34" font-size="19" font-weight="bold" fill="#111827">'
        "The rooms</text>",
        f'<text x="{left}" y="56" font-size="12.5" fill="#4b5563">imports point down only</text>',
        f'<text x="{right + gap}" y="34" font-size="19" font-weight="bold" fill="#374151">'
        "Who imports whom</text>",
        f'<text x="{right + gap}" y="56" font-size="12.5" fill="#4b5563">'
        "a room's line runs down; its dot in a row</text>",
        f'<text x="{right + gap}" y="73" font-size="12.5" fill="#4b5563">'
        "is an import of that row's room</text>",
    ]
    # Imports: a grey row line with an arrow head into each imported room, then the rooms' lines.
    arrives, leaves = -9, 9
    for room in rooms:
        importers = [other for other in rooms if room in needs[other]]
        if importers:
            y, far = middle[room] + arrives, max(lane_x[other] for other in importers)
            out.append(
                f'<path d="M{far} {y}H{right + 2}" fill="none" stroke="#9ca3af" '
                'stroke-width="1.2" marker-end="url(#import)"/>'
            )
    for room in rooms:
        if not needs[room]:
            continue
        x, start = lane_x[room], middle[room] + leaves
        ends = sorted(middle[other] + arrives for other in needs[room])
        out.append(
            f'<path d="M{right} {start}H{x}M{x} {min(start, ends[0])}V{max(start, ends[-1])}" '
            f'fill="none" stroke="{colour[room]}" stroke-width="2"/>'
        )
        for y in ends:
            out.append(f'<circle cx="{x}" cy="{y}" r="4.5" fill="{colour[room]}"/>')
    # The way: badges in the boxes' left edge, joined on the left.
    slots: dict[str, list[int]] = {}
    for number, (room, _) in enumerate(WAY):
        slots.setdefault(room, []).append(number)
    at = {}
    for room, numbers in slots.items():
        for i, number in enumerate(numbers):
            at[number] = middle[room] + 23 * (2 * i - len(numbers) + 1) // 2
    for before, after in pairwise(range(len(WAY))):
        a, b = at[before], at[after]
        bulge = 24 + 0.18 * abs(b - a)
        a += 7 if b > a else -7  # so that it does not leave where another line arrives
        out.append(
            f'<path d="M{left - 9} {a}C{left - 11 - bulge:.0f} {a} {left - 13 - bulge:.0f} {b} '
            f'{left - 13} {b}" fill="none" stroke="#c2410c" stroke-width="1.8" '
            'marker-end="url(#way)"/>'
        )
    for room in rooms:
        y = middle[room]
        out.append(
            f'<rect x="{left}" y="{y - 22}" width="{width}" height="44" rx="7" fill="#f9fafb" '
            f'stroke="{colour[room]}" stroke-width="2"/>'
        )
        out.append(
            f'<text x="{left + 22}" y="{y - 3}" font-size="15" font-weight="bold" '
            f'fill="#111827">{escape(room)}</text>'
        )
        out.append(
            f'<text x="{left + 128}" y="{y - 3}" font-size="12.5" '
            f'fill="#374151">{escape(ROOMS[room])}</text>'
        )
        said = " · ".join(f"{number + 1} {WAY[number][1]}" for number in slots.get(room, []))
        if said:
            out.append(
                f'<text x="{left + 22}" y="{y + 15}" font-size="12" '
                f'fill="#c2410c">{escape(said)}</text>'
            )
    for number, y in at.items():
        out.append(
            f'<circle cx="{left}" cy="{y}" r="10.5" fill="#c2410c"/>'
            f'<text x="{left}" y="{y + 4}" font-size="11.5" font-weight="bold" fill="#ffffff" '
            f'text-anchor="middle">{number + 1}</text>'
        )
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main() -> int:
    """Writes the drawing and prints the faults; 1 if there was one."""
    known = modules()
    imports = all_imports(known)
    DRAWING.write_text(draw(imports), encoding="utf-8")
    faults = [
        *(f"upward: {fault}" for fault in upward(imports)),
        *(f"circle: {fault}" for fault in circles(imports)),
        *(f"same name: {fault}" for fault in same_names(known)),
    ]
    print("\n".join(faults) or "no arrow upward, no circle, every file name once")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
