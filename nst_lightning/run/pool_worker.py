"""The process of one worker, which makes the batches that its parent sends. Imports torch late."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Lock, Thread

from nst_lightning.errors import OutputError
from nst_lightning.large_imports import large_imports
from nst_lightning.run.display import LOOK_SECONDS, Losses, Silent
from nst_lightning.run.task import RunOptions
from nst_lightning.store.records import Record


@dataclass(frozen=True)
class BatchBegun:
    """A batch begins: see `Display.batch`."""

    names: list[str]
    steps: int
    weights: dict[str, float]


@dataclass(frozen=True)
class StepDone:
    """A step of the batch is done: see `Display.step`."""

    step: int
    pairs: int
    losses: dict[str, float]


@dataclass(frozen=True)
class PartDone:
    """A part of a step is done: see `Display.part`."""

    share: float


@dataclass(frozen=True)
class Note:
    """Something that the user may want to know."""

    text: str


@dataclass(frozen=True)
class PairFinished:
    """A pair is done or has failed."""

    record: Record


@dataclass(frozen=True)
class OutputBroken:
    """The output folder can no longer be written; the process ends."""

    error: OutputError


@dataclass(frozen=True)
class TaskDone:
    """The worker waits for its next task."""


Message = BatchBegun | StepDone | PartDone | Note | PairFinished | OutputBroken | TaskDone
"""What a worker's process tells its parent."""


class Reporter(Silent):
    """A display that tells the parent.

    Args:
        send: passes a message on.
        every: steps after which the losses are read in any case.
        parent: the parent's process; when it is gone, so is this one.
    """

    def __init__(self, send: Callable[[Message], None], every: int, parent: int) -> None:
        self.send = send
        self.every = every
        self.parent = parent
        self.seen = 0.0
        self.losses: dict[str, float] = {}

    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None:
        self.losses = {}
        self.send(BatchBegun(list(names), steps, dict(weights)))

    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None:
        if os.getppid() != self.parent:  # killed; nobody would take the result
            os._exit(1)
        now = time.monotonic()
        if not self.losses or step % self.every == 0 or now - self.seen > LOOK_SECONDS:
            self.losses, self.seen = dict(losses()), now
        self.send(StepDone(step, pairs, self.losses))

    def part(self, share: float, worker: int = 0) -> None:
        now = time.monotonic()
        if now - self.seen > LOOK_SECONDS:
            self.seen = now
            self.send(PartDone(share))

    def finished(self, record: Record) -> None:
        self.send(PairFinished(record))

    def note(self, text: str) -> None:
        self.send(Note(text))


PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the thread that started it ends."""


def end_with(parent: int) -> None:
    """Has Linux kill this process when its parent is gone, also in the middle of a step or of an
    import; elsewhere `Reporter.step` notices.

    Args:
        parent: the process id of what started this one.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before
        os._exit(1)


def start_followers(environment: Mapping[str, str], options: RunOptions) -> list[Connection]:
    """Starts the processes that make each batch together with this one, the first of them.

    Where one of them dies, this process ends too, and its parent hands the batch out again.

    Args:
        environment: what is set in theirs.
        options: with how many they are.

    Returns:
        Where each is sent its tasks.
    """
    if options.processes == 1:
        return []
    from lightning.fabric.plugins.environments.lightning import find_free_network_port

    os.environ |= {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port()), "LOCAL_RANK": "0"
    }  # fmt: skip
    shared = {name: os.environ[name] for name in ("MASTER_ADDR", "MASTER_PORT")}
    context = get_context("spawn")
    connections: list[Connection] = []
    processes: list[BaseProcess] = []
    for rank in range(1, options.processes):
        ours, theirs = context.Pipe()
        own = {**environment, **shared, "LOCAL_RANK": str(rank)}
        arguments = (theirs, own, replace(options, rank=rank), os.getpid())
        process = context.Process(target=work_for_parent, args=arguments, daemon=True)
        process.start()
        theirs.close()
        connections.append(ours)
        processes.append(process)

    def end_with_them() -> None:
        wait([process.sentinel for process in processes])
        stopped = (0, *(128 + number for number in (signal.SIGINT, signal.SIGTERM)))
        if any(process.exitcode not in (None, *stopped) for process in processes):
            os._exit(1)

    Thread(target=end_with_them, daemon=True).start()
    return connections


def work_for_parent(
    connection: Connection, environment: Mapping[str, str], options: RunOptions, parent: int
) -> None:
    """Makes batches until the parent sends None, or is gone.

    Args:
        connection: to the parent: each `Task` comes, each `Message` goes.
        environment: set before torch is imported, which reads it then.
        options: of the run.
        parent: its process id.
    """
    end_with(parent)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and says so
    with large_imports():
        from nst_lightning.run.film_worker import FilmWorker
        from nst_lightning.run.worker import Worker
    from nst_lightning.run.memory import keep_freed_memory
    from nst_lightning.stop import Interrupted, StopFlag
    from nst_lightning.vgg.weights import load_weights

    stop, lock = StopFlag(), Lock()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.raised(number))
    if options.keep_memory:
        keep_freed_memory()

    def send(message: Message) -> None:
        if options.rank == 0:
            with lock:
                connection.send(message)

    followers = start_followers(environment, options) if options.rank == 0 else []
    worker: Worker | FilmWorker | None = None
    try:
        while (task := connection.recv()) is not None:
            for follower in followers:
                follower.send(task)
            if worker is None or task.settings != worker.case:
                worker = None  # the network of another case, if any, is freed before
                asked, resolved = task.settings.asked, task.settings.resolved
                weights = load_weights(*resolved.network_weights)
                reporter = Reporter(send, asked.log_every, parent)
                kind = FilmWorker if task.is_film else Worker
                worker = kind(weights, task.settings, options, reporter, stop)
            try:
                if isinstance(worker, FilmWorker):
                    worker.run(task, reporter.finished)
                else:
                    worker.run([task.jobs], reporter.finished)
            except OutputError as error:
                send(OutputBroken(error))
                return
            send(TaskDone())
    except Interrupted as interrupted:
        raise SystemExit(interrupted.exit_code) from None
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
