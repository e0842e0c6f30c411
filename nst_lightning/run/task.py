"""What is handed to a worker: settings, batches, and what holds for the whole run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nst_lightning.run.film_plan import Segment
from nst_lightning.settings import BatchSettings
from nst_lightning.store.job import Job


@dataclass(frozen=True)
class CaseSettings:
    """The settings of a case."""

    asked: BatchSettings
    """As they were given, for the records."""
    resolved: BatchSettings
    """With what each `auto` means on this device."""


@dataclass(frozen=True)
class Task:
    """One batch to make."""

    settings: CaseSettings
    jobs: Sequence[Job]
    cost: float
    """What it takes, in any unit: the largest is handed out first."""
    tries: int = 0
    """How often it was handed out before."""
    segment: Segment | None = None
    """Of a film, the frames to make; None: to put it together from its frames."""

    @property
    def is_film(self) -> bool:
        """Whether it is of a film, and has one job."""
        return self.jobs[0].pair.content.film is not None


@dataclass(frozen=True)
class RunOptions:
    """What all workers of a run are told."""

    out: Path
    """The output folder."""
    write_settings: bool = True
    """Leave a YAML file of the complete settings beside each result."""
    keep_memory: bool = False
    """See `keep_freed_memory`."""
    processes: int = 1
    """How many work together on each batch."""
    rank: int = 0
    """Which of them this is; the first one reports and writes for all."""
