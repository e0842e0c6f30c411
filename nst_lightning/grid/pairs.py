"""From sources to pairs, and from pairs to batches. Imports no torch."""

import csv
import difflib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

from nst_lightning.errors import UserError
from nst_lightning.grid.sources import Shape, Source, shapes
from nst_lightning.layout import is_mesh, own_folder
from nst_lightning.settings import BatchSettings
from nst_lightning.settings.sizes import is_whole_number
from nst_lightning.settings.text import echo, read_text

LONGEST_TABLE = 2**28
"""Bytes; millions of pairs have fewer."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One image to make."""

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
        """What messages call it."""
        return f"{self.content.name} × {self.style.name}"

    @property
    def problem(self) -> str:
        """Why the pair cannot be made; empty where it can."""
        return self.content.problem or self.style.problem

    @property
    def extras(self) -> Path:
        """The folder of its snapshots, relative to the output folder."""
        return own_folder(self.output)


@dataclass(frozen=True)
class Case:
    """Pairs that are made with the same settings: a grid is one case, a sweep many."""

    settings: BatchSettings
    pairs: Sequence[Pair]
    labels: Mapping[str, str] = field(default_factory=dict)
    """In a sweep: axis → what it is here."""


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
    """Returns one pair, with the place where its result goes; a mesh keeps its format."""
    if is_mesh(content.path):
        suffix = content.path.suffix[1:].lower()
    return Pair(content, style, f"{content.name}/{style.name}.{suffix}")


def listed_pairs(
    table: Path, contents: Sequence[Source], styles: Sequence[Source], suffix: str = "png"
) -> list[Pair]:
    """Reads the pairs of a CSV of content,style: file names, or names without suffix.

    A header may stand.

    Raises:
        UserError: unreadable, a row of another length, or an image that is not in the folders.
    """
    try:
        lines = io.StringIO(read_text(table, LONGEST_TABLE).removeprefix("\ufeff"), newline="")
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{table}: cannot be read as a CSV of content,style ({reason}).") from None
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


def look_up(asked: str, sources: Sequence[Source], table: Path) -> Source:
    """Returns the source that a line of a table means.

    Raises:
        UserError: none, or several.
    """
    for source in sources:
        if asked in (source.name, str(source.path)):
            return source
    ending = [source for source in sources if f"/{source.path.as_posix()}".endswith(f"/{asked}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        several = ", ".join(source.name for source in ending)
        raise UserError(f"{table}: {asked!r} may mean any of {several}; write one of these.")
    near = difflib.get_close_matches(asked, [source.path.name for source in sources], n=1)
    hint = f": did you mean {near[0]!r}?" if near else "."
    raise UserError(f"{table}: there is no image {asked!r} in the folders{hint}")


def parse_shard(which: str) -> tuple[int, int]:
    """Reads `I/N` as (I − 1, N).

    Raises:
        UserError: not of the form I/N with 1 ≤ I ≤ N.
    """
    first, slash, count = which.partition("/")
    numbers = is_whole_number(first) and is_whole_number(count)
    if not (slash and numbers and 1 <= int(first) <= int(count)):
        raise UserError(
            f"--shard should be I/N with I from 1 to N, such as 1/4, not {echo(which)}."
        )
    return int(first) - 1, int(count)


def batches(
    pairs: Iterable[Pair], settings: BatchSettings, size: Callable[[int, int], int]
) -> list[list[Pair]]:
    """Returns readable pairs in batches, each of one shape at every scale; of meshes, each of one.

    Args:
        pairs: in the order in which neighbours share what they can.
        settings: the scales.
        size: the most pairs per batch, from the height and width of the last scale.
    """
    groups: dict[tuple[tuple[Shape, ...], Path | None], list[Pair]] = {}
    for one in pairs:
        model = one.content.path if one.content.model else None
        groups.setdefault((shapes(one.content, settings), model), []).append(one)
    made = []
    for (at, _), group in groups.items():
        most = size(*at[-1])
        made += [group[start : start + most] for start in range(0, len(group), most)]
    return made
