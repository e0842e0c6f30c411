"""How far a run is, from what its processes leave in the output folder. Imports no torch."""

import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst_lightning.errors import UserError
from nst_lightning.layout import EXPECTED, MANIFEST
from nst_lightning.run.board import Notice, notices
from nst_lightning.run.job_array import submitted
from nst_lightning.run.slurm import job_states
from nst_lightning.store.expected import read_wanted
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.records import Record

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
    """Look at an output folder, and ask Slurm where Slurm is at work on it.

    Raises:
        UserError: it is none.
    """
    known = Ledger(out).pick(_brief)
    try:
        wanted: Iterable[str] = read_wanted(out)
    except FileNotFoundError:
        if not (out / MANIFEST).is_file():
            raise UserError(f"{out}: nst-batch has not made anything there.") from None
        wanted = known
    except (OSError, ValueError, TypeError):
        raise UserError(
            f"{out / EXPECTED}: cannot be read; run the same command again, which writes it anew."
        ) from None
    found = Status()
    states = _ask_slurm(out)
    now = _in_progress(out, states)
    seconds, made, left, workers = 0.0, 0, 0.0, sum(len(notice["batches"]) for notice in now)
    running = {name: (n, b) for n in now for b in n["batches"] for name in b["pairs"]}
    for file in wanted:
        status, reason, took = known.get(file, ("", "", 0.0))
        name = file.rpartition(".")[0]
        if name in running:
            notice, batch = running[name]
            where = f"job {notice['job']}, task {notice['rank']}" if notice["job"] else "process"
            where += f" on {notice['host']}" + ("" if notice["job"] else f", {notice['pid']}")
            found.running[file] = f"step {batch['step']}/{batch['steps']}, {where}"
            left += 1 - batch["step"] / batch["steps"]
        elif status == "done":
            found.done.append(file)
            seconds, made = seconds + took, made + 1
        elif status == "failed":
            found.failed[file] = reason
        else:
            found.waiting.append(file)
            left += 1
    if made and workers:
        found.seconds_left = left * seconds / made / workers
    for job in submitted(out):
        tasks = (state for name, state in states.items() if name.split("_")[0] == job)
        found.jobs[job] = dict(Counter(tasks))
    return found


def _brief(record: Record) -> tuple[str, str, float]:
    return record.status, record.reason, record.seconds


def _ask_slurm(out: Path) -> Mapping[str, str]:
    """The states of all jobs that have to do with a folder; nothing where Slurm does not answer."""
    jobs = {notice["job"] for _, notice in notices(out) if notice["job"]} | set(submitted(out))
    try:
        return job_states(sorted(jobs))
    except OSError:
        return {}


def _in_progress(out: Path, states: Mapping[str, str]) -> list[Notice]:
    """The notices of processes that are alive."""
    found = [notice for _, notice in notices(out)]
    latest: dict[str, int] = {}
    for notice in found:
        latest[notice["job"]] = max(latest.get(notice["job"], 0), notice["restarts"])
    return [
        notice
        for notice in found
        if notice["restarts"] == latest[notice["job"]] and _lives(notice, states)
    ]


def _lives(notice: Notice, states: Mapping[str, str]) -> bool:
    if notice["job"] and states:
        return states.get(notice["job"]) in ("RUNNING", "COMPLETING")
    if not notice["job"] and notice["host"] == socket.gethostname():
        try:
            os.kill(notice["pid"], 0)
        except ProcessLookupError:
            return False
        except OSError:  # another user's
            pass
        return True
    return bool(time.time() - notice["written"] < SILENT_SECONDS)


def is_active(status: Status) -> bool:
    """Whether something is still at work, or will be."""
    return bool(status.running) or any(ACTIVE & states.keys() for states in status.jobs.values())


def as_data(status: Status) -> dict[str, Any]:
    """For JSON."""
    return {
        "total": status.total,
        "done": status.done,
        "failed": status.failed,
        "running": status.running,
        "waiting": status.waiting,
        "seconds_left": status.seconds_left,
        "jobs": status.jobs,
    }
