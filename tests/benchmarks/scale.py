"""What a million pairs cost: `python tests/benchmarks/scale.py FOLDER [ROWS [SLEEPERS]]`.

Makes ROWS × ROWS pairs' worth of plan, ledger and results in FOLDER (a million empty files), times
the commands that meet them, each as a process of its own, and runs a tenth as many pairs over
SLEEPERS workers that sleep instead of optimising.
"""

import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

NST = [sys.executable, "-m", "nst_lightning"]


def make_images(folder: Path, rows: int) -> None:
    """Two folders of images of three shapes."""
    for side in ("contents", "styles"):
        (folder / side).mkdir(parents=True, exist_ok=True)
        for k in range(rows):
            path = folder / side / f"{side[0]}{k:04d}.png"
            if not path.exists():
                colour = (k % 256, k // 256, len(side))
                Image.new("RGB", (40 + 8 * (k % 3), 40), colour).save(path)


def pretend_done(folder: Path) -> None:
    """Results and a ledger as a finished run leaves them; the images are empty files."""
    from nst_lightning.grid.pairs import Case, Grid
    from nst_lightning.grid.sources import read_sources
    from nst_lightning.imaging.image_reader import ImageReader
    from nst_lightning.run.devices import choose_device, resolve
    from nst_lightning.run.prepare import identify
    from nst_lightning.settings import build
    from nst_lightning.store.expected import write_expected
    from nst_lightning.store.input_hashes import InputHashes
    from nst_lightning.store.output import write_settings
    from nst_lightning.store.records import make_record
    from nst_lightning.vgg.weights import load_weights

    out, settings = folder / "out", build({})
    contents, styles = (
        read_sources(folder / side, settings, out) for side in ("contents", "styles")
    )
    case = Case(settings, Grid(contents, styles))
    weights = load_weights(settings.weights, settings.network)
    resolved = resolve(settings, choose_device("auto"))
    images = ImageReader(settings.max_pixels)
    out.mkdir()
    terms = {"content": 1.0, "style": 1.0, "tv": 0.0, "total": 2.0}
    record = None
    with (out / "manifest.jsonl").open("w") as ledger:
        for job, _ in identify(case, resolved, weights, InputHashes(None), images):
            path = out / job.pair.file
            if record is None:
                record = make_record(
                    job, out, settings, status="done", losses=terms, unweighted=terms, steps=300,
                    seconds=1.0, device="cpu", weights_checksum=weights.checksum, bytes=0,
                )  # fmt: skip
            path.parent.mkdir(exist_ok=True)
            path.touch()
            own = record.with_facts(output=job.pair.file, fingerprint=job.fingerprint)
            ledger.write(own.text() + "\n")
    write_settings(out, settings, "")
    write_expected(out, [case])


def timed(name: str, *words: object) -> None:
    """One command: its seconds and its peak of memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run([*NST, *map(str, words)], stdout=subprocess.PIPE, check=False)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    user = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime
    last = done.stdout.decode().strip().splitlines()[-1][:110] if done.stdout else ""
    print(
        f"{name:<28}{seconds:7.1f} s ({user:.1f} s of one core), peak so far "
        f"{peak / 2**20:.2f} GiB, exit {done.returncode}: {last}",
        flush=True,
    )


def sleep_for_parent(connection: Any, environment: Any, options: Any, parent: Any) -> None:
    """A worker that sleeps as long as an image's cost says."""
    from nst_lightning.run.pool_worker import BatchBegun, PairFinished, TaskDone
    from nst_lightning.store.records import Record

    while (task := connection.recv()) is not None:
        connection.send(BatchBegun([job.pair.file for job in task.jobs], 1, {}))
        for job in task.jobs:
            time.sleep(naps(job.pair.file))
            connection.send(PairFinished(Record(output=job.pair.file, status="done")))
        connection.send(TaskDone())


def naps(name: str) -> float:
    """Seconds that an image takes, the same for the same name: 0.1 to 0.3."""
    return random.Random(name).uniform(0.1, 0.3)


def simulate(folder: Path, pairs: int, workers: int) -> None:
    """The pool over workers that sleep: overhead per pair and balance."""
    from nst_lightning.grid.pairs import Pair
    from nst_lightning.grid.sources import Source
    from nst_lightning.run import pool
    from nst_lightning.run.display import Silent
    from nst_lightning.run.task import CaseSettings, RunOptions, Task
    from nst_lightning.settings import build
    from nst_lightning.stop import StopFlag
    from nst_lightning.store.job import Job
    from nst_lightning.store.ledger import Ledger
    from nst_lightning.store.records import Record

    setattr(pool, "work_for_parent", sleep_for_parent)  # noqa: B010
    settings = build({})
    source = Source(Path("c.png"), "c", (8, 8))
    jobs = [Job(Pair(source, source, f"{k}.png"), "c", "s", str(k)) for k in range(pairs)]
    case = CaseSettings(settings, settings)
    tasks = [Task(case, [job], naps(job.pair.file)) for job in jobs]
    out = folder / "simulated"
    out.mkdir()
    ledger, first, last, seen = Ledger(out), [0.0] * workers, [0.0] * workers, {}

    class Watch(Silent):
        def batch(self, names: Any, steps: int, weights: Any, worker: int = 0) -> None:
            seen[names[0]] = worker
            first[worker] = first[worker] or time.perf_counter()

    def finish(record: Record) -> None:
        ledger.append(record)
        last[seen.pop(record.output)] = time.perf_counter()

    started = time.perf_counter()
    pool.Pool([{}] * workers, RunOptions(out), Watch(), StopFlag(), finish).run(tasks)
    ends = [end - started for end in last]
    asleep = sum(naps(job.pair.file) for job in jobs)
    busy = sum(last) - sum(first)
    print(
        f"{pairs} pairs over {workers} workers: {max(ends):.1f} s, the last worker begins after "
        f"{max(first) - started:.1f} s; overhead {1000 * (busy - asleep) / pairs:.2f} ms a pair, "
        f"last to finish over the mean {max(ends) / (sum(ends) / workers):.3f}; lines "
        f"{len(ledger.read())}"
    )


def main(folder: Path, rows: int = 1000, sleepers: int = 64) -> None:
    """All of it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder.mkdir(parents=True, exist_ok=True)
    make_images(folder, rows)
    sides = (folder / "contents", folder / "styles")
    shutil.rmtree(folder / "simulated", ignore_errors=True)
    timed("plan", "grid", *sides, "-o", folder / "new", "--dry-run")
    if not (folder / "out").exists():
        pretend_done(folder)
    timed("status", "status", folder / "out")
    for name in ("all done, hashing", "all done"):
        timed(name, "grid", *sides, "-o", folder / "out", "-q")
    simulate(folder, rows * rows // 10, sleepers)


def arguments() -> Iterator[Any]:
    """FOLDER, ROWS, SLEEPERS."""
    folder, *numbers = sys.argv[1:]
    yield Path(folder)
    yield from map(int, numbers)


if __name__ == "__main__":
    main(*arguments())
