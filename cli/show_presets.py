"""`nst-batch presets`, and reading a preset by name."""

import difflib
from importlib.resources import files
from typing import Annotated, Any

import typer
import yaml

from nst_lightning.errors import UserError


def preset_texts() -> dict[str, str]:
    """Every preset's file, by name."""
    folder = files("nst_lightning.configs") / "presets"
    return {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yaml")
    }


def preset_text(name: str) -> str:
    """One preset's file.

    Raises:
        UserError: there is none of that name; says the nearest.
    """
    texts = preset_texts()
    if name not in texts:
        near = difflib.get_close_matches(name, texts, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"there is no preset {name!r}: {hint}known are {', '.join(texts)}.")
    return texts[name]


def read_preset(name: str) -> dict[str, Any]:
    """One preset's settings, not yet validated."""
    settings: dict[str, Any] = yaml.safe_load(preset_text(name))
    return settings


def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset, with its source.")] = None,
) -> None:
    """List the presets, or print one with the source of its numbers."""
    if name is not None:
        typer.echo(preset_text(name), nl=False)
        return
    texts = preset_texts()
    width = max(map(len, texts))
    for known, text in texts.items():
        typer.echo(f"{known:<{width}}  {text.splitlines()[0].lstrip('# ')}")
