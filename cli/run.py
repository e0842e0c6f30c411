"""`nst-batch run`: one content, one style, one file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.batch.plan import Case, Pair, read_source
from nst_lightning.errors import UserError
from nst_lightning.imaging.header import RESULT_SUFFIXES
from nst_lightning.settings import BatchSettings, build

from .display import choose_display
from .options import settings_options
from .work import DryRun, Json, Overwrite, Quiet, show_plan

FORMATS = {f".{suffix}": name for name, suffix in RESULT_SUFFIXES.items()} | {
    ".jpeg": "jpeg",
    ".tiff": "tiff",
}
"""The format that a suffix stands for."""


def format_of(file: Path) -> dict[str, str]:
    """The format that a file's name asks for, as a setting; {} where there is none of the kind."""
    name = FORMATS.get(file.suffix.lower())
    return {"format": name} if name else {}


def check_suffix(file: Path, settings: BatchSettings) -> None:
    """See that a file's name goes with the format.

    Raises:
        UserError: it does not.
    """
    named = format_of(file).get("format")
    if named is None:
        known = ", ".join(f".{suffix}" for suffix in RESULT_SUFFIXES.values())
        raise UserError(
            f"{file}: does not say which format it is to have; name one that ends in {known} with "
            "--out."
        )
    if named != settings.format:
        raise UserError(
            f"{file}: is the name of a {named} file, but format is {settings.format}; name one "
            f"that ends in .{settings.suffix} with --out, or leave --format out."
        )


@settings_options
def run(
    content: Annotated[Path, typer.Argument(help="The photograph.")],
    style: Annotated[Path, typer.Argument(help="The painting.")],
    given: Mapping[str, Any],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture file [<content>-<style>.png].")
    ] = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Stylise one picture into one file, whose suffix is its format where --format is not given."""
    settings = build(given if out is None else {**format_of(out), **given})
    file = out or Path(f"{content.stem}-{style.stem}.{settings.suffix}")
    for picture in (content, style):
        if not picture.is_file():
            kind = (
                "is a folder; `nst-batch grid` takes folders" if picture.is_dir() else "not found"
            )
            raise UserError(f"{picture}: {kind}.")
        if file.exists() and picture.samefile(file):
            raise UserError(f"{file}: is an input; name another file with --out.")
    if file.is_dir():
        raise UserError(f"{file}: is a folder; name a file with --out, such as {file / 'x.png'}.")
    check_suffix(file, settings)
    pair = Pair(
        read_source(content, content.stem, settings),
        read_source(style, style.stem, settings),
        file.name,
    )
    for source in (pair.content, pair.style):
        if source.problem:
            raise UserError(source.problem)
    if dry_run:
        show_plan([Case(settings, [pair])], file.parent, as_json)
        return

    from nst_lightning.batch.local import run as run_pairs
    from nst_lightning.batch.output import check_folder
    from nst_lightning.batch.slurm import place
    from nst_lightning.stop import Interrupted, StopFlag

    if place().rank > 0:
        typer.echo(f"{file}: the first task makes it; `nst-batch grid` has work for several.")
        return

    check_folder(file.parent, [])
    stop = StopFlag()
    with stop.listening():
        try:
            summary = run_pairs(
                [Case(settings, [pair])],
                file.parent,
                choose_display(quiet or as_json, settings.log_every),
                stop,
                ledger=None,
                overwrite=overwrite,
            )
        except Interrupted:
            typer.echo("Interrupted: run the same command again to go on.", err=True)
            raise
    if as_json:
        outcome = {"skipped": summary.skipped == 1, **summary.last}
        typer.echo(json.dumps({**outcome, "output": str(file)}, ensure_ascii=False))
    for record in summary.failed:
        typer.echo(f"nst-batch: {record['reason']}", err=True)
        raise typer.Exit(1)
    if not quiet and not as_json:
        typer.echo(f"{file} {'was made before' if summary.skipped else 'is made'}")
