"""What a process is at, in a file that `nst-batch status` reads. Imports no torch."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from nst_lightning.files import started_at, write_text
from nst_lightning.layout import TASKS

JOB_ID = r"\d+(?:_\d+)?"
"""How Slurm names a job, or a task of an array."""


class BatchState(BaseModel, frozen=True):
    """A batch in progress."""

    pairs: list[str]
    """Its results, without their suffix."""
    step: int = Field(0, ge=0)
    steps: int = Field(ge=1)


class Heartbeat(BaseModel, frozen=True):
    """A process at work on an output folder."""

    digest: str = ""
    """Of the settings that it works with; see `run.claim`."""
    job: str = Field("", pattern=rf"^({JOB_ID})?$")
    """The Slurm job, `12` or `12_3`; empty outside of Slurm."""
    submitted: bool = False
    """Whether it stands for the tasks of a job that are yet to begin."""
    restarts: int = 0
    """How often the job was requeued."""
    rank: int = 0
    host: str
    pid: int = Field(gt=0)
    started: str = ""
    """When the process began; see `files.started_at`."""
    written: float = Field(allow_inf_nan=False)
    """Seconds since 1970."""
    batches: list[BatchState] = []

    @property
    def name(self) -> str:
        """What tells it from the others of the folder, also from a job's earlier restarts."""
        if self.submitted:
            return f"{self.job}.submitted"
        return f"{self.job}.{self.restarts}.{self.rank}" if self.job else f"{self.host}-{self.pid}"

    @property
    def where(self) -> str:
        """What messages call it."""
        if self.submitted:
            return f"job {self.job}"
        if self.job:
            return f"job {self.job}, task {self.rank} on {self.host}"
        return f"process on {self.host}, {self.pid}"


def this_process(**facts: Any) -> Heartbeat:
    """Returns the heartbeat of this process as it is now.

    Args:
        facts: other fields of `Heartbeat`.
    """
    pid = os.getpid()
    return Heartbeat(
        host=socket.gethostname(), pid=pid, started=started_at(pid), written=time.time(), **facts
    )


def heartbeat_file(out: Path, heartbeat: Heartbeat) -> Path:
    """Returns where the heartbeat of a process goes."""
    return out / TASKS / f"{heartbeat.name}.json"


def write_heartbeat(out: Path, heartbeat: Heartbeat) -> None:
    """Writes what a process is at into its file.

    Raises:
        OSError: it cannot be written.
    """
    write_text(heartbeat_file(out, heartbeat), heartbeat.model_dump_json())


def remove_heartbeat(out: Path, heartbeat: Heartbeat) -> None:
    """Removes the file of a process that ends."""
    with suppress(OSError):
        heartbeat_file(out, heartbeat).unlink()


def read_heartbeats(out: Path) -> Iterator[Heartbeat]:
    """Yields what the processes that work on an output folder, or died at it, have left."""
    for path in sorted((out / TASKS).glob("*.json")):
        with suppress(OSError, ValidationError):
            yield Heartbeat.model_validate_json(path.read_bytes())
