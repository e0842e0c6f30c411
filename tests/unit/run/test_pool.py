"""The pool over worker processes that make nothing, and die where they are told to."""

import json
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from nst_lightning.errors import OutputError
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source
from nst_lightning.run import pool
from nst_lightning.run.display import Silent
from nst_lightning.run.pool_worker import (
    BatchBegun,
    Note,
    OutputBroken,
    PairFinished,
    TaskDone,
    work_for_parent,
)
from nst_lightning.run.task import CaseSettings, RunOptions, Task
from nst_lightning.settings import build
from nst_lightning.stop import StopFlag
from nst_lightning.store.job import Job
from nst_lightning.store.records import Record


def pretend_to_work(connection: Connection, *rest: Any) -> None:
    """Stand in for a worker: it dies of batches of more than two, and of any pair `cursed`."""
    while (task := connection.recv()) is not None:
        names = [job.pair.file for job in task.jobs]
        connection.send(BatchBegun(names, 1, {}))
        if len(names) > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        for name in names:
            if name == "cursed.png":
                os._exit(3)
            if name == "full.png":
                connection.send(OutputBroken(OutputError("the disk is full")))
                return
            connection.send(PairFinished(Record(output=name, status="done")))
        connection.send(TaskDone())


class NoTask:
    """Stands in for the connection to a parent that has nothing to do."""

    def recv(self) -> None: ...


class Watch:
    """Notes the environment in which torch is imported."""

    found: dict[str, str | None]

    @classmethod
    def find_spec(cls, name: str, *_: object) -> None:
        if name == "torch":
            names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
            cls.found = {name: os.environ.get(name) for name in names}


def tell_what_is_found(connection: Connection, *rest: Any) -> None:
    """Stand in for a worker that says what was set when it imported torch, and came of it."""
    assert "torch" not in sys.modules
    sys.meta_path.insert(0, Watch)
    work_for_parent(NoTask(), *rest)  # type: ignore[arg-type]
    threads = sys.modules["torch"].get_num_threads()
    while connection.recv() is not None:
        connection.send(Note(json.dumps(Watch.found | {"threads": threads})))
        connection.send(TaskDone())


class Begun(Silent):
    """Remembers the batches that began, and what was noted."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.notes: list[dict[str, Any]] = []

    def note(self, text: str) -> None:
        self.notes.append(json.loads(text))

    def batch(self, names: Any, steps: int, weights: Any, worker: int = 0) -> None:
        self.batches.append(list(names))


def tasks_of(batches: list[list[str]]) -> list[Task]:
    """Tasks of pairs by their names."""
    source, settings = Source(Path("c.png"), "c", (8, 8)), build({})
    case = CaseSettings(settings, settings)
    return [
        Task(case, [Job(Pair(source, source, f"{n}.png"), "c", "s", n) for n in names], len(names))
        for names in batches
    ]


def run(
    batches: list[list[str]], out: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Record], list[list[str]]]:
    """Run batches of pairs, by their names, on two workers; return the records and the batches."""
    monkeypatch.setattr(pool, "work_for_parent", pretend_to_work)
    records: dict[str, Record] = {}

    def finish(record: Record) -> None:
        assert record.output not in records
        records[record.output] = record

    display = Begun()
    pool.Pool([{}, {}], RunOptions(out), display, StopFlag(), finish).run(tasks_of(batches))
    return records, display.batches


def test_the_largest_task_comes_first_and_is_halved_when_its_worker_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    records, begun = run([["a"], ["b", "c", "d", "e"]], tmp_path, monkeypatch)
    assert {name: record.status for name, record in records.items()} == {
        f"{name}.png": "done" for name in "abcde"
    }
    assert sorted(map(len, begun)) == [1, 2, 2, 4]


def test_a_batch_is_tried_twice_without_the_pairs_that_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    records, begun = run([["a", "cursed"], ["b"]], tmp_path, monkeypatch)
    assert begun.count(["a.png", "cursed.png"]) == begun.count(["cursed.png"]) == 1
    failed = records.pop("cursed.png")
    assert failed.status == "failed"
    assert "its worker died twice (exit code 3)" in failed.reason
    assert sorted(records) == ["a.png", "b.png"]


def test_an_output_that_cannot_be_written_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(OutputError, match="disk is full"):
        run([["full"], ["a"]], tmp_path, monkeypatch)


@pytest.mark.parametrize("names", [["3", "GPU-8932f937"], ["MIG-c6d4f1ef", "MIG-GPU-8932f937/1/0"]])
def test_a_workers_environment_is_set_before_it_imports_torch(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(names))
    monkeypatch.setattr(pool, "work_for_parent", tell_what_is_found)
    each, display = pool.environments("cuda", [0, 1], 4), Begun()
    none: Any = None
    pool.Pool(each, RunOptions(tmp_path), display, StopFlag(), none).run(tasks_of([["a"], ["b"]]))
    two = {"OMP_NUM_THREADS": "2", "threads": 2}
    found = sorted(display.notes, key=lambda note: names.index(note["CUDA_VISIBLE_DEVICES"]))
    assert found == [two | {"CUDA_VISIBLE_DEVICES": name} for name in names]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(names)


def test_a_film_has_one_record_whichever_of_its_parts_tells_first(tmp_path: Path):
    found: list[Record] = []
    workers = pool.Pool([], RunOptions(tmp_path), Silent(), StopFlag(), found.append)
    workers._finish(Record(output="a/b.mp4", status="failed"))
    workers._finish(Record(output="a/b.mp4", status="done"))
    assert [one.status for one in found] == ["failed"]
