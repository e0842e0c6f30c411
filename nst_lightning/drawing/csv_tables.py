"""Tables of numbers as CSV files. Imports no torch."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_lightning.files import write_text


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV, atomically; numbers with six digits, nothing for None.

    Raises:
        OSError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: six_digits(value) for key, value in row.items()})
    write_text(path, text.getvalue())


def six_digits(value: Any) -> Any:
    """Returns a number as text with six digits, anything else as it is."""
    return f"{value:.6g}" if isinstance(value, float) else value
