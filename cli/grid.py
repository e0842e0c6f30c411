"""`nst-batch grid`: every content with every style."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

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
from nst_lightning.errors import UserError
from nst_lightning.settings import BatchSettings

from .display import choose_display, duration
from .options import settings_options

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and its estimated cost.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace pictures made with other settings or inputs."),
]


@settings_options
def grid(
    contents: Annotated[Path, typer.Argument(help="Folder of photographs, or one picture.")],
    styles: Annotated[Path, typer.Argument(help="Folder of paintings, or one picture.")],
    settings: BatchSettings,
    out: Annotated[Path, typer.Option("--out", "-o", help="Output folder.")] = Path("out"),
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
    from nst_lightning.batch.output import check_folder, check_settings

    content_sources = read_sources(contents, settings, out)
    style_sources = read_sources(styles, settings, out)
    if pairs_file is None:
        pairs = all_pairs(content_sources, style_sources)
    else:
        pairs = listed_pairs(pairs_file, content_sources, style_sources)
    if part is not None:
        pairs = shard(pairs, part)
    if dry_run:
        show_plan(pairs, settings, out, as_json)
        return
    check_folder(out, [contents, styles])
    check_settings(out, settings, overwrite=overwrite)

    from nst_lightning.batch.ledger import Ledger
    from nst_lightning.batch.local import run
    from nst_lightning.batch.output import write_settings
    from nst_lightning.batch.stop import Interrupted, StopFlag
    from nst_lightning.imaging.atomic import sweep

    stop = StopFlag()
    ledger = Ledger(out)
    with stop.listening():
        try:
            sweep(out)
            summary = run(
                [Case(settings, pairs)],
                out,
                choose_display(quiet or as_json),
                stop,
                ledger=ledger,
                overwrite=overwrite,
                ready=lambda: write_settings(
                    out, settings, shlex.join(["nst-batch", *sys.argv[1:]])
                ),
            )
        except Interrupted as interrupted:
            made = sum(record["status"] == "done" for record in ledger.read().values())
            typer.echo(
                f"Interrupted: {made} of {len(pairs)} pictures are finished in {out}; "
                "run the same command again to go on.",
                err=True,
            )
            raise interrupted
        ledger.compact()
        sheet = draw_sheet(out, content_sources, style_sources, pairs, settings.max_pixels)

    failed = [{"output": r["output"], "reason": r["reason"]} for r in summary.failed]
    if as_json:
        outcome = {
            "out": str(out),
            "done": [record["output"] for record in summary.done],
            "skipped": summary.skipped,
            "failed": failed,
            "contact_sheet": [str(page) for page in sheet],
            "seconds": round(summary.seconds, 3),
        }
        typer.echo(json.dumps(outcome, ensure_ascii=False))
    elif not quiet:
        typer.echo(
            f"{len(summary.done)} made, {summary.skipped} done before, {len(failed)} failed, "
            f"in {duration(summary.seconds)}; see {sheet[0] if sheet else out}"
        )
    if failed:
        if not as_json:
            for failure in failed:
                typer.echo(f"failed: {failure['output']}: {failure['reason']}", err=True)
        raise typer.Exit(1)


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

    try:
        return contact_sheet(
            out,
            [(source.name, source.path) for source in contents],
            [(source.name, source.path) for source in styles],
            cell,
            max_pixels=max_pixels,
        )
    except OSError as error:
        raise UserError(f"{out / 'grid.png'}: cannot be written ({error.strerror}).") from None


def show_plan(pairs: list[Pair], settings: BatchSettings, out: Path, as_json: bool) -> None:
    """Print what a run would do and about what it would take."""
    from nst_lightning.batch.cost import flops_per_second, plan_flops
    from nst_lightning.batch.ledger import Ledger

    readable = [pair for pair in pairs if not pair.problem]
    records = Ledger(out).read()
    made = [p for p in readable if records.get(p.output.as_posix(), {}).get("status") == "done"]
    left = [pair for pair in readable if pair not in set(made)]
    flops = plan_flops(left, settings)
    seconds = flops / flops_per_second(settings.accelerator)
    broken = {pair.problem: None for pair in pairs if pair.problem}
    plan: dict[str, Any] = {
        "pairs": len(pairs),
        "finished": len(made),
        "unreadable": len(pairs) - len(readable),
        "problems": list(broken),
        "scales": [scale.model_dump() for scale in settings.scales],
        "tflop": round(flops / 1e12, 2),
        "seconds": round(seconds, 1),
        "outputs": [pair.output.as_posix() for pair in left],
    }
    if as_json:
        typer.echo(json.dumps(plan, ensure_ascii=False))
        return
    for pair in left:
        typer.echo(f"{pair.content.path} × {pair.style.path} → {out / pair.output}")
    for problem in broken:
        typer.echo(f"cannot be made: {problem}")
    scales = ", ".join(f"{scale.size} px for {scale.steps} steps" for scale in settings.scales)
    typer.echo(
        f"{len(left)} pictures to make, {len(made)} finished, {plan['unreadable']} unreadable; "
        f"{scales}; {flops / 1e12:.1f} TFLOP, at best about {duration(seconds)} on this machine"
    )
