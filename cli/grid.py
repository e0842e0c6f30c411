"""`nst-batch grid`: every content with every style."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from nst_lightning.batch.plan import (
    Case,
    Pair,
    Source,
    all_pairs,
    listed_pairs,
    read_sources,
    shard,
)
from nst_lightning.settings import BatchSettings

from .options import settings_options
from .work import DryRun, Json, Out, Overwrite, Quiet, carry_out, show_plan


@settings_options
def grid(
    contents: Annotated[Path, typer.Argument(help="Folder of photographs, or one picture.")],
    styles: Annotated[Path, typer.Argument(help="Folder of paintings, or one picture.")],
    settings: BatchSettings,
    out: Out = Path("out"),
    pairs_file: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="FILE", help="CSV of content,style: only these."),
    ] = None,
    part: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts.")
    ] = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Stylise every content with every style into OUT/<content>/<style>.png.

    What is finished is never made again: the same command goes on where it was interrupted.
    """
    from nst_lightning.batch.output import check_folder, check_settings, write_settings

    content_sources = read_sources(contents, settings, out)
    style_sources = read_sources(styles, settings, out)
    if pairs_file is None:
        pairs = all_pairs(content_sources, style_sources)
    else:
        pairs = listed_pairs(pairs_file, content_sources, style_sources)
    if part is not None:
        pairs = shard(pairs, part)
    if dry_run:
        show_plan([Case(settings, pairs)], out, as_json)
        return
    check_folder(out, [contents, styles])
    check_settings(out, settings, overwrite=overwrite)
    command = shlex.join(["nst-batch", *sys.argv[1:]])
    carry_out(
        [Case(settings, pairs)],
        out,
        overwrite=overwrite,
        quiet=quiet,
        as_json=as_json,
        ready=lambda: write_settings(out, settings, command),
        report=lambda: [
            *draw_sheet(out, content_sources, style_sources, pairs, settings.max_pixels),
            *draw_rows(out, pairs),
        ],
    )


def draw_rows(out: Path, pairs: list[Pair]) -> list[Path]:
    """curves-<content>.png for each row of the grid that has histories: its styles overlaid."""
    from nst_lightning.report.curves import draw_curves
    from nst_lightning.report.history_file import read_history

    rows: dict[str, dict[str, Path]] = {}
    for one in pairs:
        file = out / one.extras / "history.csv"
        if file.is_file():
            rows.setdefault(one.content.name, {})[one.style.name] = file
    written = []
    for content, files in rows.items():
        path = out / f"curves-{content.replace('/', '-')}.png"
        draw_curves(path, {name: read_history(file) for name, file in files.items()}, content)
        written.append(path)
    return written


def draw_sheet(
    out: Path, contents: list[Source], styles: list[Source], pairs: list[Pair], max_pixels: int
) -> list[Path]:
    """The contact sheet of what stands in the output folder."""
    from nst_lightning.batch.ledger import Ledger
    from nst_lightning.batch.plan import pair
    from nst_lightning.report.contact_sheet import Cell, contact_sheet

    asked = {one.output for one in pairs}
    records = Ledger(out).read()

    def cell(row: int, column: int) -> Cell:
        one = pair(contents[row], styles[column])
        status = records.get(one.output.as_posix(), {}).get("status")
        if status == "done" and (out / one.output).is_file():
            return Cell(out / one.output)
        return Cell(None, "failed" if status == "failed" and one.output in asked else "")

    return contact_sheet(
        out,
        [(source.name, source.path) for source in contents],
        [(source.name, source.path) for source in styles],
        cell,
        max_pixels=max_pixels,
    )
