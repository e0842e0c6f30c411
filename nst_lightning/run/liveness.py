"""Which processes that left a heartbeat are still at work. Imports no torch."""

import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from nst_lightning.files import is_alive, started_at
from nst_lightning.layout import TASKS
from nst_lightning.run.slurm import job_states
from nst_lightning.store.heartbeat import Heartbeat, heartbeat_file, read_heartbeats

SILENT_SECONDS = 300.0
"""A process that cannot be asked for is taken for dead when it has written nothing for so long."""

ACTIVE = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED"}
"""States of jobs that will still do something."""


def alive(out: Path) -> list[Heartbeat]:
    """Returns the heartbeats of the processes that work on an output folder; asks Slurm for its
    own."""
    found = list(read_heartbeats(out))
    return alive_among(found, ask_slurm(one.job for one in found))


def ask_slurm(jobs: Iterable[str]) -> Mapping[str, str]:
    """Returns the states of jobs; nothing where Slurm does not answer."""
    try:
        return job_states(sorted({job for job in jobs if job}))
    except OSError:
        return {}


def alive_among(found: Iterable[Heartbeat], states: Mapping[str, str]) -> list[Heartbeat]:
    """Returns those heartbeats whose processes live, by the states of Slurm's jobs."""
    found = list(found)
    latest: dict[str, int] = {}
    for one in found:
        latest[one.job] = max(latest.get(one.job, 0), one.restarts)
    return [one for one in found if one.restarts == latest[one.job] and _lives(one, states)]


def _lives(process: Heartbeat, states: Mapping[str, str]) -> bool:
    if process.submitted and states:
        tasks = (state for job, state in states.items() if job.split("_")[0] == process.job)
        return not ACTIVE.isdisjoint(tasks)
    if process.job and states:
        return states.get(process.job) in ("RUNNING", "COMPLETING")
    if not process.job and process.host == socket.gethostname():
        return is_alive(process.pid) and process.started in ("", started_at(process.pid))
    return abs(time.time() - process.written) < SILENT_SECONDS


def remove_dead(out: Path) -> None:
    """Removes what processes that work no more have left in the folder of heartbeats."""
    living = alive(out)
    kept = {heartbeat_file(out, one) for one in living}
    jobs = {one.job for one in living if one.job}
    for path in (out / TASKS).glob("*"):
        if path not in kept and path.name.split(".")[0] not in jobs:
            with suppress(OSError):
                path.unlink()
