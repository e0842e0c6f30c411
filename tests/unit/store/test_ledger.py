"""The manifest: appending, torn lines, several writers."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nst_lightning.store import ledger as ledger_module
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.records import Record, Status


def record(output: str, status: Status = "done", finished: str = "", **facts: Any) -> Record:
    return Record(output=output, status=status, finished=finished, **facts)


def test_last_line_wins_and_compaction_keeps_it(tmp_path: Path):
    ledger = Ledger(tmp_path)
    assert ledger.read() == {}
    ledger.append(record("b/x.png", "failed"))
    for output in ("b/x.png", "a/é.png"):
        ledger.append(record(output))
    expected = {"b/x.png": record("b/x.png"), "a/é.png": record("a/é.png")}
    assert ledger.read() == expected
    ledger.compact()
    assert ledger.read() == expected
    assert [one.output for one in ledger.records()] == ["a/é.png", "b/x.png"]


def test_a_torn_line_costs_only_itself(tmp_path: Path):
    ledger = Ledger(tmp_path)
    ledger.append(record("a"))
    with ledger.path.open("a") as file:
        file.write('{"output": "b", "sta')
    ledger.append(record("c"))
    assert set(ledger.read()) == {"a", "c"}


def test_several_writers(tmp_path: Path):
    def write(k: int) -> None:
        for i in range(20):
            ledger = Ledger(tmp_path)
            ledger.append(record(f"{k}-{i}"))
            if i % 7 == 0:
                ledger.compact()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(Ledger(tmp_path).read()) == 80


def test_parts_are_merged_on_reading_the_later_record_counts(tmp_path: Path):
    Ledger(tmp_path).append(record("a", "done", "2026-01-01T10"))
    Ledger(tmp_path, "7.0.0").append(record("a", "failed", "2026-01-01T11"))
    Ledger(tmp_path, "7.0.1").append(record("a", "done", "2026-01-01T12"))
    Ledger(tmp_path, "7.0.2").append(record("a", "failed", "2026-01-01T09"))
    Ledger(tmp_path, "7.0.2", {"rank": 2}).append(record("b", "done", "2026-01-01T09"))
    ledger = Ledger(tmp_path)
    assert ledger.pick(lambda one: one.status) == {"a": "done", "b": "done"}
    assert ledger.read()["b"] == record("b", "done", "2026-01-01T09", by={"rank": 2})
    before = ledger.read()
    ledger.compact()
    assert not list((tmp_path / ".nst" / "ledger").iterdir())
    assert ledger.read() == before
    assert len(ledger.manifest.read_text().splitlines()) == 2


def test_a_part_that_grows_while_it_is_merged_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    late = Ledger(tmp_path, "7.0.0")
    late.append(record("a", finished="1"))
    kept = ledger_module.copy

    def copy(lines: Iterable[ledger_module.Line]) -> Iterator[bytes]:
        (old,) = late.parts.iterdir()  # a writer that opened it before it was set aside
        with old.open("a") as file:
            file.write('{"output": "b", "status": "done", "finished": "2"}\n')
        yield from kept(lines)

    monkeypatch.setattr(ledger_module, "copy", copy)
    Ledger(tmp_path).compact()
    assert set(Ledger(tmp_path).read()) == {"a", "b"}
