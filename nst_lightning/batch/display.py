"""What the work tells whoever watches. Imports no torch."""

from collections.abc import Callable, Sequence
from typing import Protocol

from nst_lightning.batch.ledger import Record


class Display(Protocol):
    """Receives the course of a run; the command line draws it."""

    def start(self, pairs: int, skipped: int, work: int) -> None:
        """Before the first batch: pairs to make, pairs already done, steps in all."""

    def batch(self, labels: Sequence[str], steps: int) -> None:
        """A batch of pairs begins that will take this many steps."""

    def step(self, step: int, pairs: int, loss: Callable[[], float]) -> None:
        """A step of the batch is done; `loss` waits for the device, so call it sparingly."""

    def finished(self, record: Record) -> None:
        """A pair is done or has failed."""

    def stop(self) -> None:
        """After the last batch, or when the run ends early."""


class Silent:
    """Watches nothing."""

    def start(self, pairs: int, skipped: int, work: int) -> None: ...
    def batch(self, labels: Sequence[str], steps: int) -> None: ...
    def step(self, step: int, pairs: int, loss: Callable[[], float]) -> None: ...
    def finished(self, record: Record) -> None: ...
    def stop(self) -> None: ...
