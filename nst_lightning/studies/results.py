"""What a study has made: its finished images and their curves. Imports no torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst_lightning.drawing.curves import draw_curves
from nst_lightning.drawing.loss_history import read_history
from nst_lightning.grid.pairs import Case, Pair
from nst_lightning.layout import HISTORY
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.records import Record


@dataclass(frozen=True)
class Result:
    """A finished image of a study."""

    labels: Mapping[str, str]
    pair: Pair
    path: Path
    record: Record
    max_pixels: int
    """The largest image that the study opens."""

    def loss(self, term: str) -> float | None:
        """Returns an unweighted term, or the weighted `total`; None where it had no weight."""
        if term == "total":
            return self.record.losses.get(term)
        return self.record.unweighted.get(term)


def find_finished(cases: Sequence[Case], out: Path) -> Iterator[Result]:
    """Yields the images of the cases that are done, in order."""
    records = Ledger(out).read()
    for case in cases:
        for pair in case.pairs:
            record = records.get(pair.file)
            if record and record.status == "done" and (out / pair.output).is_file():
                path, most = out / pair.output, case.settings.max_pixels
                yield Result(case.labels, pair, path, record, most)


def overlay_curves(results: Sequence[Result], out: Path, path: Path) -> list[Path]:
    """Draws the curves of all results that have a history, by their labels.

    Returns:
        The file; [] where no result has a history.
    """
    histories = {}
    for result in results:
        file = out / result.pair.extras / HISTORY
        if file.is_file():
            values = [v if axis == "case" else f"{axis} {v}" for axis, v in result.labels.items()]
            histories[", ".join(values)] = read_history(file)
    if not histories:
        return []
    draw_curves(path, histories, results[0].pair.label)
    return [path]
