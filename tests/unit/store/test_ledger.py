"""The manifest: appending, torn lines, several writers."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    assert not ledger.damaged
    for _ in range(2):
        assert set(ledger.read()) == {"a", "c"}
        assert len(ledger.damaged) == 1


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


LINES = st.builds(
    record,
    output=st.sampled_from(["a/x.png", "b/ü.png", "c.png"]),
    status=st.sampled_from(["done", "failed", "waiting"]),
    finished=st.sampled_from(["", "2026-01-01", "2026-01-02"]),
    noted=st.sampled_from(["", "2026-01-03"]),
    reason=st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
)
GARBAGE = st.one_of(
    st.binary(max_size=30).map(lambda some: some.replace(b"\n", b"")),
    st.sampled_from([b"", b"{}", b"null", b"[[", b'{"output": 1}', b'{"output": "a/x.png", "ste']),
)


def written(lines: list[Record | bytes]) -> bytes:
    return b"".join(
        (line if isinstance(line, bytes) else line.text().encode()) + b"\n" for line in lines
    )


@settings(max_examples=200)
@given(
    parts=st.lists(st.lists(LINES | GARBAGE, max_size=6), min_size=1, max_size=3),
    torn=st.tuples(LINES, st.integers(0, 40)),
)
def test_whole_lines_are_found_whatever_stands_between_them(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[list[Record | bytes]],
    torn: tuple[Record, int],
):
    out = tmp_path_factory.mktemp("out")
    for k, lines in enumerate(parts):
        path = Ledger(out, f"7.0.{k}").path if k else Ledger(out).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(lines))
    last, length = torn
    with path.open("ab") as file:  # a kill in mid-write
        file.write(last.text().encode()[:length])
    whole = [line for lines in parts for line in lines if isinstance(line, Record)]
    ledger = Ledger(out)
    assert list(ledger.records()) == whole
    latest: dict[str, Record] = {}
    for one in sorted(whole, key=lambda one: one.noted or one.finished):  # stable
        latest[one.output] = one
    assert ledger.read() == latest
    ledger.compact()
    assert list(ledger.records()) == [latest[output] for output in sorted(latest)]
    Ledger(out).append(record("new.png"))
    assert ledger.read() == latest | {"new.png": record("new.png")}


@settings(max_examples=50)
@given(lines=st.lists(LINES, max_size=4), data=st.data())
def test_a_ledger_cut_anywhere_has_all_lines_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Record], data: st.DataObject
):
    ledger = Ledger(tmp_path_factory.mktemp("out"))
    text = written([*lines])
    cut = data.draw(st.integers(0, len(text)))
    ledger.path.write_bytes(text[:cut])
    found = list(ledger.records())
    # The last line is whole without its line break too.
    assert found == lines[: (text[:cut] + b"\n" * text[cut : cut + 1].count(b"\n")).count(b"\n")]
    ledger.append(record("new.png"))
    assert list(ledger.records()) == [*found, record("new.png")]
