"""`nst-batch grid`: every content with every style."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from nst_lightning.grid.pairs import Case, Grid, Pair, listed_pairs, parse_shard
from nst_lightning.grid.sources import Source
from nst_lightning.layout import HISTORY, curves_name, image_before, image_of
from nst_lightning.settings import BatchSettings

from .flags import Flags, Out, StyleFlags
from .options import settings_options
from .sides import draw_blends, read_sides
from .work import carry_out, show_plan

Contents = Annotated[Path, typer.Argument(help="Folder of photographs, or one image.")]
Styles = Annotated[Path, typer.Argument(help="Folder of paintings, or one image.")]
PairsFile = Annotated[
    Path | None,
    typer.Option("--pairs", metavar="FILE", help="CSV of content,style: only these."),
]


Shard = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts.")
]

MOST_CELLS = 60_000
"""Of a contact sheet, which then has a hundred pages."""


@settings_options()
def grid(
    contents: Contents,
    styles: Styles,
    settings: BatchSettings,
    flags: Flags,
    beside: StyleFlags,
    out: Out = Path("out"),
    pairs_file: PairsFile = None,
    part: Shard = None,
) -> None:
    """Stylise every content with every style into OUT/<content>/<style>.png, or another
    --format.

    What is finished is never made again: the same command goes on where it was interrupted.
    """
    sides = read_sides(contents, styles, settings, out, beside)
    pairs = choose_pairs(*sides, settings, pairs_file)
    make_grid(pairs, sides, settings, out, flags, part, [contents, styles])


Sides = tuple[list[Source], list[Source]]
"""The rows and the columns of a grid."""


def make_grid(
    pairs: Sequence[Pair],
    sides: Sides,
    settings: BatchSettings,
    out: Path,
    flags: Flags,
    part: str | None,
    inputs: Sequence[Path],
) -> None:
    """Makes the pairs of a grid, or the share of them that `--shard` says, then its contact sheet.

    Args:
        pairs: that are asked for.
        sides: the grid that they are of.
        settings: of the command.
        out: the output folder.
        flags: as the options say.
        part: I/N, or None for all.
        inputs: files and folders that the command names.

    Raises:
        typer.Exit: with 1, where a pair failed.
        UserError: something is in the way, or cannot work.
    """
    from nst_lightning.run.cost import deal
    from nst_lightning.store.output import check_folder, check_settings, write_settings

    share = parse_shard(part) if part is not None else (0, 1)
    if flags.dry_run:
        show_plan(deal([Case(settings, pairs)], *share), out, flags.as_json)
        return
    check_folder(out, inputs)
    words = list(sys.argv[1:])
    if "--shard" in words:  # settings.yaml speaks of the whole grid
        del words[words.index("--shard") :][:2]
    command = shlex.join(["nst-batch", *words])

    def ready() -> None:
        write_settings(out, settings, command)
        draw_blends(sides[1], settings.max_pixels)

    carry_out(
        [Case(settings, pairs)],
        out,
        share=share,
        flags=flags,
        check=lambda: check_settings(out, settings, overwrite=flags.overwrite),
        ready=ready,
        report=lambda: [
            *draw_sheet(out, *sides, pairs, settings),
            *draw_rows(out, pairs),
        ],
    )


def choose_pairs(
    rows: Sequence[Source],
    columns: Sequence[Source],
    settings: BatchSettings,
    pairs_file: Path | None,
) -> Sequence[Pair]:
    """The pairs that are asked for: all, or those of a file."""
    if pairs_file is None:
        return Grid(rows, columns, settings.suffix)
    return listed_pairs(pairs_file, rows, columns, settings.suffix)


def draw_rows(out: Path, pairs: Sequence[Pair]) -> list[Path]:
    """curves-<content>.png for each row of the grid that has histories: its styles overlaid."""
    from nst_lightning.drawing.curves import draw_curves
    from nst_lightning.drawing.loss_history import read_history

    rows: dict[str, dict[str, Path]] = {}
    for one in pairs:
        file = out / one.extras / HISTORY
        if file.is_file():
            rows.setdefault(one.content.name, {})[one.style.name] = file
    written = []
    for content, files in rows.items():
        path = out / curves_name(content)
        draw_curves(path, {name: read_history(file) for name, file in files.items()}, content)
        written.append(path)
    return written


def draw_sheet(
    out: Path,
    contents: list[Source],
    styles: list[Source],
    pairs: Sequence[Pair],
    settings: BatchSettings,
) -> list[Path]:
    """The contact sheet of what stands in the output folder; none of too many images."""
    if len(contents) * len(styles) > MOST_CELLS:
        return []
    from nst_lightning.grid.pairs import pair
    from nst_lightning.report.contact_sheet import contact_sheet
    from nst_lightning.report.panels import Panel
    from nst_lightning.store.ledger import Ledger

    asked = {one.output for one in pairs}
    suffix = pairs.suffix if isinstance(pairs, Grid) else settings.suffix
    shown: dict[str, Path] = {}
    """An image of each mesh and film, as it was."""
    for one in pairs:
        before = image_before(out / one.output)
        if before is not None and before.is_file():
            shown[one.content.name] = before
    known = Ledger(out).pick(lambda record: (record.status, record.max_pixels))

    def cell(row: int, column: int) -> Panel:
        one = pair(contents[row], styles[column], suffix)
        status, _ = known.get(one.file, ("", 0))
        if status in ("done", "waiting") and (out / one.output).is_file():
            return Panel(image_of(out / one.output))
        failed = status == "failed" and one.output in asked
        return Panel(None, failure="failed" if failed else "missing")

    return contact_sheet(
        out,
        [(source.name, shown.get(source.name, source.path)) for source in contents],
        [(source.name, source.path) for source in styles],
        cell,
        max_pixels=max(settings.max_pixels, *(most for _, most in known.values()), 0),
    )
