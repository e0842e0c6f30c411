"""`nst-batch status`: how far a run is."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .flags import Json
from .wording import duration

if TYPE_CHECKING:
    from nst_lightning.run.folder_status import Status

SHOWN = 20
"""Pairs of a group that are listed unless all are asked for."""


def status(
    out: Annotated[Path, typer.Argument(help="Output folder of a run, finished or not.")],
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again until it ends.")] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks.")] = 5.0,
    all_pairs: Annotated[bool, typer.Option("--all", "-a", help="List every pair.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is done, running, failed and waiting, and the time left."""
    from nst_lightning.run.folder_status import as_data, is_active, read_status

    found = read_status(out)
    while watch and is_active(found):
        typer.echo(in_a_line(found), err=True)
        time.sleep(every)
        found = read_status(out)
    if as_json:
        typer.echo(json.dumps(as_data(found)))
        return
    for line in lines(found, None if all_pairs else SHOWN):
        typer.echo(line)


def in_a_line(found: "Status") -> str:
    """Returns the counts and the time left."""
    left = "" if found.seconds_left is None else f"; about {duration(found.seconds_left)} left"
    return (
        f"{len(found.done)} of {found.total} done, {len(found.running)} running, "
        f"{len(found.failed)} failed, {len(found.waiting)} waiting{left}"
    )


def lines(found: "Status", most: int | None) -> list[str]:
    """Returns a line for each pair of each group, at most so many, the jobs and the counts.

    Unless all are asked for, of those that are done none is listed, and of those that wait films
    that were begun.
    """
    begun = {
        file: f"{file}: {found.frames[file][0]} of {found.frames[file][1]} frames are made"
        for file in found.waiting
        if file in found.frames
    }
    groups = {
        "running": [f"{file}: {said}" for file, said in found.running.items()],
        "failed": [f"{file}: {reason}" for file, reason in found.failed.items()],
        "waiting": list(begun.values()),
    }
    if most is None:
        waiting = [begun.get(file, file) for file in found.waiting]
        groups = {"done": found.done, **groups, "waiting": waiting}
    said = []
    for name, pairs in groups.items():
        said += [f"{name}: {pair}" for pair in pairs[:most]]
        if most is not None and len(pairs) > most:
            said.append(f"{name}: and {len(pairs) - most} more (--all lists them)")
    for job, states in found.jobs.items():
        counted = ", ".join(f"{count} {state.lower()}" for state, count in states.items())
        said.append(f"job {job}: {counted or 'over'}")
    return [*said, in_a_line(found)]
