"""Several workers on this machine, one process each; a free worker gets the next batch."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from nst_lightning.errors import OutputError
from nst_lightning.run.display import Display
from nst_lightning.run.pool_worker import (
    BatchBegun,
    Message,
    Note,
    OutputBroken,
    PairFinished,
    PartDone,
    StepDone,
    TaskDone,
    work_for_parent,
)
from nst_lightning.run.task import RunOptions, Task
from nst_lightning.run.visible_gpus import VARIABLE, visible_gpus
from nst_lightning.stop import StopFlag
from nst_lightning.store.job import Job
from nst_lightning.store.records import Record, make_record

PATIENCE = 60.0
"""Seconds that workers have to end their step and write what is finished, when stopped."""

TRIES = 2
"""How often a batch whose worker died is handed out in all."""


@dataclass
class WorkerProcess:
    """A worker's process, and the task that it works on."""

    index: int
    process: BaseProcess
    connection: Connection
    task: Task | None = None
    unfinished: dict[str, Job] = field(default_factory=dict)
    """The jobs of the task that have no record yet, by output."""


class Pool:
    """Runs tasks in worker processes.

    A worker that dies costs nothing but its batch's time: the batch is tried once more, in halves
    if the worker was killed, as a system short of memory does, and then reported as failed.

    Args:
        environments: one per worker: what is set in its environment before it imports torch.
        options: of the run.
        display: is told of the progress.
        stop: looked at while waiting.
        finish: gets each pair's record once its file is on disk.
        following: returns what can be done when a task is done.
    """

    def __init__(
        self,
        environments: Sequence[dict[str, str]],
        options: RunOptions,
        display: Display,
        stop: StopFlag,
        finish: Callable[[Record], None],
        following: Callable[[Task], list[Task]] = lambda task: [],
    ) -> None:
        self.environments = environments
        self.options = options
        self.display = display
        self.stop = stop
        self.finish = finish
        self.following = following
        self.context = get_context("spawn")
        self.workers: list[WorkerProcess] = []
        self.waiting: deque[Task] = deque()
        self.over: set[str] = set()
        """The outputs that have a record."""

    def run(self, tasks: Iterable[Task]) -> None:
        """Makes the images of all tasks, which may come in any order.

        Raises:
            OutputError: the output folder can no longer be written.
            Interrupted: the stop flag was raised; no worker is left, what is finished is on disk.
        """
        self.waiting = deque(sorted(tasks, key=lambda task: -task.cost))
        needed = min(len(self.environments), len(self.waiting))
        try:
            self.workers = [self._start_worker(index) for index in range(needed)]
            for worker in self.workers:
                self._assign_task(worker)
            while any(worker.task for worker in self.workers):
                self.stop.check()
                self._receive(0.2)
        except BaseException:
            self._end_workers(interrupt=True)
            raise
        self._end_workers(interrupt=False)

    def _start_worker(self, index: int) -> WorkerProcess:
        ours, theirs = self.context.Pipe()
        arguments = (theirs, self.environments[index], self.options, os.getpid())
        # A daemon could not start those that it works with.
        daemon = self.options.processes == 1
        process = self.context.Process(target=work_for_parent, args=arguments, daemon=daemon)
        process.start()
        theirs.close()
        return WorkerProcess(index, process, ours)

    def _assign_task(self, worker: WorkerProcess) -> None:
        """Sends a worker the next task, if there is one."""
        worker.task = self.waiting.popleft() if self.waiting else None
        worker.unfinished = {}
        if worker.task:
            worker.unfinished = {job.pair.output.as_posix(): job for job in worker.task.jobs}
            with suppress(OSError):  # it has just died; `_receive` notices
                worker.connection.send(worker.task)

    def _receive(self, seconds: float) -> None:
        """Handles one message of each worker that has sent some, after waiting for the first of
        them for at most so long."""
        by_connection = {worker.connection: worker for worker in self.workers}
        for connection in wait(list(by_connection), seconds):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                message: Message = worker.connection.recv()
            except (EOFError, OSError):
                self._replace_dead(worker)
                continue
            self._handle(worker, message)

    def _handle(self, worker: WorkerProcess, message: Message) -> None:
        match message:
            case BatchBegun(names, steps, weights):
                self.display.batch(names, steps, weights, worker.index)
            case StepDone(step, pairs, losses):
                self.display.step(step, pairs, lambda: losses, worker.index)
            case PartDone(share):
                self.display.part(share, worker.index)
            case PairFinished(record):
                worker.unfinished.pop(record.output, None)
                self._finish(record)
            case Note(text):
                self.display.note(text)
            case OutputBroken(error):
                raise error
            case TaskDone():
                if worker.task and worker.unfinished:
                    self.waiting.extendleft(self.following(worker.task))
                self._assign_task(worker)

    def _finish(self, record: Record) -> None:
        """Hands on a pair's record, the first where the parts of a film have several, and takes
        what is left of a film out of the queue."""
        if record.output in self.over:
            return
        self.over.add(record.output)
        self.waiting = deque(
            task
            for task in self.waiting
            if not (task.is_film and task.jobs[0].pair.output.as_posix() == record.output)
        )
        self.finish(record)

    def _replace_dead(self, worker: WorkerProcess) -> None:
        """Puts the unfinished jobs of a worker that died back into the queue, or gives them up, and
        starts another worker where there is work for it."""
        worker.connection.close()
        worker.process.join()
        self.workers.remove(worker)
        task, jobs = worker.task, list(worker.unfinished.values())
        code = worker.process.exitcode or 0
        if task and jobs and task.tries + 1 < TRIES:
            size = (len(jobs) + 1) // 2 if code == -signal.SIGKILL else len(jobs)
            for start in range(0, len(jobs), size):
                part = jobs[start : start + size]
                share = task.cost * len(part) / len(task.jobs)
                self.waiting.appendleft(replace(task, jobs=part, cost=share, tries=task.tries + 1))
        elif task:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            reason = f"its worker died twice ({how}), as when memory runs out; try a smaller --size"
            out, asked = self.options.out, task.settings.asked
            for job in jobs:
                self._finish(make_record(job, out, asked, status="failed", reason=reason))
        if self.waiting:
            self.workers.append(self._start_worker(worker.index))
            self._assign_task(self.workers[-1])

    def _end_workers(self, *, interrupt: bool) -> None:
        """Ends all workers, after the step in progress where `interrupt`, and takes the records of
        what they have finished by then."""
        for worker in self.workers:
            with suppress(OSError):
                worker.connection.send(None)
            if interrupt:
                worker.process.terminate()
        until = time.monotonic() + PATIENCE
        while self.workers and time.monotonic() < until:
            for worker in list(self.workers):
                alive = worker.process.is_alive()
                self._receive_last(worker)
                if not alive:
                    self.workers.remove(worker)
            time.sleep(0.02)
        for worker in self.workers:
            worker.process.kill()
        self.workers = []

    def _receive_last(self, worker: WorkerProcess) -> None:
        """Takes what a worker that is about to end has still sent."""
        # A record that cannot be written any more is entered by the next run, from the image.
        with suppress(EOFError, OSError, OutputError):
            while worker.connection.poll():
                match worker.connection.recv():
                    case PairFinished(record):
                        self._finish(record)
                    case Note(text):
                        self.display.note(text)


def environments(kind: str, devices: Sequence[int], threads: int) -> list[dict[str, str]]:
    """Returns what each worker finds in its environment.

    Args:
        kind: `cuda` or `cpu`.
        devices: indices of GPUs as this process sees them; on the CPU, one entry per worker.
        threads: the number that PyTorch uses here, which the workers share.
    """
    each = {"OMP_NUM_THREADS": str(max(1, threads // len(devices)))}
    if kind != "cuda":
        return [each for _ in devices]
    names = visible_gpus(os.environ) or [str(k) for k in range(max(devices) + 1)]
    return [each | {VARIABLE: names[k]} for k in devices]


def shared_environment(each: Sequence[dict[str, str]]) -> dict[str, str]:
    """Returns what processes find in their environment that work on one image together: each sees
    all their GPUs."""
    gpus = [one[VARIABLE] for one in each if VARIABLE in one]
    return each[0] | ({VARIABLE: ",".join(gpus)} if gpus else {})
