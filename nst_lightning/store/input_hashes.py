"""sha256 of input files, each read once and remembered from run to run. Imports no torch."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nst_lightning.files import file_sha256, spell, write_text
from nst_lightning.layout import INPUT_HASHES

YOUNG_SECONDS = 2.0
"""A file changed so lately may change again without a new date, where dates are coarse."""

_KNOWN = TypeAdapter(dict[str, tuple[int, int, str]])
"""Path → size in bytes, time of change in nanoseconds, sha256."""


class InputHashes:
    """The checksums of inputs, by path, size and date.

    Args:
        out: the output folder that remembers them; None remembers them for this run only.
    """

    def __init__(self, out: Path | None) -> None:
        self.file = out / INPUT_HASHES if out else None
        self.known: dict[str, tuple[int, int, str]] = {}
        self.looked_up: dict[Path, str] = {}
        self.changed = False
        if self.file:
            with suppress(OSError, ValidationError):
                self.known = _KNOWN.validate_json(self.file.read_bytes())

    def of(self, path: Path) -> str:
        """Returns the checksum of a file.

        Raises:
            OSError: it cannot be read.
        """
        if path not in self.looked_up:
            self.looked_up[path] = self._find(path)
        return self.looked_up[path]

    def save(self) -> None:
        """Keeps the checksums for the next run; without it, that reads the files again."""
        if self.file and self.changed:
            with suppress(OSError):
                write_text(self.file, json.dumps(self.known, ensure_ascii=False))

    def _find(self, path: Path) -> str:
        state = path.stat()
        name, stamp = spell(os.path.realpath(path)), (state.st_size, state.st_mtime_ns)
        if (known := self.known.get(name)) and known[:2] == stamp:
            return known[2]
        found = file_sha256(path)
        if time.time() - state.st_mtime > YOUNG_SECONDS:
            self.known[name] = (*stamp, found)
            self.changed = True
        return found
