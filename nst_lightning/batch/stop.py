"""Ctrl-C and SIGTERM as a flag that the work looks at between steps. Imports no torch."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The run was asked to stop; like KeyboardInterrupt, no `except Exception` swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


class StopFlag:
    """Set by a signal, read between steps."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def check(self) -> None:
        """Raise Interrupted where a signal has come."""
        if self.signum is not None:
            raise Interrupted(self.signum)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM for the time of the block; a second one ends the process at once.

        Lightning would answer Ctrl-C with exit code 1. Files appear by atomic rename, so even the
        second signal leaves nothing half-written.
        """
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._set)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def raised(self, signum: int) -> None:
        """Ask for the stop, as a signal of this number does."""
        self._set(signum, None)

    def _set(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            os._exit(128 + signum)
        self.signum = signum
