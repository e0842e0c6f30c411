"""What is done: `manifest.jsonl`, one line per pair. Imports no torch."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, SoftFileLock

from nst_lightning.files import atomic_file
from nst_lightning.layout import LEDGER_PARTS, MANIFEST, MANIFEST_LOCK, MANIFEST_SOFT_LOCK

Record = dict[str, Any]
"""One line: see `batch.record.make_record` for its keys."""

Line = tuple[Path, int, int]
"""A file, and where in it a line begins and ends."""


class Ledger:
    """The manifest of an output folder.

    Processes of one machine share `manifest.jsonl` and take turns by a lock. Each task of a Slurm
    job writes a part of its own, since locks do not hold on every shared file system; reading
    merges the parts, and `compact` puts them into the manifest.

    Args:
        out: the output folder; it must exist before the first line is written.
        part: name of this process's own part; the manifest itself where it is empty.
        stamp: goes into every record that is added.
    """

    def __init__(self, out: Path, part: str = "", stamp: Record | None = None) -> None:
        self.stamp = stamp or {}
        self.manifest = out / MANIFEST
        self.parts = out / LEDGER_PARTS
        self.path = self.parts / f"{part}.jsonl" if part else self.manifest
        self.lock_file = out / MANIFEST_LOCK

    def read(self, keep: Callable[[Record], Any] = lambda record: record) -> dict[str, Any]:
        """What to `keep` of the last record of each pair, by its output (relative to the folder).

        A torn line, left by a kill in mid-write, is passed over.
        """
        latest: dict[str, tuple[str, Any]] = {}
        for record, _ in self._lines():
            output, when = record["output"], record.get("finished", "")
            if output not in latest or when >= latest[output][0]:
                latest[output] = (when, keep(record))
        return {output: kept for output, (_, kept) in latest.items()}

    def records(self) -> Iterator[Record]:
        """Every record as it was added, also those that later ones replace."""
        return (record for record, _ in self._lines())

    def find(self, output: str) -> Record | None:
        """The last record of one pair."""
        records = (record for record in self.records() if record["output"] == output)
        return max(records, key=lambda record: str(record.get("finished", "")), default=None)

    def append(self, record: Record) -> None:
        """Add a line and see it on disk. The file of the pair must be on disk before."""
        line = json.dumps(record | self.stamp, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(exist_ok=True, parents=True)
        with self._lock(), self.path.open("ab+") as file:
            file.write(self._mend(file.tell(), file) + line.encode())
            file.flush()
            os.fsync(file.fileno())

    def compact(self) -> None:
        """Leave one line per pair, the last one, in the order of outputs, in the manifest."""
        with self._lock():
            aside = [path.rename(path.with_suffix(".old.jsonl")) for path in self._part_files()]
            before = {path: path.stat().st_size for path in aside}
            latest: dict[str, tuple[str, Line]] = {}
            for record, line in self._lines():
                output, when = record["output"], record.get("finished", "")
                if output not in latest or when >= latest[output][0]:
                    latest[output] = (when, line)
            if not latest:
                return
            with atomic_file(self.manifest) as file:
                file.writelines(copy(latest[output][1] for output in sorted(latest)))
            for path, size in before.items():
                if path.stat().st_size == size:  # else a writer that was thought dead has added
                    path.unlink()

    def _part_files(self) -> list[Path]:
        return sorted(self.parts.glob("*.jsonl"))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            with FileLock(self.lock_file):
                yield
        except NotImplementedError:  # a file system without locks
            with SoftFileLock(self.lock_file.with_name(MANIFEST_SOFT_LOCK)):
                yield

    @staticmethod
    def _mend(end: int, file: Any) -> bytes:
        """A line break where the last line was torn."""
        if end == 0:
            return b""
        file.seek(end - 1)
        return b"" if file.read(1) == b"\n" else b"\n"

    def _lines(self) -> Iterator[tuple[Record, Line]]:
        for path in (self.manifest, *self._part_files()):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                start = 0
                for line in file:
                    end = start + len(line)
                    try:
                        record = json.loads(line)
                    except ValueError:
                        record = None
                    if isinstance(record, dict) and isinstance(record.get("output"), str):
                        yield record, (path, start, end)
                    start = end


def copy(lines: Iterable[Line]) -> Iterator[bytes]:
    """The bytes of lines, each with its line break."""
    files: dict[Path, Any] = {}
    try:
        for path, start, end in lines:
            if path not in files:
                files[path] = path.open("rb")
            files[path].seek(start)
            yield files[path].read(end - start).rstrip(b"\n") + b"\n"
    finally:
        for file in files.values():
            file.close()
