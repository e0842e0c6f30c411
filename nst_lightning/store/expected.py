"""What an output folder is to hold, for those who come later: `status`, and the last to finish."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError, model_validator

from nst_lightning.files import write_text
from nst_lightning.grid.pairs import Case, Grid
from nst_lightning.layout import EXPECTED, EXPECTED_BEFORE, is_mesh, short_hash
from nst_lightning.store.ledger import Ledger


class ExpectedGrid(BaseModel, frozen=True):
    """The results of a grid by its two sides, for there may be millions."""

    contents: list[str]
    styles: list[str]
    suffix: str = "png"

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, data: Any) -> Any:
        """Takes a list as well, as 0.1.0 wrote it."""
        return dict(zip(cls.model_fields, data)) if isinstance(data, list) else data  # noqa: B905

    def results(self) -> Iterator[str]:
        """Yields the results, relative to the output folder."""
        return (f"{one}/{style}.{self.suffix}" for one in self.contents for style in self.styles)


class ExpectedFiles(BaseModel, frozen=True):
    """Results that are no grid, each by name."""

    files: list[str]

    def results(self) -> Iterator[str]:
        """Yields the results, relative to the output folder."""
        return iter(self.files)


_CASES = TypeAdapter(list[ExpectedGrid | ExpectedFiles])


def write_expected(out: Path, cases: Sequence[Case], *, shared: bool = False) -> bool:
    """Notes every result that the cases ask for.

    Args:
        out: the output folder.
        cases: what is asked for.
        shared: whether others are at work there, whose lists stay.

    Returns:
        Whether that is something new.

    Raises:
        OSError: it cannot be written.
    """
    text = _CASES.dump_json([_expected(case) for case in cases]).decode()
    # Same lists have one file, so that those who share a folder need not take turns.
    path = out / EXPECTED / f"{short_hash(text)}.json"
    before = _lists(out)
    write_text(path, text)
    for other in [] if shared else before:
        if other != path:
            with suppress(OSError):
                other.unlink()
    return path not in before


def _expected(case: Case) -> ExpectedGrid | ExpectedFiles:
    if isinstance(case.pairs, Grid) and not any(is_mesh(one.path) for one in case.pairs.contents):
        contents, styles = (
            [source.name for source in side] for side in (case.pairs.contents, case.pairs.styles)
        )
        return ExpectedGrid(contents=contents, styles=styles, suffix=case.pairs.suffix)
    return ExpectedFiles(files=[pair.file for pair in case.pairs])


def read_expected(out: Path) -> Iterator[str]:
    """Returns every result that the last runs in a folder asked for, relative to the folder.

    Raises:
        FileNotFoundError: there is no such note, or none that can be read.
    """
    lists = []
    for path in _lists(out):
        with suppress(OSError, ValidationError):
            lists.append(_CASES.validate_json(path.read_bytes()))
    if not lists:
        raise FileNotFoundError(out / EXPECTED)
    every = itertools.chain.from_iterable(case.results() for cases in lists for case in cases)
    return every if len(lists) == 1 else iter(dict.fromkeys(every))


def _lists(out: Path) -> list[Path]:
    found = sorted((out / EXPECTED).glob("*.json"))
    return found or [path for name in EXPECTED_BEFORE if (path := out / name).exists()][:1]


def is_complete(out: Path, ledger: Ledger) -> bool:
    """Whether every result that is expected is done or has failed."""
    over = ledger.pick(lambda record: record.status in ("done", "failed"))
    return all(over.get(file, False) for file in read_expected(out))
