"""What is done: `manifest.jsonl`, one line per pair. Imports no torch."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from filelock import FileLock, SoftFileLock

from nst_lightning.files import atomic_file
from nst_lightning.layout import LEDGER_PARTS, MANIFEST, MANIFEST_LOCK, MANIFEST_SOFT_LOCK
from nst_lightning.store.records import Record, now, parse_record

T = TypeVar("T")


class Line(NamedTuple):
    """Where a line stands."""

    path: Path
    start: int
    end: int


class Ledger:
    """The manifest of an output folder.

    Processes of one machine share `manifest.jsonl` and take turns by a lock. Each task of a Slurm
    job writes a part of its own, since locks do not hold on every shared file system; reading
    merges the parts, and `compact` puts them into the manifest.

    Args:
        out: the output folder; it must exist before the first line is written.
        part: name of this process's own part; the manifest itself where it is empty.
        by: the task of a Slurm job that this process is; goes into every record that is added.
    """

    def __init__(
        self, out: Path, part: str = "", by: Mapping[str, int | str] | None = None
    ) -> None:
        self.by = by
        self.manifest = out / MANIFEST
        self.parts = out / LEDGER_PARTS
        self.path = self.parts / f"{part}.jsonl" if part else self.manifest
        self.lock_file = out / MANIFEST_LOCK
        self.damaged: set[Line] = set()
        """The lines that were met and hold no record, as a kill in mid-write leaves one."""

    def read(self) -> dict[str, Record]:
        """Returns the last record of each pair, by its output (relative to the folder).

        A line that holds no record is passed over; see `damaged`.
        """
        return self.pick(lambda record: record)

    def pick(self, what: Callable[[Record], T]) -> dict[str, T]:
        """Returns something of the last record of each pair, by its output; needs less memory."""
        latest = self._latest(lambda record, _: what(record))
        return {output: picked for output, (_, picked) in latest.items()}

    def records(self) -> Iterator[Record]:
        """Yields every record as it was added, also those that later ones replace."""
        return (record for record, _ in self._lines())

    def append(self, record: Record) -> None:
        """Adds a line and sees it on disk. The file of the pair must be on disk before.

        Raises:
            OSError: the ledger cannot be written.
        """
        self._add([record.with_facts(by=dict(self.by)) if self.by else record])

    def withdraw(self, outputs: Collection[str]) -> None:
        """Notes that results which are done are about to be replaced.

        Raises:
            OSError: the ledger cannot be written.
        """
        if not outputs:
            return
        latest = self._latest(lambda record, line: record.status == "done" and line)
        lines = [line for output in outputs if (line := latest.get(output, ("", False))[1])]
        records = filter(None, map(parse_record, copy(lines)))
        self._add(record.with_facts(status="waiting", noted=now()) for record in records)

    def _add(self, records: Iterable[Record]) -> None:
        self.path.parent.mkdir(exist_ok=True, parents=True)
        with self._lock(), self.path.open("ab+") as file:
            file.write(_line_break(file))
            file.writelines(f"{record.text()}\n".encode() for record in records)
            file.flush()
            os.fsync(file.fileno())

    def compact(self) -> None:
        """Leaves one line per pair, the last one, in the order of outputs, in the manifest."""
        with self._lock():
            aside = [path.rename(path.with_suffix(".old.jsonl")) for path in self._part_files()]
            before = {path: path.stat().st_size for path in aside}
            latest = self._latest(lambda _, line: line)
            if not latest:
                return
            with atomic_file(self.manifest) as file:
                file.writelines(copy(latest[output][1] for output in sorted(latest)))
            for path, size in before.items():
                if path.stat().st_size == size:  # else a writer that was thought dead has added
                    path.unlink()

    def _latest(self, what: Callable[[Record, Line], T]) -> dict[str, tuple[str, T]]:
        """Returns by output when its last record was added, and something of it."""
        latest: dict[str, tuple[str, T]] = {}
        for record, line in self._lines():
            known, when = latest.get(record.output), record.noted or record.finished
            if known is None or when >= known[0]:
                latest[record.output] = (when, what(record, line))
        return latest

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
                    if record := parse_record(line):
                        yield record, Line(path, start, end)
                    elif line.strip():
                        self.damaged.add(Line(path, start, end))
                    start = end


def _line_break(file: BinaryIO) -> bytes:
    """Returns a line break where the last line of an open file was torn."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return b""
    file.seek(end - 1)
    return b"" if file.read(1) == b"\n" else b"\n"


def copy(lines: Iterable[Line]) -> Iterator[bytes]:
    """Yields the bytes of lines, each with its line break."""
    files: dict[Path, BinaryIO] = {}
    try:
        for path, start, end in lines:
            if path not in files:
                files[path] = path.open("rb")
            files[path].seek(start)
            yield files[path].read(end - start).rstrip(b"\n") + b"\n"
    finally:
        for file in files.values():
            file.close()
