"""What a process is at, in a file that `nst-batch status` reads. Imports no torch."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from nst_lightning.files import write_text
from nst_lightning.layout import TASKS


class BatchState(BaseModel, frozen=True):
    """A batch in progress."""

    pairs: list[str]
    """Its results, without their suffix."""
    step: int = 0
    steps: int


class Heartbeat(BaseModel, frozen=True):
    """A process at work on an output folder."""

    job: str = ""
    """The Slurm job, `12` or `12_3`; empty outside of Slurm."""
    restarts: int = 0
    """How often the job was requeued."""
    rank: int = 0
    host: str
    pid: int
    written: float
    """Seconds since 1970."""
    batches: list[BatchState]


def write_heartbeat(path: Path, heartbeat: Heartbeat) -> None:
    """Writes what a process is at into its file.

    Raises:
        OSError: it cannot be written.
    """
    write_text(path, heartbeat.model_dump_json())


def read_heartbeats(out: Path) -> Iterator[Heartbeat]:
    """Yields what the processes that work on an output folder, or died at it, have left."""
    for path in sorted((out / TASKS).glob("*.json")):
        with suppress(OSError, ValidationError):
            yield Heartbeat.model_validate_json(path.read_bytes())
