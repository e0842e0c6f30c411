"""What `nst-batch evaluate` has measured, read back for the gallery. Imports no torch."""

import csv
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from nst_lightning.evaluation.columns import METRICS
from nst_lightning.layout import EVALUATION_TABLE
from nst_lightning.store.ledger import Record

Values = dict[str, float]
"""Column → number; what was not measured is not there."""


def read_evaluation(out: Path, records: Sequence[Record]) -> dict[str, Values]:
    """The numbers of OUT/evaluation.csv by result; {} where there is no such file.

    Those of a result that was made again since are left out.
    """
    finished = {record["output"]: str(record.get("finished") or "") for record in records}
    try:
        with (out / EVALUATION_TABLE).open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("output") in finished]
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    return {
        row["output"]: values(row) for row in rows if row.get("finished") == finished[row["output"]]
    }


def values(row: dict[str, str]) -> Values:
    """The numbers of a row."""
    found = {}
    for name in METRICS:
        with suppress(ValueError):
            number = float(row.get(name) or "nan")
            if math.isfinite(number):
                found[name] = number
    return found
