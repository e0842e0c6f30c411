"""Reading values out of a glTF's JSON, any of which may be of another type than it should."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from nst_lightning.mesh.bad_mesh import BadMesh

Json = dict[str, Any]

_DEEPEST = 100
"""Levels of nesting that are read; files have about ten."""


def parse_json(data: bytes) -> Json:
    """Returns the JSON of a glTF.

    Raises:
        BadMesh: it is none, or nested too deeply.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        root = json.loads(data.decode("utf-8-sig"), parse_constant=refuse)
    except RecursionError:
        raise BadMesh("has JSON that is nested too deeply; export it anew.") from None
    except ValueError as error:
        raise BadMesh(f"has JSON that is damaged ({error}); get a whole copy of it.") from None
    if not isinstance(root, dict):
        raise BadMesh("is not a glTF: its JSON is no object.")
    level: list[Any] = [root]
    for _ in range(_DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return root
    raise BadMesh("has JSON that is nested too deeply; export it anew.")


def write_json(root: Json, like: bytes) -> bytes:
    """Returns JSON as UTF-8, indented as `like` is."""
    indented = re.match(rb"\s*\{\r?\n([ \t]+)", like)
    indent = indented[1].decode() if indented else None
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(root, ensure_ascii=False, indent=indent, separators=separators)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can say
        return json.dumps(root, indent=indent, separators=separators).encode()


def _inside(value: Any) -> list[Any]:
    """Returns the objects and lists in a value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [one for one in inner if isinstance(one, (dict, list))]


def objects_below(value: Any, key: str = "") -> Iterator[tuple[str, Json]]:
    """Yields all objects in a value, each with the key that it, or the list it is in, stands at."""
    waiting: list[tuple[str, Any]] = [(key, value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            yield key, value
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, one) for one in value if isinstance(one, (dict, list))]


def objects(parent: Json, key: str) -> list[Json]:
    """Returns a list of objects, empty where there is none.

    Raises:
        BadMesh: it is something else.
    """
    found = parent.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadMesh(f"has JSON whose {key!r} is no list of objects; export it anew.")
    return found


def entry(parent: Json, key: str, index: int) -> Json:
    """Returns one of a list of objects.

    Raises:
        BadMesh: there is no such one.
    """
    found = objects(parent, key)
    if not 0 <= index < len(found):
        raise BadMesh(f"names {key} {index}, and it has {len(found)}; export it anew.")
    return found[index]


def member(parent: Json, *keys: str) -> Json:
    """Returns the object at a path of keys, an empty one where there is none.

    Raises:
        BadMesh: something on the path is no object.
    """
    for key in keys:
        parent = parent.get(key, {})
        if not isinstance(parent, dict):
            raise BadMesh(f"has JSON whose {key!r} is no object; export it anew.")
    return parent


def whole(parent: Json, key: str, default: int | None = None) -> int:
    """Returns an integer that is not negative.

    Raises:
        BadMesh: it is something else, or missing and without a default.
    """
    found = parent.get(key, default)
    if isinstance(found, float) and found.is_integer():  # some exporters write 3.0
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**53:
        raise BadMesh(f"has JSON whose {key!r} is no number of 0 or more; export it anew.")
    return found


def wholes(parent: Json, key: str) -> list[int]:
    """Returns a list of integers that are not negative, empty where there is none.

    Raises:
        BadMesh: it is something else.
    """
    found = parent.get(key, [])
    if not isinstance(found, list):
        raise BadMesh(f"has JSON whose {key!r} is no list; export it anew.")
    return [whole({key: one}, key) for one in found]


def numbers(parent: Json, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Returns as many finite numbers as the default has.

    Raises:
        BadMesh: it is something else.
    """
    found = parent.get(key, default)
    if not isinstance(found, (list, tuple)) or len(found) != len(default):
        raise BadMesh(
            f"has JSON whose {key!r} is no list of {len(default)} numbers; export it anew."
        )
    return tuple(number({key: one}, key) for one in found)


def number(parent: Json, key: str, default: float = 0.0) -> float:
    """Returns a finite number.

    Raises:
        BadMesh: it is something else.
    """
    found = parent.get(key, default)
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        try:
            if math.isfinite(value := float(found)):
                return value
        except OverflowError:
            pass
    raise BadMesh(f"has JSON whose {key!r} is no finite number; export it anew.")


def text(parent: Json, key: str) -> str | None:
    """Returns a text; None where there is none.

    Raises:
        BadMesh: it is something else.
    """
    found = parent.get(key)
    if found is not None and not isinstance(found, str):
        raise BadMesh(f"has JSON whose {key!r} is no text; export it anew.")
    return found
