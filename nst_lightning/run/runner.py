"""Runs a plan on this machine: skip what is done, make the rest, report."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import torch

from nst_lightning.errors import OutputError, UserError
from nst_lightning.grid.masks import mask_problem
from nst_lightning.grid.pairs import Case, batches
from nst_lightning.grid.sources import shapes
from nst_lightning.imaging.read import read_picture
from nst_lightning.layout import TASKS
from nst_lightning.run.checkpoints import Checkpoints
from nst_lightning.run.cost import plan_flops
from nst_lightning.run.devices import batch_size, choose_device, choose_devices, resolve
from nst_lightning.run.display import Display
from nst_lightning.run.memory import LARGEST_KEPT
from nst_lightning.run.pool import Pool, Task, environments
from nst_lightning.run.result_file import too_large
from nst_lightning.run.worker import make_worker
from nst_lightning.settings import BatchSettings
from nst_lightning.stop import Interrupted, StopFlag
from nst_lightning.store.fingerprint import INITS, Fingerprints, masks_sha256, style_sha256
from nst_lightning.store.input_hashes import InputHashes
from nst_lightning.store.ledger import Ledger, Record
from nst_lightning.store.output import Finished, Job
from nst_lightning.store.records import make_record
from nst_lightning.vgg.weights import Weights, load_weights


@dataclass
class Summary:
    """What a run did."""

    done: list[str] = field(default_factory=list)
    """The results made, relative to the output folder."""
    last: Record = field(default_factory=dict)
    """The record of the last one."""
    skipped: int = 0
    failed: list[Record] = field(default_factory=list)
    seconds: float = 0.0
    steps_saved: int = 0
    """Steps that pictures did not need, with `stop_below`."""


def identify(
    case: Case, resolved: BatchSettings, weights: Weights, hashes: InputHashes
) -> Iterator[tuple[Job, str]]:
    """The pairs of a case as jobs, each with the reason why it cannot be made, if any."""
    fingerprints = Fingerprints(resolved, weights.checksum)
    for pair in case.pairs:
        problem = pair.problem or too_large(pair.content, resolved)
        problem = problem or mask_problem(pair, case.settings.max_pixels)
        shas = ("", "", "")
        if not problem:
            try:
                shas = (
                    hashes.of(pair.content.path),
                    style_sha256(pair.style, hashes.of),
                    masks_sha256(pair, hashes.of),
                )
            except OSError as error:
                problem = f"{error.filename}: cannot be read ({error.strerror})."
        if problem:
            yield Job(pair, "", "", "", case.labels), problem
        else:
            yield Job(pair, *shas[:2], fingerprints.of(*shas), case.labels, shas[2]), ""


def check_start(settings: BatchSettings) -> None:
    """See that the picture to start from, where one is named, can be read.

    Raises:
        UserError: it cannot.
    """
    if settings.init not in INITS:
        if not Path(settings.init).exists():
            raise UserError(
                f"--init {settings.init}: is neither {', '.join(INITS)} nor a picture file."
            )
        read_picture(settings.init, max_pixels=settings.max_pixels)


@dataclass(frozen=True)
class Prepared:
    """A case whose finished pictures are known."""

    settings: BatchSettings
    """As asked."""
    resolved: BatchSettings
    """With what `auto` means on this device."""
    weights: Weights
    todo: list[Job]
    broken: list[tuple[Job, str]]
    done: int


def prepare(
    case: Case, weights: Weights, finished: Finished, hashes: InputHashes, overwrite: bool
) -> Prepared:
    """See what a case has finished and what is left.

    Raises:
        UserError: something is in the way.
    """
    resolved = resolve(case.settings, choose_device(case.settings.accelerator))
    todo: list[Job] = []
    broken: list[tuple[Job, str]] = []
    done = 0
    for job, problem in identify(case, resolved, weights, hashes):
        if problem:
            broken.append((job, problem))
        elif finished.has(job, resolved, overwrite=overwrite):
            done += 1
        else:
            todo.append(job)
    return Prepared(case.settings, resolved, weights, todo, broken, done)


def run(
    cases: Sequence[Case],
    out: Path,
    display: Display,
    stop: StopFlag,
    *,
    ledger: Ledger | None,
    overwrite: bool = False,
    ready: Callable[[], None] = lambda: None,
) -> Summary:
    """Make the pictures of all cases that are not made yet.

    Args:
        cases: what is wanted.
        out: the output folder.
        display: hears of the course.
        stop: looked at between steps.
        ledger: of the output folder, where it has one.
        overwrite: replace pictures that were made with other settings or from other inputs.
        ready: called when nothing stands in the way, before the first picture.

    Raises:
        UserError: before any work, where something cannot work for any pair or is in the way.
        OutputError: results can no longer be written.
        Interrupted: the stop flag was raised; what is finished stays.
    """
    started = time.monotonic()
    devices = choose_devices(cases[0].settings)
    loaded = cache(load_weights)
    hashes, finished = InputHashes(out if ledger else None), Finished(out, ledger)
    prepared = []
    for case in cases:
        check_start(case.settings)
        weights = loaded(case.settings.weights, case.settings.network)
        prepared.append(prepare(case, weights, finished, hashes, overwrite))
    hashes.save()
    keep = max(map(largest_picture, prepared), default=0) <= LARGEST_KEPT
    ready()
    checkpoints = Checkpoints(out)
    checkpoints.sweep(finished.is_done)
    summary = Summary(skipped=sum(one.done for one in prepared))

    def finish(record: Record) -> None:
        if ledger:
            try:
                ledger.append(record)
            except OSError as error:
                raise OutputError.at(ledger.path, error) from None
        if record["status"] == "done":
            summary.done.append(record["output"])
            summary.last = record
            asked = sum(scale["steps"] for scale in record["settings"]["scales"])
            summary.steps_saved += asked - record["steps"]
        else:
            summary.failed.append(record)
        display.finished(record)

    pairs = sum(len(one.todo) + len(one.broken) for one in prepared)
    steps = sum(len(one.todo) * one.settings.total_steps for one in prepared)
    display.start(pairs, summary.skipped, steps)
    try:
        for one in prepared:
            for job, problem in one.broken:
                finish(make_record(job, out, one.settings, status="failed", reason=problem))
        given = {"parameters": ledger is not None, "keep_memory": keep}
        if devices == [0]:
            for one in prepared:
                work(one, out, display, stop, finish, **given)
        else:
            tasks = [task for one in prepared for task in tasks_of(one, checkpoints)]
            kind = choose_device(cases[0].settings.accelerator).type
            each = environments(kind, devices, torch.get_num_threads())
            Pool(each, out, display, stop, **given).run(tasks, finish)
        stop.check()
    except Interrupted as interrupted:
        interrupted.finished = summary.skipped + len(summary.done)
        raise
    finally:
        summary.seconds = time.monotonic() - started
        display.stop()
    return summary


def largest_picture(case: Prepared) -> int:
    """Pixels of the largest picture that is to be made."""
    sizes = [scale.target for scale in case.settings.scales]
    made = (shapes(job.pair.content, sizes, case.settings.upscale) for job in case.todo)
    return max((height * width for some in made for height, width in some), default=0)


def batches_of(case: Prepared, checkpoints: Checkpoints) -> list[list[Job]]:
    """What is left to make, in batches of one shape: those that were begun first, as they were."""
    begun = checkpoints.groups(case.todo)
    by_pair = {job.pair: job for job in case.todo}
    for job in itertools.chain(*begun):
        del by_pair[job.pair]
    most = partial(batch_size, case.resolved, choose_device(case.settings.accelerator))
    fresh = batches(by_pair, case.settings, most)
    return [*begun, *([by_pair[pair] for pair in batch] for batch in fresh)]


def tasks_of(case: Prepared, checkpoints: Checkpoints) -> list[Task]:
    """The batches of a case with what they cost."""
    return [
        Task(
            case.settings,
            case.resolved,
            jobs,
            plan_flops([job.pair for job in jobs], case.settings),
        )
        for jobs in batches_of(case, checkpoints)
    ]


def work(
    case: Prepared,
    out: Path,
    display: Display,
    stop: StopFlag,
    finish: Callable[[Record], None],
    *,
    parameters: bool,
    keep_memory: bool,
) -> None:
    """Make the pictures of one case in this process, batch by batch."""
    if not case.todo:
        return
    stop.check()
    worker = make_worker(
        case.weights,
        case.settings, case.resolved, out, display, stop,
        parameters=parameters, keep_memory=keep_memory,
    )  # fmt: skip
    worker.run(batches_of(case, worker.checkpoints), finish)


def close(out: Path, ledger: Ledger) -> None:
    """Tidy up when all is made: one line per pair in the manifest, no notices, no states of
    pictures that are done."""
    ledger.compact()
    done = ledger.read(keep=lambda record: record["status"] == "done")
    Checkpoints(out).sweep(lambda pair: done.get(pair[0], False))  # with whatever settings
    shutil.rmtree(out / TASKS, ignore_errors=True)
