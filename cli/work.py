"""What every command that optimises does: plan, run, report, and the exit code."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.batch.plan import Case, Pair
from nst_lightning.errors import UserError

from .display import choose_display, duration

Out = Annotated[Path, typer.Option("--out", "-o", help="Output folder.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and its estimated cost.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace pictures made with other settings or inputs."),
]


def carry_out(
    cases: Sequence[Case],
    out: Path,
    *,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    ready: Callable[[], None],
    report: Callable[[], list[Path]],
) -> None:
    """Make the pictures of all cases, then the report; what is finished is never made again.

    Args:
        cases: what is wanted.
        out: the output folder, known to be writable.
        overwrite, quiet, as_json: as the options say.
        ready: called when nothing stands in the way, before the first picture.
        report: called at the end; returns the files to point at, the first one to look at.

    Raises:
        typer.Exit: with 1, where a pair failed.
    """
    from nst_lightning.batch.ledger import Ledger
    from nst_lightning.batch.local import run
    from nst_lightning.batch.stop import Interrupted, StopFlag
    from nst_lightning.imaging.atomic import sweep

    stop = StopFlag()
    ledger = Ledger(out)
    with stop.listening():
        try:
            sweep(out)
            summary = run(
                cases,
                out,
                choose_display(quiet or as_json, cases[0].settings.log_every),
                stop,
                ledger=ledger,
                overwrite=overwrite,
                ready=ready,
            )
        except Interrupted as interrupted:
            records = ledger.read()
            pairs = [pair for case in cases for pair in case.pairs]
            made = sum(is_done(pair, records) for pair in pairs)
            typer.echo(
                f"Interrupted: {made} of {len(pairs)} pictures are finished in {out}; "
                "run the same command again to go on.",
                err=True,
            )
            raise interrupted
        ledger.compact()
        try:
            files = report()
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be written ({error.strerror}).") from None

    failed = [{"output": r["output"], "reason": r["reason"]} for r in summary.failed]
    if as_json:
        outcome = {
            "out": str(out),
            "done": [record["output"] for record in summary.done],
            "skipped": summary.skipped,
            "failed": failed,
            "report": [str(file) for file in files],
            "seconds": round(summary.seconds, 3),
            "steps_saved": summary.steps_saved,
        }
        typer.echo(json.dumps(outcome, ensure_ascii=False))
    elif not quiet:
        saved = f", {summary.steps_saved} steps saved" if summary.steps_saved else ""
        typer.echo(
            f"{len(summary.done)} made, {summary.skipped} done before, {len(failed)} failed, "
            f"in {duration(summary.seconds)}{saved}; see {files[0] if files else out}"
        )
    if failed:
        if not as_json:
            for failure in failed:
                typer.echo(f"failed: {failure['output']}: {failure['reason']}", err=True)
        raise typer.Exit(1)


def is_done(pair: Pair, records: dict[str, Any]) -> bool:
    """Whether the ledger has a pair as done."""
    return bool(records.get(pair.output.as_posix(), {}).get("status") == "done")


def show_plan(cases: Sequence[Case], out: Path, as_json: bool) -> None:
    """Print what a run would do and about what it would take."""
    from nst_lightning.batch.cost import flops_per_second, plan_flops
    from nst_lightning.batch.device import DTYPES, choose_device, largest_batch_bytes, resolve
    from nst_lightning.batch.ledger import Ledger

    records = Ledger(out).read()
    pairs = [pair for case in cases for pair in case.pairs]
    made = sum(is_done(pair, records) for pair in pairs if not pair.problem)
    left = [
        (case, pair)
        for case in cases
        for pair in case.pairs
        if not pair.problem and not is_done(pair, records)
    ]
    flops = sum(plan_flops([pair], case.settings) for case, pair in left)
    device = choose_device(cases[0].settings.accelerator)
    seconds = flops / flops_per_second(device, DTYPES[resolve(cases[0].settings, device).precision])
    memory = max(
        (largest_batch_bytes(case.settings, device, [pair]) for case, pair in left), default=0
    )
    broken = {pair.problem: None for pair in pairs if pair.problem}
    unreadable = sum(bool(pair.problem) for pair in pairs)
    plan: dict[str, Any] = {
        "pairs": len(pairs),
        "finished": made,
        "unreadable": unreadable,
        "problems": list(broken),
        "scales": [scale.model_dump() for scale in cases[0].settings.scales],
        "tflop": round(flops / 1e12, 2),
        "seconds": round(seconds, 1),
        "gib": round(memory / 2**30, 2),
        "outputs": [pair.output.as_posix() for _, pair in left],
    }
    if as_json:
        typer.echo(json.dumps(plan, ensure_ascii=False))
        return
    for _, pair in left:
        typer.echo(f"{pair.content.path} × {pair.style.path} → {out / pair.output}")
    for problem in broken:
        typer.echo(f"cannot be made: {problem}")
    scales = [case.settings.scales for case in cases]
    each = ", ".join(f"{scale.size} px for {scale.steps} steps" for scale in scales[0])
    if any(other != scales[0] for other in scales):
        each = f"{sum(case.settings.total_steps * len(case.pairs) for case in cases)} steps in all"
    typer.echo(
        f"{len(left)} pictures to make, {made} finished, {unreadable} unreadable; "
        f"{each}; {flops / 1e12:.1f} TFLOP, at best about {duration(seconds)} and "
        f"{memory / 2**30:.1f} GiB on this machine"
    )
