"""The sweeps that come along, found by name."""

import difflib
from importlib.resources import files
from pathlib import Path

from nst_lightning.errors import UserError


def sweep_file(name: str) -> Path:
    """A sweep file: a path, or the name of one that comes along.

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
