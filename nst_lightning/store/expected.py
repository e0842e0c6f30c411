"""What an output folder is to hold, for those who come later: `status`, and the last to finish."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nst_lightning.files import write_text
from nst_lightning.grid.pairs import Case, Grid
from nst_lightning.layout import EXPECTED
from nst_lightning.store.ledger import Ledger


def write_wanted(out: Path, cases: Sequence[Case]) -> bool:
    """Note every result that the cases ask for; a grid as its two sides, for it may have millions.

    Returns:
        Whether that is something new.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps([_sides(case) for case in cases], ensure_ascii=False)
    path = out / EXPECTED
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def _sides(case: Case) -> Any:
    if isinstance(case.pairs, Grid):
        sides = [
            [source.name for source in side] for side in (case.pairs.contents, case.pairs.styles)
        ]
        return [*sides, case.pairs.suffix]
    return {"files": [pair.file for pair in case.pairs]}


def read_wanted(out: Path) -> Iterator[str]:
    """Every result that the last run in a folder asked for, relative to the folder.

    Raises:
        OSError, ValueError: there is no such note, or it is damaged.
    """
    noted = json.loads((out / EXPECTED).read_text(encoding="utf-8"))
    return itertools.chain.from_iterable(map(_files, noted))


def _files(case: Any) -> Iterator[str]:
    if isinstance(case, dict):
        return iter(case["files"])
    contents, styles, *rest = case
    suffix = rest[0] if rest else "png"  # as notes of before there was a choice mean
    return (f"{content}/{style}.{suffix}" for content in contents for style in styles)


def is_complete(out: Path, ledger: Ledger) -> bool:
    """Whether every pair that is wanted is done or has failed."""
    over = ledger.pick(lambda record: record.status in ("done", "failed"))
    return all(over.get(file, False) for file in read_wanted(out))
