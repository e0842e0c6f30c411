"""What the gallery's page knows of a results folder, as plain data. Imports no torch."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst_lightning.drawing.thumbnails import Size
from nst_lightning.evaluation.columns import GRAM, STYLE_LAYERS, SUMMARY, WASSERSTEIN, layer_columns
from nst_lightning.grid.labels import as_text, short_labels
from nst_lightning.layout import image_of, is_extra, is_film, own_folder, settings_beside
from nst_lightning.report.page import make_link
from nst_lightning.report.zoom import has_zoom_page
from nst_lightning.store.records import Record

ROLES = ("content", "style")
_FIRST_LOSSES = ("total", "content", "style", "tv")


@dataclass
class Axis:
    """Something in which results differ: their content, their style, or a key of their `case`."""

    name: str
    values: list[str] = field(default_factory=list)
    """As recorded, in the order in which they are shown."""

    labels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class InputCopies:
    """The copies of an input: sizes, None where there is no copy."""

    name: str
    """File name of both copies, without their folder."""

    thumbnail: Size | None
    view: Size | None
    original: bool
    """Whether the input itself is where it was."""


def gallery_data(
    out: Path,
    records: Sequence[Record],
    thumbnail: Callable[[Record], Size | None],
    source: Callable[[str], InputCopies],
    evaluation: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Returns everything that the page shows, ready for JSON.

    Args:
        out: the results folder, which is looked through for the files beside the results.
        records: its manifest's.
        thumbnail: the size of a result's thumbnail; None where there is none.
        source: the copies of an input, by its path as recorded.
        evaluation: what was measured, by output and column.

    Returns:
        `axes` with their values and, for content and style, their images; `rows` and `columns`,
        the axes shown first (-1: none); `losses`, the names; `metrics`, what was measured, and
        `layers`, of those that were measured layer by layer; `settings` (`common` to all, names of
        `differing` ones, and their values in each of `variants`); `results`.
    """
    axes = find_axes(records)
    places = [{value: i for i, value in enumerate(axis.values)} for axis in axes]
    losses = loss_names(records)
    common, differing, variants, chosen = tabulate_settings(records)
    rows, columns = choose_axes(axes)
    measured = evaluation or {}
    metrics = metric_names(measured)
    return {
        "axes": [describe_axis(axis, source) for axis in axes],
        "rows": rows,
        "columns": columns,
        "losses": losses,
        "metrics": [SUMMARY[name]._asdict() | {"name": name} for name in metrics],
        "layers": STYLE_LAYERS,
        "settings": {"common": common, "differing": differing, "variants": variants},
        "results": [
            describe_result(out, record, thumbnail(record), losses)
            | {
                "at": [
                    place[read_value(axis.name, record)]
                    for axis, place in zip(axes, places, strict=True)
                ],
                "settings": variant,
            }
            | describe_metrics(measured.get(record.output), metrics)
            for record, variant in zip(records, chosen, strict=True)
        ],
    }


def find_axes(records: Sequence[Record]) -> list[Axis]:
    """Returns content, style, then the keys of the records' `case` in order of their appearance.

    Where every content is its own style, as in reconstruction, there is no axis for the style.
    """
    keys = dict.fromkeys(key for record in records for key in record.case)
    alone = all(read_value("content", record) == read_value("style", record) for record in records)
    roles = ROLES[:1] if alone else ROLES
    axes = [Axis(role) for role in roles] + [Axis(f"case:{key}") for key in keys]
    for axis in axes:
        found = list(dict.fromkeys(read_value(axis.name, record) for record in records))
        if axis.name in ROLES:
            labels = short_labels(found)
        else:
            labels = {value: value or "–" for value in found}
        axis.values = sorted(found, key=sorting_key([labels[value] for value in found], labels))
        axis.labels = [labels[value] for value in axis.values]
    return axes


def read_value(name: str, record: Record) -> str:
    """Returns a record's value on an axis; "" where it has none."""
    if name in ROLES:
        return record.content if name == "content" else record.style
    return record.case.get(name.removeprefix("case:"), "")


def sorting_key(labels: Sequence[str], label_of: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns a key that sorts values as numbers where all are, else by name and number."""

    def as_number(value: str) -> float:
        return float(label_of[value])

    def natural(value: str) -> list[tuple[bool, int, str]]:
        parts = re.findall(r"[0-9]+|[^0-9]+", label_of[value].casefold())
        number = [part[0] in "0123456789" for part in parts]  # isdigit takes ² too; int does not
        return [
            (not is_one, int(part) if is_one else 0, part)
            for part, is_one in zip(parts, number, strict=True)
        ]

    try:
        if not any(math.isnan(float(label)) for label in labels):
            return as_number
    except ValueError:
        pass
    return natural


def choose_axes(axes: Sequence[Axis]) -> tuple[int, int]:
    """Returns the axes that are rows and columns when the page opens; -1 for none."""
    varying = [i for i, axis in enumerate(axes) if len(axis.values) > 1]
    swept = [i for i in varying if axes[i].name not in ROLES]
    inputs = [i for i in varying if axes[i].name in ROLES]
    if not swept:
        return 0, 1 if len(axes) > 1 and axes[1].name in ROLES else -1
    if len(swept) > 1:
        return swept[0], swept[1]
    return (inputs[0], swept[0]) if inputs else (swept[0], -1)


def describe_axis(axis: Axis, source: Callable[[str], InputCopies]) -> dict[str, Any]:
    """Returns an axis for the page; that of content or style with its images."""
    data: dict[str, Any] = {
        "name": axis.name.removeprefix("case:"),
        "swept": axis.name not in ROLES,
        "values": axis.labels,
    }
    if axis.name in ROLES:
        data["images"] = [describe_input(value, source(value)) for value in axis.values]
    return data


def describe_input(path: str, source: InputCopies) -> dict[str, Any]:
    """Returns an input for the page."""
    return {
        "path": path,
        "href": make_link(path) if source.original else None,
        "film": is_film(Path(path)),
        "copy": source.name,
        "thumb": source.thumbnail,
        "view": source.view,
    }


def describe_result(
    out: Path, record: Record, thumbnail: Size | None, losses: Sequence[str]
) -> dict[str, Any]:
    """Returns a result for the page, without its place and settings."""
    result = out / record.output
    there = result.is_file()
    if not record.has_result:
        state, reason = "failed", record.reason or "no reason was recorded"
    elif not there:
        state, reason = "missing", "its file is no longer in the folder"
    elif thumbnail is None:
        state, reason = "missing", "its file cannot be read"
    else:
        state, reason = "done", ""
    width, height = record.resolved.width, record.resolved.height
    return {
        "href": make_link(record.output),
        "shown": make_link(image_of(Path(record.output)).as_posix()),
        "film": is_film(result),
        "state": state,
        "reason": reason,
        "thumb": thumbnail if state == "done" else None,
        "size": [width, height] if width and height else None,
        "losses": [finite_number(record.losses.get(name)) for name in losses],
        "unweighted": [finite_number(record.unweighted.get(name)) for name in losses],
        "steps": finite_number(record.steps or None),
        "seconds": finite_number(record.seconds) if record.status == "done" else None,
        "device": record.device,
        "files": list_extras(own_folder(result)),
        "yaml": settings_beside(result).is_file(),
        "zoom": state == "done" and has_zoom_page(out, record),
    }


def list_extras(folder: Path) -> list[str]:
    """Returns the files of a result's own folder that the page shows or links, in order."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if is_extra(entry.name))
    except OSError:
        return []


def loss_names(records: Sequence[Record]) -> list[str]:
    """Returns every loss that is recorded, the total first."""
    found = dict.fromkeys(name for record in records for name in record.losses)
    return [name for name in _FIRST_LOSSES if name in found] + [
        name for name in found if name not in _FIRST_LOSSES
    ]


def metric_names(measured: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Returns the summary columns that any result has."""
    return [name for name in SUMMARY if any(name in values for values in measured.values())]


def describe_metrics(values: Mapping[str, float] | None, metrics: Sequence[str]) -> dict[str, Any]:
    """Returns what was measured of a result, if anything: a number for each metric and layer."""
    if not values:
        return {}
    return {
        "metrics": [finite_number(values.get(name)) for name in metrics],
        "layers": {
            SUMMARY[name].label: [
                finite_number(values.get(column)) for column in layer_columns(name).values()
            ]
            for name in (GRAM, WASSERSTEIN)
        },
    }


def tabulate_settings(
    records: Sequence[Record],
) -> tuple[dict[str, str], list[str], list[list[str]], list[int]]:
    """Returns the settings of all records, each said once.

    Returns:
        Settings that are the same everywhere; names of the others; their values in each distinct
        combination; which combination each record has.
    """
    texts = [
        {name: as_text(value) for name, value in record.settings.items()} for record in records
    ]
    names = list(dict.fromkeys(name for text in texts for name in text))
    different = [name for name in names if len({text.get(name) for text in texts}) > 1]
    common = {name: texts[0][name] for name in names if name not in set(different)}
    variants: dict[tuple[str, ...], int] = {}
    chosen = []
    for text in texts:
        key = tuple(text.get(name, "") for name in different)
        chosen.append(variants.setdefault(key, len(variants)))
    return common, different, [list(key) for key in variants], chosen


def finite_number(value: float | None) -> float | None:
    """Returns a finite number in six digits; None for others, which JSON cannot hold."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
