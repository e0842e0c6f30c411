"""How far a run is, from what its processes leave in the output folder. Imports no torch."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nst_lightning.errors import UserError
from nst_lightning.layout import MANIFEST
from nst_lightning.run.film_progress import films_in_progress
from nst_lightning.run.job_array import submitted
from nst_lightning.run.liveness import ACTIVE, alive_among, ask_slurm
from nst_lightning.store.expected import read_expected
from nst_lightning.store.heartbeat import BatchState, Heartbeat, read_heartbeats
from nst_lightning.store.ledger import Ledger


@dataclass
class Status:
    """How far a run is; every pair, by its result, in exactly one of four groups."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """With the reason."""
    running: dict[str, str] = field(default_factory=dict)
    """With how far it is and where."""
    waiting: list[str] = field(default_factory=list)
    frames: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of films that were begun, how many frames are made, and of how many."""
    seconds_left: float | None = None
    """None where nothing is done yet, or nothing runs."""
    jobs: dict[str, dict[str, int]] = field(default_factory=dict)
    """The jobs submitted for the folder; of each, how many tasks are in which state."""

    @property
    def total(self) -> int:
        """All pairs."""
        return len(self.done) + len(self.failed) + len(self.running) + len(self.waiting)


def read_status(out: Path) -> Status:
    """Looks at an output folder, and asks Slurm where Slurm is at work on it.

    Raises:
        UserError: it is none.
    """
    known = Ledger(out).pick(lambda record: (record.status, record.reason, record.seconds))
    try:
        expected: Iterable[str] = read_expected(out)
    except FileNotFoundError:
        if not (out / MANIFEST).is_file():
            raise UserError(f"{out}: nst-batch has not made anything there.") from None
        expected = known
    found = Status()
    heartbeats = list(read_heartbeats(out))
    states = ask_slurm([one.job for one in heartbeats] + submitted(out))
    alive = alive_among(heartbeats, states)
    seconds, made, left = 0.0, 0, 0.0
    running = {name: (one, batch) for one in alive for batch in one.batches for name in batch.pairs}
    films = films_in_progress(out)
    for file in expected:
        status, reason, took = known.get(file, ("waiting", "", 0.0))
        if film := films.get(file):
            found.frames[file] = film
        if at_work := running.get(file.rpartition(".")[0]):
            found.running[file] = _progress(*at_work, film)
            left += 1 - _share(at_work[1], film)
        elif status == "done":
            found.done.append(file)
            seconds, made = seconds + took, made + 1
        elif status == "failed":
            found.failed[file] = reason
        else:
            found.waiting.append(file)
            left += 1 - _share(None, film)
    workers = sum(len(one.batches) for one in alive)
    if made and workers:
        found.seconds_left = left * seconds / made / workers
    for job in submitted(out):
        tasks = (state for name, state in states.items() if name.split("_")[0] == job)
        found.jobs[job] = dict(Counter(tasks))
    return found


def _progress(process: Heartbeat, batch: BatchState, film: tuple[int, int] | None) -> str:
    """Returns how far a batch, or a film of which it makes a part, is, and where."""
    if film is not None:
        return f"{film[0]} of {film[1]} frames, {process.where}"
    return f"step {batch.step}/{batch.steps}, {process.where}"


def _share(batch: BatchState | None, film: tuple[int, int] | None) -> float:
    """Returns how much of a pair is made, from 0 to 1."""
    if film is not None:
        return film[0] / film[1]
    return batch.step / batch.steps if batch else 0.0


def is_active(status: Status) -> bool:
    """Whether something is still at work, or will be."""
    return bool(status.running) or any(ACTIVE & states.keys() for states in status.jobs.values())


def as_data(status: Status) -> dict[str, Any]:
    """Returns a status for JSON."""
    return {"total": status.total, **asdict(status)}
