"""The progress of a run, drawn: a live display on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from nst_lightning.run.display import LOOK_SECONDS, Display, Losses, Silent
from nst_lightning.store.records import Record

from .wording import duration


def describe(record: Record) -> str:
    """Returns a pair that is done or has failed as one line."""
    if record.status != "done":
        return f"{record.stem}: failed: {record.reason}"
    fallen = f" (float32 from step {record.float32_from})" if record.float32_from else ""
    return (
        f"{record.stem}: loss {record.total_loss:.4g}, {record.steps} steps{fallen}, "
        f"{record.seconds:.1f} s"
    )


class Lines:
    """One plain line per pair, and one with the losses every `every` steps in between."""

    def __init__(self, every: int) -> None:
        self.every = every

    def start(self, pairs: int, skipped: int, work: int) -> None:
        self.pairs, self.count = pairs, 0
        self.begun = time.monotonic()
        self.work, self.worked, self.made = work, 0, 0
        self.now: dict[int, tuple[Sequence[str], int, Mapping[str, float]]] = {}
        self.at: dict[int, int] = {}
        if skipped:
            self.say(f"{skipped} done before, {pairs} to make")

    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None:
        self.now[worker] = (names, steps, weights)
        self.at[worker] = 0

    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None:
        self.worked += pairs * (step - self.at[worker])  # more than one where an image goes on
        self.made += pairs
        self.at[worker] = step
        names, steps, weights = self.now[worker]
        if step % self.every == 0 and step < steps:
            left = (self.work - self.worked) * (time.monotonic() - self.begun) / self.made
            self.say(
                f"{', '.join(names)}: step {step}/{steps}, "
                f"{spell(losses(), weights)}, about {duration(left)} left in all"
            )

    def part(self, share: float, worker: int = 0) -> None:
        pass

    def finished(self, record: Record) -> None:
        self.count += 1
        self.say(f"[{self.count}/{self.pairs}] {describe(record)}")

    def note(self, text: str) -> None:
        self.say(text)

    def stop(self) -> None:
        pass

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Live:
    """A bar of all steps with the time left, and one of each worker's batch; below them the losses
    of the batch last heard of."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}", table_column=Column(ratio=2, no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            expand=True,
        )
        self.losses = Text(no_wrap=True, overflow="ellipsis")
        self.live = RichLive(
            Group(self.progress, self.losses), console=Console(stderr=True), transient=True
        )
        self.read: dict[int, float] = {}
        self.now: dict[int, TaskID] = {}
        self.at: dict[int, int] = {}
        self.weights: dict[int, Mapping[str, float]] = {}

    def start(self, pairs: int, skipped: int, work: int) -> None:
        self.pairs, self.count = pairs, 0
        name = "all steps" + (f", {skipped} done before" if skipped else "")
        self.all = self.progress.add_task(name, total=work, note=f"0/{pairs} done")
        self.live.start()

    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None:
        self.weights[worker] = weights
        self.at[worker] = 0
        if worker not in self.now:
            self.now[worker] = self.progress.add_task("", total=steps, note="")
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        self.losses.plain = ""
        self.progress.reset(
            self.now[worker], total=steps, description=escape(names[0]) + more, note=""
        )

    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None:
        self.progress.update(self.all, advance=pairs * (step - self.at[worker]))
        self.at[worker] = step
        if time.monotonic() - self.read.get(worker, 0.0) >= LOOK_SECONDS:
            self.progress.update(self.now[worker], completed=step, note="")
            self.losses.plain = spell(losses(), self.weights[worker])
            self.read[worker] = time.monotonic()

    def part(self, share: float, worker: int = 0) -> None:
        if time.monotonic() - self.read.get(worker, 0.0) >= LOOK_SECONDS:
            self.progress.update(self.now[worker], note=f"{share:.0%} of the next")
            self.read[worker] = time.monotonic()

    def finished(self, record: Record) -> None:
        self.count += 1
        self.progress.update(self.all, note=f"{self.count}/{self.pairs} done")
        self.live.console.print(describe(record), markup=False, highlight=False)

    def note(self, text: str) -> None:
        self.live.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        self.live.stop()


def spell(losses: Mapping[str, float], weights: Mapping[str, float]) -> str:
    """Returns the total and its terms, each as weight × unweighted loss."""
    terms = [
        f"{name} {weight:g} × {losses[name] / weight:.4g}"
        for name, weight in weights.items()
        if weight > 0 and name in losses
    ]
    return f"loss {losses['total']:.4g} = {' + '.join(terms)}"


def choose_display(quiet: bool, log_every: int) -> Display:
    """Returns a live display on a terminal, lines elsewhere, nothing where it is to be quiet."""
    if quiet:
        return Silent()
    return Live() if sys.stderr.isatty() else Lines(log_every)
