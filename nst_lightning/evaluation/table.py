"""evaluation.csv: written, read back, and its means. Imports no torch."""

import csv
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from nst_lightning.drawing.csv_tables import write_table
from nst_lightning.evaluation.columns import FILM_METRICS, METRICS, SUMMARY
from nst_lightning.evaluation.subject import Subject
from nst_lightning.layout import EVALUATION_TABLE
from nst_lightning.store.records import Record

Values = dict[str, float]
"""Column → number; what was not measured is not there."""


def write_evaluation(
    out: Path, subjects: Sequence[Subject], values: Sequence[Values], extractor: str
) -> Path:
    """Writes OUT/evaluation.csv, atomically: a row per result, empty where nothing was measured.

    Args:
        out: the output folder.
        subjects: results, in the order of the rows.
        values: of each.
        extractor: name of the network that measured them.

    Raises:
        OSError: it cannot be written.
    """
    rows = [
        {
            **subject.case,
            **subject.names,
            **{name: numbers.get(name) for name in METRICS},
            "output": subject.output,
            "finished": subject.finished,
            "inputs": subject.inputs,
            "feature_extractor": extractor,
        }
        for subject, numbers in zip(subjects, values, strict=True)
    ]
    write_table(out / EVALUATION_TABLE, rows)
    return out / EVALUATION_TABLE


def read_evaluation(out: Path, records: Sequence[Record]) -> dict[str, Values]:
    """Returns the numbers of OUT/evaluation.csv by result; {} where there is no such file.

    Those of a result that was made again since are left out.
    """
    finished = {record.output: record.finished for record in records}
    return {
        row["output"]: parse_values(row)
        for row in read_rows(out)
        if row.get("finished") == finished.get(row["output"])
    }


def read_current(
    out: Path, subjects: Sequence[Subject], extractor: str, lpips: bool
) -> dict[str, Values]:
    """Returns the rows of OUT/evaluation.csv that measuring again would not change, by result.

    A row stays where its result and all files it was measured against are the same, the same
    network measured it, and nothing is empty that can be measured. So what could not be read is
    tried, and named, again.

    Args:
        out: the output folder.
        subjects: results as they are now.
        extractor: name of the network that would measure them.
        lpips: whether LPIPS would be measured too.
    """
    rows = {row["output"]: row for row in read_rows(out)}
    current = {}
    for subject in subjects:
        row = rows.get(subject.output, {})
        state = (row.get("finished"), row.get("inputs"), row.get("feature_extractor"))
        if state == (subject.finished, subject.inputs, extractor):
            values = parse_values(row)
            if values.keys() >= measurable(subject, lpips):
                current[subject.output] = values
    return current


def measurable(subject: Subject, lpips: bool) -> set[str]:
    """Returns the columns that are filled where every file of a result can be used. A film may have
    no joins, nothing revealed and nothing that stands still."""
    absent = {"lpips"} if not lpips else set()
    absent |= set(FILM_METRICS)
    if subject.film:
        absent.remove("luma_drift")
    if not subject.identity:
        absent.add("identity_psnr")
    return set(METRICS) - absent


def read_rows(out: Path) -> list[dict[str, str]]:
    """Returns the rows of OUT/evaluation.csv; [] where there is no such file, or another."""
    try:
        with (out / EVALUATION_TABLE).open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if row.get("output")]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def parse_values(row: Mapping[str, str]) -> Values:
    """Returns the numbers of a row."""
    found = {}
    for name in METRICS:
        with suppress(ValueError):
            number = float(row.get(name) or "nan")
            if math.isfinite(number):
                found[name] = number
    return found


def means(subjects: Sequence[Subject], values: Sequence[Values]) -> list[dict[str, Any]]:
    """Returns the means of each case of a sweep, or of the whole folder.

    Returns:
        For each `case` (axis → what it is there; {} in a grid), in order: `results`, the number of
        those that were measured, and each summary column's mean over those that have it, else None.
    """
    groups: dict[tuple[tuple[str, str], ...], list[Values]] = {}
    for subject, numbers in zip(subjects, values, strict=True):
        groups.setdefault(tuple(subject.case.items()), []).append(numbers)
    return [
        {"case": dict(case), "results": sum(map(bool, group))}
        | {name: mean([numbers[name] for numbers in group if name in numbers]) for name in SUMMARY}
        for case, group in groups.items()
    ]


def mean(numbers: Sequence[float]) -> float | None:
    """Returns the mean; None of nothing."""
    return fmean(numbers) if numbers else None


def format_means(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns means as a table for people, without the columns that nothing has."""
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
