"""Keeps signals as a flag that the work looks at between steps. Imports no torch."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = {number for number in signal.Signals if number.name in ("SIGUSR1", "SIGUSR2")}
"""Slurm's warnings that time is up: the run is to go on later. SIGINT and SIGTERM end it."""

_early: list[int] = []


def remember_warnings() -> None:
    """Keeps warnings that come before anything listens, such as while torch is imported, for the
    flag that listens first. Ignored, they would not be given again before time is up."""
    for number in AGAIN:
        signal.signal(number, lambda signum, frame: _early.append(signum))


def ignore_warnings() -> None:
    """Lets warnings pass from now on, for the work is over: Python gives its signals back while it
    shuts down, and a job would be said to have failed by one that comes then."""
    for number in AGAIN:
        signal.signal(number, signal.SIG_IGN)


class Interrupted(BaseException):
    """The run was asked to stop; like KeyboardInterrupt, no `except Exception` swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
        self.finished = 0
        """Images that this run made or found."""

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


class StopFlag:
    """Set by a signal, read between steps."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def check(self) -> None:
        """Raises Interrupted where a signal has come."""
        if self.signum is not None:
            raise Interrupted(self.signum)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 for the time of the block.

        Lightning would answer Ctrl-C with exit code 1. A second Ctrl-C ends the process at once;
        files appear by atomic rename, so even that leaves nothing half-written.
        """
        numbers = {signal.SIGINT, signal.SIGTERM, *AGAIN}
        before = {number: signal.getsignal(number) for number in numbers}
        for number in before:
            signal.signal(number, self._set)
        while _early:
            self._set(_early.pop(0), None)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def raised(self, signum: int) -> None:
        """Asks for the stop, as a signal of this number does."""
        self._set(signum, None)

    def _set(self, signum: int, frame: FrameType | None) -> None:
        if self.signum == signum == signal.SIGINT:
            os._exit(128 + signum)
        if self.signum is None or self.signum in AGAIN:  # an end for good outweighs a pause
            self.signum = signum
