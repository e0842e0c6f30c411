"""What runs are at, in files that `nst-batch status` reads. Imports no torch."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nst_lightning.files import write_text
from nst_lightning.layout import TASKS
from nst_lightning.run.display import Display, Losses
from nst_lightning.run.slurm import Place
from nst_lightning.store.records import Record

WRITE_SECONDS = 10.0
"""Between two states of a batch, in the file."""

Notice = dict[str, Any]
"""`job`, `restarts`, `rank`, `host`, `pid`, `written` (seconds since 1970) and `batches`: those in
progress, each with its `pairs`, `step` and `steps`."""


class Board:
    """A display that keeps a file of what this process is at, and passes all on to another.

    Args:
        out: the output folder.
        place: this process's.
        display: the other.
    """

    def __init__(self, out: Path, place: Place, display: Display) -> None:
        self.display = display
        host = socket.gethostname()
        name = place.name if place.job else f"{host}-{os.getpid()}"
        self.path = out / TASKS / f"{name}.json"
        self.about = {
            "job": place.job, "restarts": place.restarts, "rank": place.rank,
            "host": host, "pid": os.getpid(),
        }  # fmt: skip
        self.batches: dict[int, dict[str, Any]] = {}
        self.written = 0.0

    def start(self, pairs: int, skipped: int, work: int) -> None:
        self._write()
        self.display.start(pairs, skipped, work)

    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None:
        self.batches[worker] = {"pairs": list(names), "step": 0, "steps": steps}
        self._write()
        self.display.batch(names, steps, weights, worker)

    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None:
        if worker in self.batches:
            self.batches[worker]["step"] = step
        if time.monotonic() - self.written >= WRITE_SECONDS:
            self._write()
        self.display.step(step, pairs, losses, worker)

    def finished(self, record: Record) -> None:
        self.display.finished(record)

    def note(self, text: str) -> None:
        self.display.note(text)

    def stop(self) -> None:
        self.display.stop()

    def leave(self) -> None:
        """Take the file away: the run ends."""
        with suppress(OSError):
            self.path.unlink()

    def _write(self) -> None:
        self.written = time.monotonic()
        text = {**self.about, "written": time.time(), "batches": list(self.batches.values())}
        with suppress(OSError):  # a full disk will be noticed where it matters
            write_text(self.path, json.dumps(text, ensure_ascii=False))


def notices(out: Path) -> Iterator[tuple[Path, Notice]]:
    """What the processes that work on an output folder, or died at it, have left."""
    for path in sorted((out / TASKS).glob("*.json")):
        with suppress(OSError, ValueError):
            notice = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(notice, dict) and "batches" in notice:
                yield path, notice
