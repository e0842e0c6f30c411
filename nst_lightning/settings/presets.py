"""The presets and sweeps that come along, found by name."""

import difflib
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from nst_lightning.errors import UserError


def preset_texts() -> dict[str, str]:
    """Returns the text of every preset's file, by name."""
    folder = files("nst_lightning.configs") / "presets"
    return {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yaml")
    }


def preset_text(name: str) -> str:
    """Returns the text of one preset's file.

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
    """Reads one preset's settings, not yet validated; raises as `preset_text`."""
    settings: dict[str, Any] = yaml.safe_load(preset_text(name))
    return settings


def sweep_file(name: str) -> Path:
    """Returns the path of a sweep file: itself, or of one that comes along, by its name.

    Raises:
        UserError: there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = Path(str(files("nst_lightning.configs"))) / "sweeps"
    known = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(
        f"{name}: is neither a sweep file nor a sweep by name: {hint}known are {', '.join(known)}."
    )
