"""A display that keeps a heartbeat of this process. Imports no torch."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from nst_lightning.run.display import Display, Losses
from nst_lightning.run.slurm import Place
from nst_lightning.store.heartbeat import (
    BatchState,
    Heartbeat,
    remove_heartbeat,
    this_process,
    write_heartbeat,
)
from nst_lightning.store.records import Record

WRITE_SECONDS = 10.0
"""Between two states of a batch, in the file."""


class HeartbeatDisplay:
    """A display that writes what this process is at, and passes all on to another.

    Args:
        out: the output folder.
        place: this process's.
        display: the other.
        digest: of the settings that it works with.
    """

    def __init__(self, out: Path, place: Place, display: Display, digest: str = "") -> None:
        self.out = out
        self.place = place
        self.display = display
        self.digest = digest
        self.batches: dict[int, BatchState] = {}
        self.written = 0.0

    def begin(self) -> Heartbeat:
        """Writes the first heartbeat, and returns it.

        Raises:
            OSError: it cannot be written.
        """
        first = self._now()
        write_heartbeat(self.out, first)
        return first

    def start(self, pairs: int, skipped: int, work: int) -> None:
        self._write()
        self.display.start(pairs, skipped, work)

    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None:
        self.batches[worker] = BatchState(pairs=list(names), steps=steps)
        self._write()
        self.display.batch(names, steps, weights, worker)

    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None:
        if worker in self.batches:
            self.batches[worker] = self.batches[worker].model_copy(update={"step": step})
        if time.monotonic() - self.written >= WRITE_SECONDS:
            self._write()
        self.display.step(step, pairs, losses, worker)

    def part(self, share: float, worker: int = 0) -> None:
        if time.monotonic() - self.written >= WRITE_SECONDS:
            self._write()  # a step may take longer than a silence is trusted
        self.display.part(share, worker)

    def finished(self, record: Record) -> None:
        self.display.finished(record)

    def note(self, text: str) -> None:
        self.display.note(text)

    def stop(self) -> None:
        self.display.stop()

    def remove(self) -> None:
        """Removes the file: the run ends."""
        remove_heartbeat(self.out, self._now())

    def _now(self) -> Heartbeat:
        return this_process(
            digest=self.digest,
            job=self.place.job,
            restarts=self.place.restarts,
            rank=self.place.rank,
            batches=list(self.batches.values()),
        )

    def _write(self) -> None:
        self.written = time.monotonic()
        with suppress(OSError):  # a full disk will be noticed where it matters
            write_heartbeat(self.out, self._now())
