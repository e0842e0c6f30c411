"""history.csv: the losses of each step of one image. Imports no torch."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from nst_lightning.errors import UserError
from nst_lightning.files import write_text

TERMS = ("total", "content", "style", "tv")
COLUMNS = ("step", "seconds", *TERMS, "improvement")

Row = dict[str, float]
"""`step` from 1; `seconds` since the start; the weighted terms at the step's evaluation, of the
image it begins with; `improvement` of the total on the step before, in percent."""


def make_rows(seconds: Sequence[float], losses: Sequence[Sequence[float]]) -> list[Row]:
    """Returns rows from the time and the terms (in the order of TERMS) of each step."""
    history: list[Row] = []
    for step, (when, terms) in enumerate(zip(seconds, losses, strict=True), start=1):
        before = history[-1]["total"] if history else terms[0]
        gain = 100 * (before - terms[0]) / before if before else 0.0
        values = dict(zip(TERMS, terms, strict=True))
        history.append({"step": step, "seconds": when, **values, "improvement": gain})
    return history


def write_history(path: Path, history: Sequence[Row]) -> None:
    """Writes history.csv, atomically.

    Raises:
        OSError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in history:
        writer.writerow([int(row["step"]), *(f"{row[name]:.7g}" for name in COLUMNS[1:])])
    write_text(path, text.getvalue())


def read_history(path: Path) -> list[Row]:
    """Reads the rows of a history.csv.

    Raises:
        UserError: absent, or not a history.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{name: float(row[name]) for name in COLUMNS} for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a history ({error}).") from None
