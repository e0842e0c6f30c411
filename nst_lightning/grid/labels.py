"""Short names of images, settings and cases for people. Imports no torch."""

import posixpath
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any


def short_labels(paths: Sequence[str]) -> dict[str, str]:
    """Returns the shortest ends of paths that tell them apart: `cat`; `cat.jpg`; `holiday/cat`."""
    labels: dict[str, str] = {}
    deepest = max((len(PurePosixPath(path).parts) for path in paths), default=0)
    for depth in range(1, deepest + 1):
        for shorten in (lambda path: posixpath.splitext(path)[0], str):
            ends = {p: shorten("/".join(PurePosixPath(p).parts[-depth:])) for p in paths}
            count = Counter(ends.values())
            labels = {p: end for p, end in ends.items() if count[end] == 1} | labels
    return {path: labels.get(path) or path or "–" for path in paths}


def as_text(value: Any) -> str:
    """Returns a setting as it is typed on the command line, or nearly."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        if {"size", "steps"} <= value.keys():
            return f"{value['size']}:{value['steps']}"
        return ",".join(
            str(k) if v == 1 and v is not True else f"{k}={as_text(v)}" for k, v in value.items()
        )
    if isinstance(value, (list, tuple)):
        return ",".join(map(as_text, value))
    return str(value)
