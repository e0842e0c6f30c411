"""What the work tells whoever watches. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from nst_lightning.store.records import Record

Losses = Callable[[], Mapping[str, float]]
"""The batch's mean of each weighted term and of their `total`."""

LOOK_SECONDS = 0.2
"""Between two readings of the losses, each of which waits for the device."""


class Display(Protocol):
    """Receives the progress of a run; the command line draws it."""

    def start(self, pairs: int, skipped: int, work: int) -> None:
        """Before the first batch: pairs to make, pairs already done, steps in all."""

    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None:
        """A batch of pairs, by the names of their results, begins that takes this many steps; the
        weight of each loss term."""

    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None:
        """A step of a worker's batch is done; `losses` waits for the device: call it sparingly."""

    def part(self, share: float, worker: int = 0) -> None:
        """This share of a worker's next step is done; of images in tiles alone."""

    def finished(self, record: Record) -> None:
        """A pair is done or has failed."""

    def note(self, text: str) -> None:
        """Something that the user may want to know, as a sentence."""

    def stop(self) -> None:
        """After the last batch, or when the run ends early."""


class Silent:
    """Watches nothing."""

    def start(self, pairs: int, skipped: int, work: int) -> None: ...
    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None: ...
    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None: ...
    def part(self, share: float, worker: int = 0) -> None: ...
    def finished(self, record: Record) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...
