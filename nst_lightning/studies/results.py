"""What a study has made: its finished pictures, and tables of numbers. Imports no torch."""

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
    """A finished picture of a study."""

    labels: Mapping[str, str]
    pair: Pair
    path: Path
    record: Record

    def loss(self, term: str) -> float | None:
        """An unweighted term, or the weighted `total`; None where it had no weight."""
        if term == "total":
            return self.record.losses.get(term)
        return self.record.unweighted.get(term)


def finished(cases: Sequence[Case], out: Path) -> Iterator[Result]:
    """The pictures of the cases that are done, in order."""
    records = Ledger(out).read()
    for case in cases:
        for pair in case.pairs:
            record = records.get(pair.file)
            if record and record.status == "done" and (out / pair.output).is_file():
                yield Result(case.labels, pair, out / pair.output, record)


def overlay(results: Sequence[Result], out: Path, path: Path) -> list[Path]:
    """curves.png of all results that have a history, by their labels; [] where none has."""
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
