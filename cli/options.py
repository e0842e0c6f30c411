"""Command-line options made from the settings, so that every knob has one source."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args

import typer
import yaml
from pydantic.fields import FieldInfo

from nst_lightning.errors import UserError
from nst_lightning.settings import BatchSettings, Scale, build, knob_of, merge, read_yaml
from nst_lightning.settings.presets import read_preset
from nst_lightning.settings.sizes import SHORT_FORM


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per setting, and hand it the validated `settings`.

    Later wins: defaults < preset < config file < options (`--set` among them). A command that asks
    for `given` instead gets what was said, not yet validated and without the defaults.
    """
    wanted = inspect.signature(command).parameters

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        preset, config = given.pop("preset"), given.pop("config")
        assignments = given.pop("assignments") or []
        names = [*BatchSettings.model_fields, *SHORT_FORM]
        options = {
            name: value for name in names if (value := given.pop(name, None)) is not None
        } | dict(assignment(text) for text in assignments)
        said = merge(
            read_preset(preset) if preset else {},
            read_yaml(config) if config else {},
            options,
        )
        settings = {"given": said} if "given" in wanted else {"settings": build(said)}
        command(**settings, **given)

    own = [p for p in wanted.values() if p.name not in ("settings", "given")]
    parameters = [
        *own,
        parameter("preset", str | None, "Settings by name; see `nst-batch presets`.", "NAME"),
        parameter("config", Path | None, "Settings from a YAML file.", "FILE"),
        inspect.Parameter(
            "assignments",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                list[str] | None,
                typer.Option("--set", help="Any setting by name.", metavar="KEY=VALUE"),
            ],
        ),
        *(from_field(name, Scale.model_fields[name]) for name in SHORT_FORM),
        *(from_field(name, field) for name, field in BatchSettings.model_fields.items()),
    ]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def parameter(name: str, kind: Any, text: str, metavar: str) -> inspect.Parameter:
    """A keyword option that is None where it is not given."""
    option = typer.Option("--" + name.replace("_", "-"), help=text, metavar=metavar)
    annotation = Annotated[kind, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def from_field(name: str, field: FieldInfo) -> inspect.Parameter:
    """A setting as an option; its value is checked by the settings model, not here."""
    text = " ".join((field.description or "").split())
    flag = "--" + name.replace("_", "-")
    panel = knob_of(field).panel
    if field.annotation is bool:
        option = typer.Option(f"{flag}/--no-{flag[2:]}", help=text, rich_help_panel=panel)
        kind: Any = bool | None
    else:
        default = show_default(field.default)
        option = typer.Option(
            flag,
            help=f"{text} \\[{default}]" if default else text,
            metavar=metavar(field),
            rich_help_panel=panel,
        )
        kind = str | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def metavar(field: FieldInfo) -> str:
    """What stands for the value in the help."""
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, (str, int))]
    if choices:
        return "|".join(map(str, choices))
    kinds = {field.annotation, *get_args(field.annotation)} - {NoneType}
    return {int: "N", float: "X"}.get(next(iter(kinds)), "VALUE") if len(kinds) == 1 else "VALUE"


def show_default(value: Any) -> str:
    """A default as one would type it."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ",".join(k if v == 1 else f"{k}={v:g}" for k, v in value.items())
    if isinstance(value, list):
        return ",".join(f"{v.size}:{v.steps}" if isinstance(v, Scale) else f"{v:g}" for v in value)
    return str(value)


def assignment(text: str) -> tuple[str, Any]:
    """`key=value` → (key, value), the value read as YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set takes KEY=VALUE, such as --set tv_weight=0.1, not {text!r}.")
    try:
        return key.strip().replace("-", "_"), yaml.safe_load(value)
    except yaml.YAMLError:
        return key.strip().replace("-", "_"), value
