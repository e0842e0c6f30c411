"""Runs cases on this machine: skips what is done, makes the rest, reports each pair."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nst_lightning.errors import output_errors
from nst_lightning.files import remove_leftovers_of
from nst_lightning.grid.pairs import Case, batches
from nst_lightning.large_imports import large_imports
from nst_lightning.run.checkpoints import Checkpoints
from nst_lightning.run.cost import plan_flops
from nst_lightning.run.devices import batch_size, choose_device, choose_devices
from nst_lightning.run.display import Display
from nst_lightning.run.film_progress import tidy_films
from nst_lightning.run.film_tasks import film_tasks, following
from nst_lightning.run.liveness import remove_dead
from nst_lightning.run.memory import LARGEST_KEPT, keep_freed_memory
from nst_lightning.run.placement import Room, fits, largest_placement
from nst_lightning.run.pool import Pool, environments, shared_environment
from nst_lightning.run.prepare import PreparedCase, prepare_cases
from nst_lightning.run.task import RunOptions, Task
from nst_lightning.stop import Interrupted, StopFlag
from nst_lightning.store.input_hashes import InputHashes
from nst_lightning.store.job import Job
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.output import Finished
from nst_lightning.store.records import Record, make_record

if TYPE_CHECKING:
    from nst_lightning.run.film_worker import FilmWorker


@dataclass
class Summary:
    """What a run did."""

    done: list[str] = field(default_factory=list)
    """The results made, relative to the output folder."""
    last: Record | None = None
    """The record of the last one."""
    skipped: int = 0
    failed: list[Record] = field(default_factory=list)
    seconds: float = 0.0
    steps_saved: int = 0
    """Steps that images did not need, with `stop_below`."""

    def add(self, record: Record) -> None:
        """Counts a pair that is done or has failed."""
        if record.status != "done":
            self.failed.append(record)
            return
        self.done.append(record.output)
        self.last = record
        if record.frames:
            return
        asked = sum(scale["steps"] for scale in record.settings["scales"])
        self.steps_saved += asked - record.steps


def run(
    cases: Sequence[Case],
    out: Path,
    display: Display,
    stop: StopFlag,
    *,
    ledger: Ledger | None,
    overwrite: bool = False,
    share: tuple[int, int] = (0, 1),
    ready: Callable[[], None] = lambda: None,
) -> Summary:
    """Makes the images of all cases that are not made yet.

    Args:
        cases: what is asked for.
        out: the output folder.
        display: is told of the progress.
        stop: looked at between steps.
        ledger: of the output folder, where it has one.
        overwrite: replace images that were made with other settings or from other inputs.
        share: of several runs that make parts of the same films, which one this is, from 0, and how
            many.
        ready: called when nothing stands in the way, before the first image.

    Raises:
        UserError: before any work, where something cannot work for any pair or is in the way.
        OutputError: results can no longer be written.
        Interrupted: the stop flag was raised; what is finished stays.
    """
    started = time.monotonic()
    devices = choose_devices(cases[0].settings)
    finished, hashes = Finished(out, ledger), InputHashes(out if ledger else None)
    if ledger and ledger.damaged:
        display.note(
            f"{ledger.manifest}: {len(ledger.damaged)} of its lines cannot be read and count as "
            "absent; results that stand are entered again from their own records."
        )
    prepared = prepare_cases(cases, finished, hashes, overwrite=overwrite)
    ready()
    if ledger:
        outdated = finished.outdated(job for case in prepared for job in case.todo)
        with output_errors(ledger.path):
            ledger.withdraw(outdated)
    else:
        for job in itertools.chain(*(case.todo for case in prepared)):
            remove_leftovers_of(out / job.pair.output)
    checkpoints = Checkpoints(out)
    checkpoints.remove_done(finished.is_done)
    summary = Summary(skipped=sum(case.done for case in prepared))

    def finish(record: Record) -> None:
        if ledger:
            with output_errors(ledger.path):
                ledger.append(record)
        summary.add(record)
        display.finished(record)

    pairs = sum(len(case.todo) + len(case.broken) for case in prepared)
    steps = sum(steps_left(case, out, share) for case in prepared)
    largest = max((case.largest_image() for case in prepared), default=0)
    options = RunOptions(out, ledger is not None, largest <= LARGEST_KEPT)
    display.start(pairs, summary.skipped, steps)
    for folder in checkpoints.foreign:
        display.note(
            f"{folder}: is the state of an image that another version of the algorithm began; no "
            "run goes on from it. It is left there; remove it when you need it no more."
        )
    try:
        for case in prepared:
            for job, problem in case.broken:
                asked = case.settings.asked
                finish(make_record(job, out, asked, status="failed", reason=problem))
        if devices == [0]:
            work_here(prepared, checkpoints, options, display, stop, finish, share)
        else:
            kind = choose_device(cases[0].settings.accelerator).type
            each = environments(kind, devices, torch.get_num_threads())
            if works_together(prepared, kind):
                options = replace(options, processes=len(devices))
                each = [shared_environment(each)]
            pool = Pool(each, options, display, stop, finish, partial(following, out=out))
            pool.run(tasks_of(prepared, checkpoints, out, share))
        stop.check()
        if ledger is None:
            tidy_films(out, summary.done.__contains__)
    except Interrupted as interrupted:
        interrupted.finished = summary.skipped + len(summary.done)
        raise
    finally:
        summary.seconds = time.monotonic() - started
        display.stop()
    return summary


def steps_left(case: PreparedCase, out: Path, share: tuple[int, int]) -> int:
    """Returns the steps of what is to be made of a case; of films, of the segments that are not."""
    if case.of_films:
        return round(sum(task.cost for task in film_tasks(case.todo, case.settings, out, share)))
    return case.settings.asked.total_steps * len(case.todo)


def works_together(prepared: Sequence[PreparedCase], kind: str) -> bool:
    """Returns whether all devices work on one image after the other: where that is asked for, or
    a GPU alone has no room for the only one.

    Args:
        prepared: at least one case.
        kind: of the devices, `cuda` or `cpu`, whose workers share one memory.
    """
    if prepared[0].settings.asked.split:
        return True
    todo = [(case, job) for case in prepared for job in case.todo]
    if kind != "cuda" or len(todo) != 1:
        return False
    (case, job), device = todo[0], torch.device(kind)
    if job.pair.content.model is not None:
        return False
    settings = case.settings.resolved
    room = Room.before(device, settings)
    placement = largest_placement(settings, device, [job.pair])
    return not settings.not_in_bands and not fits(placement, room)


def work_here(
    prepared: Sequence[PreparedCase],
    checkpoints: Checkpoints,
    options: RunOptions,
    display: Display,
    stop: StopFlag,
    finish: Callable[[Record], None],
    share: tuple[int, int],
) -> None:
    """Makes the images of all cases in this process, batch by batch."""
    if not any(case.todo for case in prepared):
        return
    with large_imports():  # of Lightning, without which a pool's parent can do
        from nst_lightning.run.film_worker import FilmWorker
        from nst_lightning.run.worker import Worker

    if options.keep_memory:
        keep_freed_memory()
    for case in prepared:
        if not case.todo:
            continue
        stop.check()
        # No name holds the worker: its network and cache go before the next case's come.
        if case.of_films:
            tasks = film_tasks(case.todo, case.settings, options.out, share)
            films_here(
                FilmWorker(case.weights, case.settings, options, display, stop), tasks, finish
            )
        else:
            todo = batches_of(case, checkpoints)
            Worker(case.weights, case.settings, options, display, stop).run(todo, finish)


def films_here(
    worker: "FilmWorker", tasks: Sequence[Task], finish: Callable[[Record], None]
) -> None:
    """Does the tasks of films in this process, and what follows on them; what is left of a film
    that has failed, or that another run has made, is left out."""
    over: set[str] = set()

    def finished(record: Record) -> None:
        over.add(record.output)
        finish(record)

    waiting = deque(tasks)
    while waiting:
        task = waiting.popleft()
        if task.jobs[0].pair.file in over:
            continue
        worker.run(task, finished)
        waiting.extendleft(following(task, worker.options.out))


def tasks_of(
    prepared: Sequence[PreparedCase],
    checkpoints: Checkpoints,
    out: Path,
    share: tuple[int, int] = (0, 1),
) -> list[Task]:
    """Returns the batches of all cases, and the parts of films, with what they cost."""
    tasks = []
    for case in prepared:
        if case.of_films:
            tasks += film_tasks(case.todo, case.settings, out, share)
            continue
        asked = case.settings.asked
        for jobs in batches_of(case, checkpoints):
            tasks.append(Task(case.settings, jobs, plan_flops([job.pair for job in jobs], asked)))
    return tasks


def batches_of(case: PreparedCase, checkpoints: Checkpoints) -> list[list[Job]]:
    """Returns what is left to make, in batches of one shape: those that were begun first, as they
    were."""
    asked, resolved = case.settings.asked, case.settings.resolved
    begun = checkpoints.groups(case.todo)
    by_pair = {job.pair: job for job in case.todo}
    for job in itertools.chain(*begun):
        del by_pair[job.pair]
    most = partial(batch_size, resolved, choose_device(asked.accelerator))
    return [*begun, *([by_pair[pair] for pair in batch] for batch in batches(by_pair, asked, most))]


def close(out: Path, ledger: Ledger) -> None:
    """Tidies up when all is made: one line per pair in the manifest, no heartbeats of the dead, no
    states of images and no frames of films that are done."""
    ledger.compact()
    done = ledger.pick(lambda record: record.status == "done")
    Checkpoints(out).remove_done(lambda pair: done.get(pair[0], False))  # with whatever settings
    tidy_films(out, lambda output: done.get(output, False))
    remove_dead(out)
