"""Command-line options made from the settings, so that every knob has one source."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_args, get_origin

import typer
import yaml
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperGroup

from nst_lightning.errors import UserError
from nst_lightning.settings import BatchSettings, Scale, build, knob_of, merge, read_yaml
from nst_lightning.settings.knob import PANELS
from nst_lightning.settings.presets import read_preset
from nst_lightning.settings.sizes import SHORT_FORM
from nst_lightning.settings.text import load_yaml

Command = Callable[..., None]

Preset = Annotated[
    str | None, typer.Option(metavar="NAME", help="Settings by name; see `nst-batch presets`.")
]
Config = Annotated[Path | None, typer.Option(metavar="FILE", help="Settings from a YAML file.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting by name.")
]

EPILOG = "Every switch of a setting has its opposite, such as --no-bounds. Later wins: defaults, "
EPILOG += "--preset, --config, options."


class HelpPage:
    """A help page that shows `--bounds` without `--no-bounds` or a type beside it."""

    shows_page = False

    def get_params(self, ctx: Any) -> Any:
        """Returns the parameters, on the help page each switch as one flag without a value."""
        params = super().get_params(ctx)  # type: ignore[misc]
        return [one_flag(param) for param in params] if self.shows_page else params

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help page, whose columns stay narrow."""
        page = copy(self)
        page.shows_page = True
        super(HelpPage, page).format_help(ctx, formatter)  # type: ignore[misc]


class PageCommand(HelpPage, TyperCommand):
    """A command with such a help page."""


class PageGroup(HelpPage, TyperGroup):
    """A group of commands with such a help page."""


def one_flag(param: Any) -> Any:
    """Returns a copy of a parameter as the help page shows it."""
    param = copy(param)
    param.secondary_opts = []
    if getattr(param, "is_flag", False):
        param.metavar = " "
    return param


def settings_options(
    defaults: Mapping[str, Any] = MappingProxyType({}), *, apart: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Gives a command one option for each setting, and passes it the validated `settings`.

    Later wins: defaults < preset < config file < options (`--set` among them). A command that asks
    for `given` instead gets what was said, not yet validated and without the defaults. A parameter
    whose type is a dataclass becomes one option for each of its fields.

    Args:
        defaults: of the command itself, where they are not those of the settings; for the help.
        apart: the settings of a preset that do not go with the command, and are left out.
    """

    def decorate(command: Command) -> Command:
        asked = inspect.signature(command).parameters
        bundles: dict[str, Any] = {
            name: p.annotation for name, p in asked.items() if is_dataclass(p.annotation)
        }

        @functools.wraps(command)
        def wrapper(**given: Any) -> None:
            for name, bundle in bundles.items():
                values = {field.name: given.pop(field.name) for field in fields(bundle)}
                given[name] = bundle(**values)
            said = read_options(given, apart)
            if "given" in asked:
                command(given=said, **given)
            else:
                command(settings=build(said), **given)

        own = [p for p in asked.values() if p.name not in ("settings", "given", *bundles)]
        settings = {name: Scale.model_fields[name] for name in SHORT_FORM}
        settings |= BatchSettings.model_fields
        parameters = [
            *(option(p.name, p.annotation, p.default) for p in own),
            option("preset", Preset),
            option("config", Config),
            option("assignments", Assignments),
            *(option(f.name, f.type, f.default) for b in bundles.values() for f in fields(b)),
            *(from_field(name, field, defaults) for name, field in settings.items()),
        ]
        parameters.sort(key=panel_order)
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def read_options(given: dict[str, Any], apart: Collection[str] = ()) -> dict[str, Any]:
    """Takes the settings out of what the command line said, and returns them merged, without those
    of a preset that are `apart`."""
    preset, config = given.pop("preset"), given.pop("config")
    assignments = given.pop("assignments") or []
    names = [*BatchSettings.model_fields, *SHORT_FORM]
    options = {name: value for name in names if (value := given.pop(name, None)) is not None}
    known = read_preset(preset) if preset else {}
    return merge(
        {name: value for name, value in known.items() if name not in apart},
        read_yaml(config) if config else {},
        options | dict(assignment(text) for text in assignments),
    )


def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """Returns a keyword parameter."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def panel_order(parameter: inspect.Parameter) -> int:
    """Returns where the help shows a parameter: first what is of no subject, then by subject."""
    panel = getattr(parameter.annotation.__metadata__[0], "rich_help_panel", None)
    if panel is None:
        return -1
    return PANELS.index(panel) if panel in PANELS else len(PANELS)


def from_field(name: str, field: FieldInfo, defaults: Mapping[str, Any]) -> inspect.Parameter:
    """Returns a setting as an option; its value is checked by the settings model, not here."""
    flag = "--" + name.replace("_", "-")
    panel = knob_of(field).panel
    own = BatchSettings.usual_scales if name == "scales" else field.default
    text = " ".join((field.description or "").split())
    said = [choice for choice in choices(field) if choice not in text]
    notes = [", ".join(choices(field))] if said else []
    if default := show_default(defaults.get(name, own)):
        notes.append(f"default: {default}")
    text += f" \\[{'; '.join(notes)}]" if notes else ""
    if field.annotation is bool:
        switch = typer.Option(f"{flag}/--no-{flag[2:]}", help=text, rich_help_panel=panel)
        return option(name, Annotated[bool | None, switch])
    value = typer.Option(flag, help=text, metavar=metavar(field), rich_help_panel=panel)
    return option(name, Annotated[str | None, value])


def choices(field: FieldInfo) -> list[str]:
    """Returns what a setting can be, where that is one of a few."""
    return [str(one) for one in get_args(field.annotation) if isinstance(one, (str, int))]


def metavar(field: FieldInfo) -> str:
    """Returns what stands for the value in the help."""
    if get_origin(field.annotation) is dict:
        return "LAYERS"
    names: dict[Any, str] = {int: "N", float: "X"}
    few = choices(field) and not choices(field)[0].isdigit()
    return "NAME" if few else names.get(field.annotation, "VALUE")


def show_default(value: Any) -> str:
    """Returns a default as one would type it; nothing for None, an empty list and off."""
    if value is True:
        return "on"
    if isinstance(value, dict):
        return ", ".join(k if v == 1 else f"{k}={v:g}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(f"{v:g}" for v in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None or value is False else str(value)


def assignment(text: str) -> tuple[str, Any]:
    """Returns `key=value` as (key, value), the value read as YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set takes KEY=VALUE, such as --set tv_weight=0.1, not {text!r}.")
    try:
        return key.strip().replace("-", "_"), load_yaml(value)
    except yaml.YAMLError:
        return key.strip().replace("-", "_"), value
