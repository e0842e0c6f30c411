"""How far a run is, from what its processes leave in the output folder. Imports no torch."""

import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nst_lightning.errors import UserError
from nst_lightning.files import is_alive
from nst_lightning.layout import EXPECTED, MANIFEST
from nst_lightning.run.job_array import submitted
from nst_lightning.run.slurm import job_states
from nst_lightning.store.expected import read_expected
from nst_lightning.store.heartbeat import BatchState, Heartbeat, read_heartbeats
from nst_lightning.store.ledger import Ledger

SILENT_SECONDS = 300.0
"""A process that cannot be asked for is taken for dead when it has written nothing for so long."""

ACTIVE = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED"}
"""States of jobs that will still do something."""


@dataclass
class Status:
    """How far a run is; every pair, by its result, in exactly one of four groups."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """With the reason."""
    running: dict[str, str] = field(default_factory=dict)
    """With how far it is and where."""
    waiting: list[str] = field(default_factory=list)
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
    except (OSError, ValueError):
        raise UserError(
            f"{out / EXPECTED}: cannot be read; run the same command again, which writes it anew."
        ) from None
    found = Status()
    states = _ask_slurm(out)
    alive = _alive(out, states)
    seconds, made, left = 0.0, 0, 0.0
    running = {name: (one, batch) for one in alive for batch in one.batches for name in batch.pairs}
    for file in expected:
        status, reason, took = known.get(file, ("waiting", "", 0.0))
        if at_work := running.get(file.rpartition(".")[0]):
            found.running[file] = _progress(*at_work)
            left += 1 - at_work[1].step / at_work[1].steps
        elif status == "done":
            found.done.append(file)
            seconds, made = seconds + took, made + 1
        elif status == "failed":
            found.failed[file] = reason
        else:
            found.waiting.append(file)
            left += 1
    workers = sum(len(one.batches) for one in alive)
    if made and workers:
        found.seconds_left = left * seconds / made / workers
    for job in submitted(out):
        tasks = (state for name, state in states.items() if name.split("_")[0] == job)
        found.jobs[job] = dict(Counter(tasks))
    return found


def _progress(process: Heartbeat, batch: BatchState) -> str:
    """Returns how far a batch is, and where."""
    if process.job:
        where = f"job {process.job}, task {process.rank} on {process.host}"
    else:
        where = f"process on {process.host}, {process.pid}"
    return f"step {batch.step}/{batch.steps}, {where}"


def _ask_slurm(out: Path) -> Mapping[str, str]:
    """Returns the states of all jobs that have to do with a folder; nothing where Slurm does not
    answer."""
    jobs = {one.job for one in read_heartbeats(out) if one.job} | set(submitted(out))
    try:
        return job_states(sorted(jobs))
    except OSError:
        return {}


def _alive(out: Path, states: Mapping[str, str]) -> list[Heartbeat]:
    """Returns the heartbeats of processes that are alive."""
    found = list(read_heartbeats(out))
    latest: dict[str, int] = {}
    for one in found:
        latest[one.job] = max(latest.get(one.job, 0), one.restarts)
    return [one for one in found if one.restarts == latest[one.job] and _lives(one, states)]


def _lives(process: Heartbeat, states: Mapping[str, str]) -> bool:
    if process.job and states:
        return states.get(process.job) in ("RUNNING", "COMPLETING")
    if not process.job and process.host == socket.gethostname():
        return is_alive(process.pid)
    return time.time() - process.written < SILENT_SECONDS


def is_active(status: Status) -> bool:
    """Whether something is still at work, or will be."""
    return bool(status.running) or any(ACTIVE & states.keys() for states in status.jobs.values())


def as_data(status: Status) -> dict[str, Any]:
    """Returns a status for JSON."""
    return {"total": status.total, **asdict(status)}
