"""Several workers on this machine, a process each; batches are handed out as they become free."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from nst_lightning.errors import OutputError
from nst_lightning.run.display import Display
from nst_lightning.run.pool_worker import Message, work_for_parent
from nst_lightning.settings import BatchSettings
from nst_lightning.stop import StopFlag
from nst_lightning.store.ledger import Record
from nst_lightning.store.output import Job
from nst_lightning.store.records import make_record

PATIENCE = 60.0
"""Seconds that workers have to end their step and write what is finished, when stopped."""

TRIES = 2
"""How often a batch whose worker died is handed out in all."""


@dataclass(frozen=True)
class Task:
    """One batch to make."""

    asked: BatchSettings
    resolved: BatchSettings
    jobs: Sequence[Job]
    cost: float
    """What it takes, in any unit: the largest is handed out first."""
    tries: int = 0


@dataclass
class Hand:
    """A worker's process, and what it is at."""

    index: int
    process: BaseProcess
    line: Connection
    task: Task | None = None
    left: dict[str, Job] | None = None
    """The jobs of the task that have no record yet, by output."""


class Pool:
    """Runs tasks on workers of its own.

    A worker that dies costs nothing but its batch's time: the batch is tried once more, in halves
    if the worker was killed, as a system short of memory does, and then reported as failed.

    Args:
        environments: one per worker: what is set in its environment before it imports torch.
        out: the output folder.
        display: hears of the course.
        stop: looked at while waiting.
        parameters: leave a YAML file of the complete settings beside each picture.
        keep_memory: see `keep_freed_memory`.
    """

    def __init__(
        self,
        environments: Sequence[dict[str, str]],
        out: Path,
        display: Display,
        stop: StopFlag,
        *,
        parameters: bool,
        keep_memory: bool,
    ) -> None:
        self.environments = environments
        self.out = out
        self.display = display
        self.stop = stop
        self.given = (parameters, keep_memory)
        self.context = get_context("spawn")
        self.hands: list[Hand] = []
        self.waiting: deque[Task] = deque()

    def run(self, tasks: Iterable[Task], finish: Callable[[Record], None]) -> None:
        """Make the pictures of all tasks.

        Args:
            tasks: in any order.
            finish: gets each pair's record once its file is on disk.

        Raises:
            OutputError: the output folder can no longer be written.
            Interrupted: the stop flag was raised; no worker is left, what is finished is on disk.
        """
        self.waiting = deque(sorted(tasks, key=lambda task: -task.cost))
        needed = min(len(self.environments), len(self.waiting))
        try:
            self.hands = [self._hire(index) for index in range(needed)]
            for hand in self.hands:
                self._hand_out(hand)
            while any(hand.task for hand in self.hands):
                self.stop.check()
                self._listen(finish, 0.2)
        except BaseException:
            self._dismiss(finish, at_once=True)
            raise
        self._dismiss(finish, at_once=False)

    def _hire(self, index: int) -> Hand:
        ours, theirs = self.context.Pipe()
        arguments = (theirs, self.environments[index], self.out, os.getpid(), *self.given)
        process = self.context.Process(target=work_for_parent, args=arguments, daemon=True)
        process.start()
        theirs.close()
        return Hand(index, process, ours)

    def _hand_out(self, hand: Hand) -> None:
        hand.task, hand.left = None, None
        if self.waiting:
            hand.task = self.waiting.popleft()
            hand.left = {job.pair.output.as_posix(): job for job in hand.task.jobs}
            with suppress(OSError):  # it has just died; `_listen` sees to it
                hand.line.send((hand.task.asked, hand.task.resolved, hand.task.jobs))

    def _listen(self, finish: Callable[[Record], None], seconds: float) -> None:
        """Take what the workers say, for about so long at the most."""
        lines = {hand.line: hand for hand in self.hands}
        for line in wait(list(lines), seconds):
            hand = lines[line]  # type: ignore[index]
            try:
                message: Message = hand.line.recv()
            except (EOFError, OSError):
                self._bury(hand, finish)
                continue
            self._take(hand, message, finish)

    def _take(self, hand: Hand, message: Message, finish: Callable[[Record], None]) -> None:
        kind, said = message
        if kind == "batch":
            names, steps, weights = said
            self.display.batch(names, steps, weights, hand.index)
        elif kind == "step":
            step, pairs, losses = said
            self.display.step(step, pairs, lambda: losses, hand.index)
        elif kind == "finished":
            if hand.left is not None:
                hand.left.pop(said["output"], None)
            finish(said)
        elif kind == "note":
            self.display.note(said)
        elif kind == "error":
            raise said
        elif kind == "free":
            self._hand_out(hand)

    def _bury(self, hand: Hand, finish: Callable[[Record], None]) -> None:
        """A worker died: put what it was at back, or give it up, and hire another."""
        hand.line.close()
        hand.process.join()
        code = hand.process.exitcode
        task, left = hand.task, list((hand.left or {}).values())
        self.hands.remove(hand)
        if task is None or not left:
            return self._replace(hand)
        if task.tries + 1 < TRIES:
            killed = code == -signal.SIGKILL
            size = (len(left) + 1) // 2 if killed else len(left)
            for start in range(0, len(left), size):
                some = left[start : start + size]
                share = task.cost * len(some) / len(task.jobs)
                self.waiting.appendleft(
                    Task(task.asked, task.resolved, some, share, task.tries + 1)
                )
        else:
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            reason = f"its worker died twice ({how}), as when memory runs out; try a smaller --size"
            for job in left:
                finish(make_record(job, self.out, task.asked, status="failed", reason=reason))
        return self._replace(hand)

    def _replace(self, hand: Hand) -> None:
        if self.waiting:
            self.hands.append(self._hire(hand.index))
            self._hand_out(self.hands[-1])

    def _dismiss(self, finish: Callable[[Record], None], *, at_once: bool) -> None:
        """End all workers, after the step in progress where `at_once`; what they have finished by
        then is taken."""
        for hand in self.hands:
            with suppress(OSError):
                hand.line.send(None)
            if at_once:
                hand.process.terminate()
        until = time.monotonic() + PATIENCE
        while self.hands and time.monotonic() < until:
            for hand in list(self.hands):
                alive = hand.process.is_alive()
                self._hear_out(hand, finish)
                if not alive:
                    self.hands.remove(hand)
            time.sleep(0.02)
        for hand in self.hands:
            hand.process.kill()
        self.hands = []

    def _hear_out(self, hand: Hand, finish: Callable[[Record], None]) -> None:
        """What a worker that is about to end has finished."""
        # A line that cannot be written any more is entered by the next run, from the picture.
        with suppress(EOFError, OSError, OutputError):
            while hand.line.poll():
                kind, said = hand.line.recv()
                if kind == "finished":
                    finish(said)
                elif kind == "note":
                    self.display.note(said)


def environments(kind: str, devices: Sequence[int], threads: int) -> list[dict[str, str]]:
    """What each worker finds in its environment.

    Args:
        kind: `cuda` or `cpu`.
        devices: indices of GPUs as this process sees them; on the CPU, one entry per worker.
        threads: that PyTorch uses here, which CPU workers share.
    """
    if kind == "cuda":
        shown = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        names = shown.split(",") if shown else [str(k) for k in range(max(devices) + 1)]
        return [{"CUDA_VISIBLE_DEVICES": names[k]} for k in devices]
    each = max(1, threads // len(devices))
    return [{"OMP_NUM_THREADS": str(each)} for _ in devices]
