"""Runs a plan on this machine: skip what is done, make the rest, report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nst_lightning.batch.device import batch_size, check_precision, choose_device
from nst_lightning.batch.display import Display
from nst_lightning.batch.fingerprint import INITS, file_sha256, fingerprint
from nst_lightning.batch.ledger import Ledger, Record
from nst_lightning.batch.output import Job, split
from nst_lightning.batch.plan import Pair, batches
from nst_lightning.batch.record import make_record
from nst_lightning.batch.stop import StopFlag
from nst_lightning.batch.worker import Worker
from nst_lightning.errors import OutputError, UserError
from nst_lightning.imaging.read import read_picture
from nst_lightning.settings import BatchSettings
from nst_lightning.transfer import build_network
from nst_lightning.vgg.weights import Weights, load_weights


@dataclass
class Summary:
    """What a run did."""

    done: list[Record] = field(default_factory=list)
    skipped: int = 0
    failed: list[Record] = field(default_factory=list)
    seconds: float = 0.0


def identify(
    pairs: Sequence[Pair], settings: BatchSettings, weights: Weights
) -> tuple[list[Job], list[tuple[Job, str]]]:
    """Pairs as jobs, and those that cannot be made with their reason."""
    jobs: list[Job] = []
    broken: list[tuple[Job, str]] = []
    for pair in pairs:
        problem, shas = pair.problem, ("", "")
        if not problem:
            try:
                shas = (file_sha256(pair.content.path), file_sha256(pair.style.path))
            except OSError as error:
                problem = f"{error.filename}: cannot be read ({error.strerror})."
        if problem:
            broken.append((Job(pair, "", "", ""), problem))
        else:
            jobs.append(Job(pair, *shas, fingerprint(settings, weights.checksum, *shas)))
    return jobs, broken


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


def run(
    pairs: Sequence[Pair],
    settings: BatchSettings,
    out: Path,
    display: Display,
    stop: StopFlag,
    *,
    ledger: Ledger | None,
    overwrite: bool = False,
    ready: Callable[[], None] = lambda: None,
) -> Summary:
    """Make the pictures of pairs that are not made yet.

    Args:
        pairs: what is wanted.
        settings: all of them.
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
    device = choose_device(settings.accelerator)
    check_precision(settings, device)
    check_start(settings)
    weights = load_weights(settings.weights, settings.network)
    jobs, broken = identify(pairs, settings, weights)
    todo, done = split(jobs, out, ledger, settings, overwrite=overwrite)
    ready()
    summary = Summary(skipped=len(done))

    def finish(record: Record) -> None:
        if ledger:
            try:
                ledger.append(record)
            except OSError as error:
                raise OutputError.at(ledger.path, error) from None
        (summary.done if record["status"] == "done" else summary.failed).append(record)
        display.finished(record)

    display.start(len(todo) + len(broken), len(done), len(todo) * settings.total_steps)
    try:
        for job, problem in broken:
            finish(make_record(job, out, settings, status="failed", reason=problem))
        by_pair = {job.pair: job for job in todo}
        if todo:
            network = build_network(settings, weights)
            worker = Worker(network, weights.checksum, settings, out, display, stop)
        for batch in batches(by_pair, settings, batch_size(settings, device)):
            stop.check()
            for record in worker.run([by_pair[pair] for pair in batch]):
                finish(record)
        stop.check()
    finally:
        summary.seconds = time.monotonic() - started
        display.stop()
    return summary
