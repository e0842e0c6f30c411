"""evaluation.csv, and its means. Imports no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from nst_lightning.evaluation.columns import METRICS, SUMMARY
from nst_lightning.evaluation.subject import Subject
from nst_lightning.layout import EVALUATION_TABLE
from nst_lightning.studies.results import write_table

Values = Mapping[str, float]


def write_evaluation(
    out: Path, subjects: Sequence[Subject], values: Sequence[Values], yardstick: str
) -> Path:
    """Writes OUT/evaluation.csv, atomically: a row per result, empty where nothing was measured.

    Raises:
        OSError: it cannot be written.
    """
    rows = [
        {
            **subject.case,
            **subject.names,
            **{name: mine.get(name) for name in METRICS},
            "output": subject.output,
            "finished": subject.finished,
            "yardstick": yardstick,
        }
        for subject, mine in zip(subjects, values, strict=True)
    ]
    write_table(out / EVALUATION_TABLE, rows)
    return out / EVALUATION_TABLE


def means(subjects: Sequence[Subject], values: Sequence[Values]) -> list[dict[str, Any]]:
    """The means of each case of a sweep, or of the whole folder.

    Returns:
        For each `case` (axis → what it is there; {} in a grid), in order: `results`, the number of
        those that were measured, and each summary column's mean over those that have it, else None.
    """
    groups: dict[tuple[tuple[str, str], ...], list[Values]] = {}
    for subject, mine in zip(subjects, values, strict=True):
        groups.setdefault(tuple(subject.case.items()), []).append(mine)
    return [
        {"case": dict(case), "results": sum(map(bool, group))}
        | {name: mean([mine[name] for mine in group if name in mine]) for name in SUMMARY}
        for case, group in groups.items()
    ]


def mean(numbers: Sequence[float]) -> float | None:
    """None of nothing."""
    return fmean(numbers) if numbers else None


def lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Means as a table for people, without the columns that nothing has."""
    shown = [name for name in SUMMARY if any(row[name] is not None for row in found)]
    axes = list(found[0]["case"]) if found else []
    table = [[*axes, "results", *(SUMMARY[name].label for name in shown)]]
    for row in found:
        numbers = ["" if row[name] is None else f"{row[name]:.4g}" for name in shown]
        table.append([*(row["case"][axis] for axis in axes), str(row["results"]), *numbers])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < len(axes) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
