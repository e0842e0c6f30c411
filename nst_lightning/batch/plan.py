"""From folders to pairs, and from pairs to batches. Imports no torch."""

import csv
import difflib
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from nst_lightning.batch.ledger import MANIFEST
from nst_lightning.errors import UserError
from nst_lightning.imaging.header import (
    OTHER_PICTURES,
    RESULT_SUFFIXES,
    SUFFIXES,
    Target,
    fit,
    picture_size,
)
from nst_lightning.settings import BatchSettings

Shape = tuple[int, int]
"""(height, width) in pixels."""

MASK = ".mask.png"
"""`cat.mask.png` is the mask of `cat.jpg`, and no picture of its own."""


@dataclass(frozen=True, slots=True)
class StylePart:
    """A picture that a style is made of."""

    path: Path
    share: float = 1.0
    """Of the blend, in proportion to the others'."""
    mask: Path | None = None
    region: str = ""
    """`#rrggbb` of the only region that it serves; by default all."""


@dataclass(frozen=True, slots=True)
class Source:
    """An input picture, or a blend of several."""

    path: Path
    name: str
    """What its results are called: unique among the contents or styles, may hold sub-folders."""
    shape: Shape | None
    """Upright (height, width); None where the picture cannot be read."""
    problem: str = ""
    """Why it cannot be read."""
    mask: Path | None = None
    """The picture of its regions."""
    blend: tuple[StylePart, ...] = ()
    """What it is made of; nothing where it is one picture."""

    @property
    def parts(self) -> tuple[StylePart, ...]:
        """The pictures behind it: several for a blend, else itself."""
        return self.blend or (StylePart(self.path, 1.0, self.mask),)


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture to make."""

    content: Source
    style: Source
    file: str
    """Its result, relative to the output folder, with slashes; a string, for there may be millions
    of them."""

    @property
    def output(self) -> Path:
        """Its result, relative to the output folder."""
        return Path(self.file)

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.content.name} × {self.style.name}"

    @property
    def problem(self) -> str:
        """Why the pair cannot be made; empty where it can."""
        return self.content.problem or self.style.problem

    @property
    def extras(self) -> Path:
        """Folder of its snapshots, relative to the output folder."""
        return self.output.with_suffix("")


@dataclass(frozen=True)
class Case:
    """Pairs that are made with the same settings: a grid is one case, a sweep many."""

    settings: BatchSettings
    pairs: Sequence[Pair]
    labels: Mapping[str, str] = field(default_factory=dict)
    """In a sweep: axis → what it is here."""


def find_pictures(where: Path, *, recursive: bool, skip: Path) -> list[Path]:
    """The pictures of a folder, in order of their names; a file is itself.

    Formats that are known but not supported are in the list too, so that they can be named.
    Hidden files are left out, and so are output folders of nst-batch, `skip` first of all.

    Raises:
        UserError: there is no such file or folder, or no picture in it.
    """
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise UserError(f"{where}: there is no such file or folder.")
    try:
        found = sorted(walk(where, recursive=recursive, skip=skip.resolve()), key=str)
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror}).") from None
    if not found:
        deeper = "" if recursive else " (sub-folders are read with --recursive)"
        raise UserError(
            f"{where}: holds no pictures{deeper}; supported are {', '.join(sorted(SUFFIXES))}."
        )
    return found


def walk(folder: Path, *, recursive: bool, skip: Path) -> Iterator[Path]:
    """The picture files below a folder, in no particular order."""
    seen: set[Path] = set()

    def fail(error: OSError) -> None:
        raise error

    for current, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        here = Path(current)
        folders[:] = [
            name
            for name in folders
            if recursive and not name.startswith(".") and not is_output(here / name, skip)
        ]
        if here.resolve() in seen:  # a loop of links
            folders.clear()
            continue
        seen.add(here.resolve())
        stems = {Path(name).stem for name in files}
        for name in files:
            known = Path(name).suffix.lower() in SUFFIXES | OTHER_PICTURES
            is_mask = name.endswith(MASK) and name.removesuffix(MASK) in stems
            if known and not is_mask and not name.startswith("."):
                yield here / name


def is_output(folder: Path, out: Path) -> bool:
    """Whether a folder is this run's output folder or that of an earlier one."""
    return folder.resolve() == out or (folder / MANIFEST).is_file()


def read_sources(where: Path, settings: BatchSettings, out: Path) -> list[Source]:
    """The pictures of one side of the grid, named and measured; broken ones with their problem."""
    paths = find_pictures(where, recursive=settings.recursive, skip=out)
    root = where if where.is_dir() else where.parent
    names = output_names([path.relative_to(root) for path in paths])
    return [read_source(path, names[path.relative_to(root)], settings) for path in paths]


def read_source(path: Path, name: str, settings: BatchSettings) -> Source:
    """One picture, measured from its header."""
    try:
        return Source(path, name, picture_size(path, max_pixels=settings.max_pixels))
    except UserError as error:
        return Source(path, name, None, str(error))


ENDS = (*(f".{suffix}" for suffix in RESULT_SUFFIXES.values()), ".yaml", ".jsonl")


def output_names(paths: Sequence[Path]) -> dict[Path, str]:
    """A distinct name for each path (relative), the same in every run over the same files.

    The name is the path without its suffix. Names that would collide, also on file systems that
    ignore case or by being both a picture and a folder, get the suffix (`cat-jpg`, `cat-png`), and
    where that does not help a hash of the path.
    """

    def plain(path: Path) -> str:
        return path.with_suffix("").as_posix()

    def with_suffix(path: Path) -> str:
        return f"{plain(path)}-{path.suffix[1:].lower()}"

    def with_hash(path: Path) -> str:
        return f"{with_suffix(path)}-{hashlib.sha256(path.as_posix().encode()).hexdigest()[:8]}"

    names = {path: plain(path) for path in paths}
    for longer in (with_suffix, with_hash):
        taken = Counter(name.casefold() for name in names.values())
        folders = {
            folder.as_posix().casefold() for name in names.values() for folder in Path(name).parents
        }
        for path, name in names.items():
            key = name.casefold()
            # A name that ends like a result would make a folder called as another's file.
            if taken[key] > 1 or key in folders or key.endswith(ENDS):
                names[path] = longer(path)
    return names


class Grid(Sequence[Pair]):
    """Every content with every style, contents first; made when they are looked at, for there may
    be millions."""

    def __init__(
        self, contents: Sequence[Source], styles: Sequence[Source], suffix: str = "png"
    ) -> None:
        self.contents = contents
        self.styles = styles
        self.suffix = suffix

    def __len__(self) -> int:
        return len(self.contents) * len(self.styles)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self[at] for at in range(len(self))[index]]
        row, column = divmod(range(len(self))[index], len(self.styles))
        return pair(self.contents[row], self.styles[column], self.suffix)

    def __iter__(self) -> Iterator[Pair]:
        suffix = self.suffix
        return (pair(content, style, suffix) for content in self.contents for style in self.styles)


def pair(content: Source, style: Source, suffix: str = "png") -> Pair:
    """One pair and where its result goes."""
    return Pair(content, style, f"{content.name}/{style.name}.{suffix}")


def listed_pairs(
    table: Path, contents: Sequence[Source], styles: Sequence[Source], suffix: str = "png"
) -> list[Pair]:
    """The pairs of a CSV of content,style: file names, or names without suffix; a header may stand.

    Raises:
        UserError: unreadable, a row of another length, or a picture that is not in the folders.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: cannot be read as a CSV of content,style ({error}).") from None
    if rows and [cell.lower() for cell in rows[0]] == ["content", "style"]:
        rows = rows[1:]
    if not rows:
        raise UserError(f"{table}: holds no pairs; write one `content,style` a line.")
    wrong = [row for row in rows if len(row) != 2]
    if wrong:
        raise UserError(
            f"{table}: each line is `content,style`, but one is {','.join(wrong[0])!r}."
        )
    chosen = {(look_up(c, contents, table), look_up(s, styles, table)): None for c, s in rows}
    return [pair(content, style, suffix) for content, style in chosen]


def look_up(wanted: str, sources: Sequence[Source], table: Path) -> Source:
    """The source that a line of a table means.

    Raises:
        UserError: none, or several.
    """
    for source in sources:
        if wanted in (source.name, str(source.path)):
            return source
    ending = [source for source in sources if f"/{source.path.as_posix()}".endswith(f"/{wanted}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        several = ", ".join(source.name for source in ending)
        raise UserError(f"{table}: {wanted!r} may mean any of {several}; write one of these.")
    near = difflib.get_close_matches(wanted, [source.path.name for source in sources], n=1)
    hint = f": did you mean {near[0]!r}?" if near else "."
    raise UserError(f"{table}: there is no picture {wanted!r} in the folders{hint}")


def parse_shard(which: str) -> tuple[int, int]:
    """`I/N` → (I − 1, N).

    Raises:
        UserError: not of the form I/N with 1 ≤ I ≤ N.
    """
    first, slash, count = which.partition("/")
    if not (slash and first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise UserError(f"--shard should be I/N with I from 1 to N, such as 1/4, not {which!r}.")
    return int(first) - 1, int(count)


def shapes(source: Source, sizes: Iterable[Target], upscale: bool) -> tuple[Shape, ...]:
    """The (height, width) of a readable source at each size (see `fit`)."""
    assert source.shape is not None
    return tuple(fit(*source.shape, size, upscale) for size in sizes)


def batches(
    pairs: Iterable[Pair], settings: BatchSettings, size: Callable[[int, int], int]
) -> list[list[Pair]]:
    """Readable pairs in batches, each of one shape at every scale.

    Args:
        pairs: in the order in which neighbours share what they can.
        settings: the scales.
        size: the most pairs per batch, from the height and width of the last scale.
    """
    sizes = [scale.target for scale in settings.scales]
    groups: dict[tuple[Shape, ...], list[Pair]] = {}
    for one in pairs:
        groups.setdefault(shapes(one.content, sizes, settings.upscale), []).append(one)
    made = []
    for at, group in groups.items():
        most = size(*at[-1])
        made += [group[start : start + most] for start in range(0, len(group), most)]
    return made
