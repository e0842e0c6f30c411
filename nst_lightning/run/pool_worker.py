"""A worker's process: makes the batches that its parent hands it. Imports torch late."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any

from nst_lightning.errors import OutputError
from nst_lightning.run.display import LOOK_SECONDS, Losses
from nst_lightning.store.ledger import Record

Message = tuple[str, Any]
"""`batch`, `step`, `note`, `finished`, `error` or `free`, and what belongs to it."""


class Reporter:
    """A display that tells the parent.

    Args:
        send: passes a message on.
        every: steps after which the losses are read in any case.
        parent: the parent's process; when it is gone, so is this one.
    """

    def __init__(self, send: Any, every: int, parent: int) -> None:
        self.send = send
        self.every = every
        self.parent = parent
        self.seen = 0.0
        self.losses: dict[str, float] = {}

    def start(self, pairs: int, skipped: int, work: int) -> None: ...

    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None:
        self.losses = {}
        self.send(("batch", (list(names), steps, dict(weights))))

    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None:
        if os.getppid() != self.parent:  # killed; nobody would take the result
            os._exit(1)
        now = time.monotonic()
        if not self.losses or step % self.every == 0 or now - self.seen > LOOK_SECONDS:
            self.losses, self.seen = dict(losses()), now
        self.send(("step", (step, pairs, self.losses)))

    def finished(self, record: Record) -> None:
        self.send(("finished", record))

    def note(self, text: str) -> None:
        self.send(("note", text))

    def stop(self) -> None: ...


def work_for_parent(
    line: Connection,
    environment: Mapping[str, str],
    out: Path,
    parent: int,
    parameters: bool,
    keep_memory: bool,
) -> None:
    """Make batches until the parent says None, or is gone.

    Args:
        line: to the parent: (asked, resolved, jobs) comes, messages go.
        environment: set before torch is imported, which reads it then.
        out: the output folder.
        parent: its process id.
        parameters: leave a YAML file of the complete settings beside each picture.
        keep_memory: see `keep_freed_memory`.
    """
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and says so
    from nst_lightning.run.worker import make_worker
    from nst_lightning.stop import Interrupted, StopFlag
    from nst_lightning.vgg.weights import load_weights

    stop, lock = StopFlag(), Lock()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.raised(number))

    def send(message: Message) -> None:
        with lock:
            line.send(message)

    current, worker = None, None
    try:
        while (task := line.recv()) is not None:
            asked, resolved, jobs = task
            if worker is None or asked != current:
                worker = None  # the network of another case, if any, is freed before
                weights = load_weights(resolved.weights, resolved.network)
                reporter = Reporter(send, asked.log_every, parent)
                worker = make_worker(
                    weights, asked, resolved, out, reporter, stop,
                    parameters=parameters, keep_memory=keep_memory,
                )  # fmt: skip
                current = asked
            try:
                worker.run([jobs], reporter.finished)
            except OutputError as error:
                send(("error", error))
                return
            send(("free", None))
    except Interrupted as interrupted:
        raise SystemExit(interrupted.exit_code) from None
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
