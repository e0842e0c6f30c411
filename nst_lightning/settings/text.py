"""Settings as text: YAML files read and written, sources merged, mistakes explained. Imports no
torch."""

import difflib
import errno
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from nst_lightning.errors import UserError
from nst_lightning.settings.sizes import Scale, is_number_of_scales, parse_scales

LONGEST_ECHO = 80
"""Characters of what was given that a message repeats."""


def echo(value: object) -> str:
    """Returns a value as a message repeats it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_ECHO else f"{text[: LONGEST_ECHO - 1]}…"


def explain(error: ValidationError, known: Iterable[str]) -> str:
    """Returns the first complaint of a ValidationError as one sentence; `known` are the names."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    name = place[0] if place else ""
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], list(known), n=1)
        hint = f": did you mean {near[0]!r}?" if near else "; `nst-batch grid --help` names all."
        return f"there is no setting {echo(place[-1])}{hint}"
    if name in ("batch_size", "first_step"):
        other = "auto" if name == "batch_size" else "torch"
        return f"{name} should be {other} or a number above 0, not {echo(first['input'])}."
    given = first["input"]
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message.replace(repr(given), echo(given))
    message = message[:1].lower() + message[1:]
    where = ".".join(part for part in place if not part.startswith(("function-", "constrained-")))
    where = re.sub(r"^scales\.\d+\.|\.\d+$", "", where)
    got = "" if isinstance(given, (dict, BaseModel)) else f", not {echo(given)}"
    if first["type"] == "value_error":
        got = ""
    return f"{where} {message}{got}." if where else f"{message}."


LONGEST_YAML = 2**20
"""Characters; the longest of our own files has some thousands."""

DEEPEST_YAML = 30
"""Mappings and lists inside one another."""


def load_yaml(text: str) -> Any:
    """Reads YAML that anybody may have written.

    Raises:
        yaml.YAMLError: it is none, too long or too deep, or an anchor holds an alias: so a few
            lines can stand for more than any memory holds.
    """
    if len(text) > LONGEST_YAML:
        raise yaml.YAMLError(f"it has more than {LONGEST_YAML} characters")
    try:
        _check_shape(text)
        return yaml.safe_load(text)
    except (ValueError, OverflowError, LookupError, AttributeError) as error:
        # PyYAML has none of its own for numbers, dates, flags and characters that are none.
        raise yaml.YAMLError(f"{error or 'a value'} does not fit its type") from None


def _check_shape(text: str) -> None:
    """Sees that YAML is not too deep, and that no anchor holds an alias."""
    anchored: list[bool] = []
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            anchored.append(event.anchor is not None)
            if len(anchored) > DEEPEST_YAML:
                raise yaml.YAMLError(f"it goes more than {DEEPEST_YAML} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchored.pop()
        elif isinstance(event, yaml.AliasEvent) and any(anchored):
            raise yaml.YAMLError(f"what the anchor holds has an alias in it, *{event.anchor}")


def read_text(path: Path, most: int) -> str:
    """Reads a file that a user names, in UTF-8.

    Raises:
        OSError: it cannot be read, is no file, or has more than `most` bytes.
        UnicodeDecodeError: it is not UTF-8.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "a pipe or a device, which may never end; name a file")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes")
    return data.decode("utf-8")


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads the settings of a YAML file, not yet validated.

    Raises:
        UserError: absent, unreadable, not YAML, or not a mapping.
    """
    try:
        data = load_yaml(read_text(path, 4 * LONGEST_YAML))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such settings file.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read as a settings file ({reason}).") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).replace('in "<unicode string>", ', "").split())
        raise UserError(f"{path}: is not valid YAML: {reason}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise UserError(f"{path}: should hold settings as `name: value` lines.")
    return {str(key): value for key, value in data.items()}


def dump_yaml(settings: BaseModel) -> str:
    """Writes complete settings as YAML that `--config` reads back."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class _Scales(BaseModel):
    scales: Annotated[list[Scale], BeforeValidator(parse_scales), Field(min_length=1)]


def check_scales(value: Any) -> list[Scale]:
    """Reads a list of scales.

    Raises:
        UserError: it is none.
    """
    try:
        return _Scales(scales=value).scales
    except ValidationError as error:
        raise UserError(explain(error, ())) from None


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merges settings from several sources; later wins.

    A list of scales replaces earlier sizes and steps. A `size` or `steps`, or a number of scales,
    over an earlier list replaces it: the steps default to their sum, the size to that of the last,
    and the number of scales to 1, so that a published setting stays what it is at another size.

    Raises:
        UserError: the earlier list is none.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        before = merged.get("scales", "auto")
        if "scales" in layer and not is_number_of_scales(layer["scales"]):
            merged = {k: v for k, v in merged.items() if k not in ("size", "steps")}
        elif {"size", "steps", "scales"} & set(layer) and not is_number_of_scales(before):
            earlier = check_scales(before)
            merged["size"] = earlier[-1].size
            merged["steps"] = sum(scale.steps for scale in earlier)
            merged["scales"] = 1
        merged.update(layer)
    return merged


def finite(value: float) -> float | None:
    """Returns a number as JSON can hold it: None where it is infinite or not a number."""
    return value if math.isfinite(value) else None
