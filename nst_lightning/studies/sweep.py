"""Sweeps: base settings and axes, multiplied into cases. Imports no torch."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Case, Pair, pair
from nst_lightning.layout import safe_name, short_hash
from nst_lightning.settings import BatchSettings, Scale, build, merge, read_yaml

Settings = Mapping[str, Any]
Axes = Mapping[str, Mapping[str, Settings]]
"""Axis → label → the settings that this label stands for."""

MOST_CASES = 1_000_000
"""Beyond it the list alone would take gigabytes and hours."""

KEYS = ("preset", "base", "axes", "cases", "contents", "styles")
CASE = "case"
"""The axis that `cases` of a sweep file make."""

LONGEST_FOLDER = 120  # characters of a case's folder


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says."""

    preset: str | None = None
    base: Settings = field(default_factory=dict)
    axes: Axes = field(default_factory=dict)
    contents: Path | None = None
    styles: Path | None = None


def read_sweep(path: Path) -> Sweep:
    """Reads a sweep file.

    `base` holds settings, `preset` names more beneath them. `axes` maps a setting to its values, or
    a free name to labels with settings; `cases` maps labels to settings and is one more axis. All
    axes are multiplied. `contents` and `styles` are folders or files, from the sweep file's place.

    Raises:
        UserError: unreadable, an unknown key, or an axis of another form.
    """
    data = read_yaml(path)
    unknown = [key for key in data if key not in KEYS]
    if unknown:
        raise UserError(
            f"{path}: there is no {unknown[0]!r} in a sweep; known are {', '.join(KEYS)}."
        )
    axes = {
        name: read_axis(name, values, path)
        for name, values in read_mapping(data, "axes", path).items()
    }
    if "cases" in data:
        axes[CASE] = read_axis(CASE, read_mapping(data, "cases", path), path)
    if not axes:
        raise UserError(f"{path}: holds neither axes nor cases, so there is nothing to sweep.")
    names = {key: read_name(data, key, path) for key in ("preset", "contents", "styles")}
    folders = {
        key: path.parent / at_home(names[key], path) if names[key] else None
        for key in ("contents", "styles")
    }
    return Sweep(names["preset"] or None, read_mapping(data, "base", path), axes, **folders)


def read_name(data: Settings, key: str, path: Path) -> str:
    """Returns the text under a key; "" where it is absent."""
    value = data.get(key) or ""
    if not isinstance(value, str):
        raise UserError(f"{path}: {key} should be one name, in quotes, not {value!r}.")
    return value


def at_home(name: str, path: Path) -> Path:
    """Returns a path, `~` at its beginning being the user's own folder."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: {name!r} is in the folder of nobody; name another.") from None


def read_mapping(data: Settings, key: str, path: Path) -> dict[str, Any]:
    """Returns the `name: value` lines under a key; none where it is absent."""
    value = data.get(key) or {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: {key} should hold `name: value` lines.")
    return {str(name): item for name, item in value.items()}


def read_axis(name: str, values: Any, path: Path) -> dict[str, Settings]:
    """Reads one axis: the values of a setting, or labels with settings."""
    known = {*BatchSettings.model_fields, *Scale.model_fields}
    if isinstance(values, list) and name in known:
        values = {format_label(value): value for value in values}
    if not isinstance(values, dict) or not values:
        raise UserError(
            f"{path}: the axis {name!r} should list values of a setting, or map labels to settings."
        )
    axis: dict[str, Settings] = {}
    for key, value in values.items():
        if name in known:
            axis[str(key)] = {name: value}
        elif value is None or isinstance(value, dict):
            axis[str(key)] = value or {}
        else:
            raise UserError(
                f"{path}: {key!r} of the axis {name!r} should hold settings, since {name!r} is not "
                "a setting itself."
            )
    return axis


def format_label(value: Any) -> str:
    """Returns a setting's value as a short text."""
    if isinstance(value, (list, tuple)):
        return "+".join(map(str, value))
    if isinstance(value, dict):
        return "+".join(f"{key}={format_label(weight)}" for key, weight in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def expand_axes(axes: Axes, *below: Settings) -> list[Case]:
    """Returns every combination of the axes as a case without pairs yet.

    Args:
        axes: at least one.
        below: settings beneath those of the axes; later wins.

    Raises:
        UserError: a combination that cannot be, and says which; or more of them than `MOST_CASES`.
    """
    count = math.prod(map(len, axes.values()))
    if count > MOST_CASES:
        raise UserError(
            f"the axes {', '.join(axes)} make {count} cases, more than {MOST_CASES}: take some of "
            "their values out, or make several sweeps."
        )
    cases = []
    for labels in itertools.product(*axes.values()):
        chosen = dict(zip(axes, labels, strict=True))
        parts = [axes[axis][name] for axis, name in chosen.items()]
        name = ", ".join(f"{axis} {value}" for axis, value in chosen.items())
        cases.append(Case(build(merge(*below, *parts), name), [], chosen))
    return cases


def name_folders(cases: Sequence[Case]) -> list[str]:
    """Returns a folder for each case: its labels, fit for any file system, all distinct."""
    names = [
        slug(
            next(iter(case.labels.values()))
            if len(case.labels) == 1
            else ",".join(f"{axis}={value}" for axis, value in case.labels.items())
        )
        for case in cases
    ]
    folded = [name.casefold() for name in names]
    return [
        safe_name(f"{name}-{short_hash(repr(case.labels))}")
        if folded.count(name.casefold()) > 1
        else name
        for name, case in zip(names, cases, strict=True)
    ]


def slug(text: str) -> str:
    """Returns a text as a file name: letters, digits and `._=+,-`, not too long, not hidden."""
    clean = re.sub(r"[^\w.=+,-]+", "-", text).strip("-.") or "case"
    if len(clean) > LONGEST_FOLDER:
        clean = f"{clean[: LONGEST_FOLDER - 9]}-{short_hash(clean)}"
    return safe_name(clean)


def add_pairs(cases: Sequence[Case], pairs: Sequence[Pair]) -> list[Case]:
    """Returns every case on every pair, each in the case's folder."""
    filled = []
    for case, folder in zip(cases, name_folders(cases), strict=True):
        own = [pair(one.content, one.style, case.settings.suffix) for one in pairs]
        filled.append(replace(case, pairs=[replace(p, file=f"{folder}/{p.file}") for p in own]))
    return filled


def dump_sweep(sweep: Sweep) -> str:
    """Returns a sweep as YAML that `nst-batch sweep` reads back."""

    def written(axis: str, settings: Settings) -> Any:
        return settings[axis] if set(settings) == {axis} else dict(settings)

    data = {
        **({"preset": sweep.preset} if sweep.preset else {}),
        "base": dict(sweep.base),
        "axes": {
            axis: {label: written(axis, settings) for label, settings in values.items()}
            for axis, values in sweep.axes.items()
        },
    }
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
