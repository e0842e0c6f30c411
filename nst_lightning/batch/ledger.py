"""What is done: `manifest.jsonl`, one line per pair. Imports no torch."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from nst_lightning.imaging.atomic import write_text

MANIFEST = "manifest.jsonl"
Record = dict[str, Any]
"""One line: see `batch.record.make_record` for its keys."""


class Ledger:
    """The manifest of an output folder, safe for several writers.

    Args:
        out: the output folder; it must exist before the first line is written.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / MANIFEST
        self.lock = FileLock(out / ".manifest.lock")

    def read(self) -> dict[str, Record]:
        """The last line of each pair, by its output (relative to the folder).

        A torn line, left by a kill in mid-write, is passed over.
        """
        return {record["output"]: record for record in self._lines()}

    def append(self, record: Record) -> None:
        """Add a line and see it on disk. The file of the pair must be on disk before."""
        with self.lock, self.path.open("ab+") as file:
            line = json.dumps(record, ensure_ascii=False) + "\n"
            file.write(self._mend(file.tell(), file) + line.encode())
            file.flush()
            os.fsync(file.fileno())

    def compact(self) -> None:
        """Leave one line per pair, the last one, in the order of outputs."""
        with self.lock:
            records = self.read()
            if records:
                lines = (json.dumps(records[key], ensure_ascii=False) for key in sorted(records))
                write_text(self.path, "".join(f"{line}\n" for line in lines))

    @staticmethod
    def _mend(end: int, file: Any) -> bytes:
        """A line break where the last line was torn."""
        if end == 0:
            return b""
        file.seek(end - 1)
        return b"" if file.read(1) == b"\n" else b"\n"

    def _lines(self) -> Iterator[Record]:
        try:
            file = self.path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict) and isinstance(record.get("output"), str):
                    yield record
