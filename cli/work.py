"""What every command that optimises does: plan, run, report, and the exit code."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import typer

from nst_lightning.errors import OutputError, output_errors
from nst_lightning.grid.pairs import Case, Pair
from nst_lightning.grid.sources import Source
from nst_lightning.large_imports import large_imports
from nst_lightning.stop import Interrupted

from .flags import Flags
from .wording import count, duration, size_in_words

ALWAYS = 10_000
"""Up to so many images, the report is drawn anew even where nothing was made: it may be gone."""


def carry_out(
    cases: Sequence[Case],
    out: Path,
    *,
    share: tuple[int, int] = (0, 1),
    flags: Flags,
    check: Callable[[], None] = lambda: None,
    ready: Callable[[], None],
    report: Callable[[], list[Path]],
) -> None:
    """Makes the images of all cases, then the report; what is finished is never made again.

    Commands with the same settings may share the folder; it is refused to others meanwhile.

    Args:
        cases: what is asked for.
        out: the output folder, known to be writable.
        share: of several that are started by hand, which one this is, from 0, and how many. The
            tasks of a Slurm job divide it among them.
        flags: as the options say.
        check: called as soon as the folder is claimed; raises where it may not be used.
        ready: called when nothing stands in the way, before the first image.
        report: called at the end; returns the files to point at, the first one to look at.

    Raises:
        typer.Exit: with 1, where a pair failed.
        UserError: another command with other settings is at work there, or something is in the way.
        OutputError: the report cannot be written.
    """
    with large_imports():
        from nst_lightning.run.runner import close, run
    from nst_lightning.files import remove_leftovers
    from nst_lightning.run.claim import claim, settings_digest
    from nst_lightning.run.cost import deal
    from nst_lightning.run.heartbeat_display import HeartbeatDisplay
    from nst_lightning.run.slurm import place
    from nst_lightning.stop import StopFlag
    from nst_lightning.store.expected import is_complete, write_expected
    from nst_lightning.store.ledger import Ledger

    from .live import choose_display

    here, stop = place(), StopFlag()
    ledger = Ledger(out, here.name, asdict(here)) if here.job else Ledger(out)
    share = share[0] * here.size + here.rank, share[1] * here.size
    mine = deal(cases, *share)
    display = HeartbeatDisplay(
        out,
        here,
        choose_display(flags.quiet or flags.as_json, cases[0].settings.log_every),
        settings_digest(cases),
    )
    changed = shared = False

    def begin() -> None:
        nonlocal changed
        with output_errors(out):
            ready()
            changed = write_expected(out, cases, shared=shared)

    files: list[Path] = []
    unwritten: OutputError | None = None
    with stop.listening():
        try:
            with output_errors(out):
                shared = claim(out, display.begin())
            check()
            if here.rank == 0:
                remove_leftovers(out)
            summary = run(
                mine,
                out,
                display,
                stop,
                ledger=ledger,
                overwrite=flags.overwrite,
                share=share,
                ready=begin,
            )
            made = bool(summary.done or summary.failed)
            changed = changed or made or sum(len(case.pairs) for case in cases) < ALWAYS
            if is_complete(out, ledger) if here.job else changed:
                close(out, ledger)
                try:
                    with output_errors(out):
                        files = report()
                except OutputError as error:
                    unwritten = error
        except Interrupted as interrupted:
            display.remove()
            say_interrupted(interrupted, mine, out)
            raise
        finally:
            display.remove()

    failed = [{"output": r.output, "reason": r.reason} for r in summary.failed]
    if flags.as_json:
        outcome = {
            "out": str(out),
            "done": summary.done,
            "skipped": summary.skipped,
            "failed": failed,
            "report": [str(file) for file in files],
            "seconds": round(summary.seconds, 3),
            "steps_saved": summary.steps_saved,
        }
        typer.echo(json.dumps(outcome))
    elif not flags.quiet:
        saved = f", {summary.steps_saved} steps saved" if summary.steps_saved else ""
        typer.echo(
            f"{len(summary.done)} made, {summary.skipped} done before, {len(failed)} failed, "
            f"in {duration(summary.seconds)}{saved}; see {files[0] if files else out}"
        )
    if failed and not flags.as_json:
        for failure in failed:
            typer.echo(f"failed: {failure['output']}: {failure['reason']}", err=True)
    if unwritten:
        raise unwritten
    if failed:
        raise typer.Exit(1)


def say_interrupted(interrupted: Interrupted, cases: Sequence[Case], out: Path) -> None:
    """Says how far it came; has Slurm run the job again where its time was up."""
    from nst_lightning.run.slurm import place, requeue
    from nst_lightning.stop import AGAIN

    asked = sum(len(case.pairs) for case in cases)
    said = f"Interrupted: {interrupted.finished} of {asked} results are finished in {out}."
    typer.echo(said, err=True)
    again = interrupted.signum in AGAIN and place().job
    said = requeue(out, place()) if again else "Run the same command again to go on."
    typer.echo(said, err=True)


def show_plan(cases: Sequence[Case], out: Path, as_json: bool) -> None:
    """Print what a run would do and about what it would take."""
    from nst_lightning.grid.masks import mask_problem
    from nst_lightning.imaging.image_reader import ImageReader
    from nst_lightning.run.cost import costs_of_contents, flops_per_second
    from nst_lightning.run.devices import DTYPES, choose_device, resolve
    from nst_lightning.run.film_plan import later_steps
    from nst_lightning.run.mesh_cost import mesh_cost
    from nst_lightning.run.placement import largest_placement
    from nst_lightning.run.prepare import beyond_memory, memory_of
    from nst_lightning.store.ledger import Ledger

    done = Ledger(out).pick(lambda record: record.status == "done")
    device = choose_device(cases[0].settings.accelerator)
    made = unreadable = 0
    problems: dict[str, None] = {}
    outputs: list[str] = []
    flops = memory = host = beside = 0.0
    frames = 0
    tiles: set[int] = set()
    reader = cache(ImageReader)
    for case in cases:
        images = reader(case.settings.max_pixels)
        costs = costs_of_contents(case)
        resolved = resolve(case.settings, device)
        room = memory_of(device, resolved)
        left: dict[Source, Pair] = {}
        own = 0.0
        for pair in case.pairs:
            problem = pair.problem or mask_problem(pair, images)
            if problem := problem or beyond_memory(pair.content, resolved, room):
                unreadable += 1
                problems[problem] = None
            elif done.get(pair.file):
                made += 1
            else:
                outputs.append(pair.file)
                left[pair.content] = pair
                own += costs[pair.content]
                frames += pair.content.film.clip.frames if pair.content.film else 0
                if not as_json:
                    typer.echo(f"{pair.content.path} × {pair.style.path} → {out / pair.file}")
        if left:
            placement = largest_placement(case.settings, device, left.values())
            meshes = [mesh_cost(content, case.settings) for content in left]
            taken = max(one.beside(placement.device_bytes) for one in meshes)
            memory = max(memory, taken)
            beside += sum(one.seconds for one in meshes)
            host = max(host, placement.host_bytes)
            if placement.tile:
                tiles.add(placement.tile)
                own *= 1.5  # each block is computed once more on the way back
        flops += own
    seconds = flops / flops_per_second(device, DTYPES[resolve(cases[0].settings, device).precision])
    seconds += beside
    if as_json:
        plan = {
            "pairs": sum(len(case.pairs) for case in cases),
            "finished": made,
            "unreadable": unreadable,
            "problems": list(problems),
            "scales": [scale.model_dump() for scale in cases[0].settings.scales],
            "frames": frames,
            "tflop": round(flops / 1e12, 2),
            "seconds": round(seconds, 1),
            "gib": round(memory / 2**30, 2),
            "host_gib": round(host / 2**30, 2),
            "tiles": sorted(tiles),
            "outputs": outputs,
        }
        typer.echo(json.dumps(plan))
        return
    for problem in problems:
        typer.echo(f"cannot be made: {problem}")
    scales = [case.settings.scales for case in cases]
    each = ", ".join(f"{size_in_words(scale)} for {scale.steps} steps" for scale in scales[0])
    if any(other != scales[0] for other in scales):
        each = f"{sum(case.settings.total_steps * len(case.pairs) for case in cases)} steps in all"
    what = count(len(outputs), "image")
    if any(pair.content.film for case in cases for pair in case.pairs):
        what = f"{count(len(outputs), 'film')} of {frames} frames"
        each += f", {later_steps(cases[0].settings)} for each frame that follows another"
    how = f", and {host / 2**30:.1f} GiB of its host" if host else ""
    how += f", in tiles of {min(tiles)}" if tiles else ""
    typer.echo(
        f"{what} to make, {made} finished, {unreadable} unreadable; "
        f"{each}; {flops / 1e12:.1f} TFLOP, at best about {duration(seconds)} and "
        f"{memory / 2**30:.1f} GiB on this machine{how}"
    )
