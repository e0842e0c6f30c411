"""How far a run is, from the files of its processes."""

import json
import shutil
import time
from pathlib import Path

import pytest

from nst_lightning.cli.status import lines
from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Case, Grid, Pair
from nst_lightning.grid.sources import Source
from nst_lightning.layout import EXPECTED, EXPECTED_BEFORE, FRAMES, SUBMITTED, TASKS
from nst_lightning.run import liveness
from nst_lightning.run.display import Silent
from nst_lightning.run.film_progress import write_note
from nst_lightning.run.folder_status import read_status
from nst_lightning.run.heartbeat_display import HeartbeatDisplay
from nst_lightning.run.job_array import submitted
from nst_lightning.run.slurm import Place
from nst_lightning.settings import build
from nst_lightning.store.expected import is_complete, read_expected, write_expected
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.records import Record


def sources(*names: str) -> list[Source]:
    return [Source(Path(name), name, (8, 8)) for name in names]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two contents in three styles are wanted; one is done, one has failed."""
    write_expected(tmp_path, [Case(build({}), Grid(sources("a", "b"), sources("x", "y", "z")))])
    ledger = Ledger(tmp_path)
    ledger.append(Record(output="a/x.png", status="done", seconds=10.0))
    ledger.append(Record(output="a/y.png", status="failed", reason="torn"))
    return tmp_path


def busy(out: Path, place: Place) -> HeartbeatDisplay:
    display = HeartbeatDisplay(out, place, Silent())
    display.batch(["a/z", "b/x"], 100, {})
    display.written = 0.0
    display.step(25, 2, dict)
    return display


def test_every_pair_is_in_one_group(out: Path):
    display = busy(out, Place())
    found = read_status(out)
    assert found.done == ["a/x.png"]
    assert found.failed == {"a/y.png": "torn"}
    assert list(found.running) == ["a/z.png", "b/x.png"]
    assert found.running["b/x.png"].startswith("step 25/100, process on ")
    assert found.waiting == ["b/y.png", "b/z.png"]
    assert found.total == 6
    assert found.seconds_left == pytest.approx((2 * 0.75 + 2) * 10)
    display.remove()
    assert read_status(out).running == {}


def test_the_dead_do_not_run(out: Path, monkeypatch: pytest.MonkeyPatch):
    display = busy(out, Place())
    (path,) = (out / TASKS).iterdir()
    notice = json.loads(path.read_text())
    path.write_text(json.dumps(notice | {"pid": 2**22 + 1}))
    assert read_status(out).running == {}
    path.write_text(json.dumps(notice | {"host": "elsewhere"}))
    assert len(read_status(out).running) == 2
    path.write_text(json.dumps(notice | {"host": "elsewhere", "written": time.time() - 1e4}))
    assert read_status(out).running == {}
    path.write_text('{"batches": [')
    assert read_status(out).running == {}
    path.write_text(json.dumps(notice | {"started": "before"}))  # another process had its number
    assert read_status(out).running == {}
    display.remove()
    assert not path.exists()


def test_slurm_is_asked_for_its_jobs(out: Path, monkeypatch: pytest.MonkeyPatch):
    busy(out, Place(job="12", restarts=0, size=2))
    HeartbeatDisplay(out, Place(job="12", restarts=1), Silent()).batch(["b/y"], 100, {})
    states = {"12": "RUNNING"}
    monkeypatch.setattr(liveness, "job_states", lambda jobs: states if jobs == ["12"] else {})
    assert list(read_status(out).running) == ["b/y.png"]  # what ran before the restart does not
    states["12"] = "COMPLETED"
    assert read_status(out).running == {}


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="has not made anything there"):
        read_status(tmp_path)


def test_lists_of_pairs_are_wanted_as_they_are(tmp_path: Path):
    source = Source(Path("c"), "c", (8, 8))
    pairs = [Pair(source, source, f"x/{name}.png") for name in ("one", "two")]
    write_expected(tmp_path, [Case(build({}), pairs), Case(build({}), Grid([source], [source]))])
    assert list(read_expected(tmp_path)) == ["x/one.png", "x/two.png", "c/c.png"]
    ledger = Ledger(tmp_path)
    for file in ("x/one.png", "x/two.png"):
        ledger.append(Record(output=file, status="done"))
        assert not is_complete(tmp_path, ledger)
    ledger.append(Record(output="c/c.png", status="failed"))
    assert is_complete(tmp_path, ledger)


def test_results_of_another_format(tmp_path: Path):
    grid = Grid(sources("a"), sources("x.y", "z", "v"), "tif")
    write_expected(tmp_path, [Case(build({"format": "tiff"}), grid)])
    Ledger(tmp_path).append(Record(output="a/x.y.tif", status="done", seconds=10.0))
    display = HeartbeatDisplay(tmp_path, Place(), Silent())
    display.batch(["a/z"], 100, {})
    display.step(25, 1, dict)
    found = read_status(tmp_path)
    display.remove()
    assert (found.done, list(found.running), found.waiting) == (
        ["a/x.y.tif"], ["a/z.tif"], ["a/v.tif"],
    )  # fmt: skip
    # A note of before there was a choice means PNG.
    shutil.rmtree(tmp_path / EXPECTED)
    (tmp_path / EXPECTED_BEFORE[0]).write_text('[[["a"], ["x", "y"]]]')
    assert list(read_expected(tmp_path)) == ["a/x.png", "a/y.png"]


def test_the_notes_of_0_1_0_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    expected = '[[["a"], ["x", "y"], "webp"], {"files": ["conv_1/seed-0.png"]}]'
    heartbeat = """{"job": "12_3", "restarts": 1, "rank": 0, "host": "node1", "pid": 4107,
        "written": 1795517446.9, "batches": [{"pairs": ["a/y"], "step": 7, "steps": 15}]}"""
    (tmp_path / TASKS).mkdir(parents=True)
    (tmp_path / EXPECTED_BEFORE[1]).write_text(expected)
    (tmp_path / TASKS / "12_3.1.0.json").write_text(heartbeat)
    monkeypatch.setattr(liveness, "job_states", lambda jobs: dict.fromkeys(jobs, "RUNNING"))
    found = read_status(tmp_path)
    assert found.waiting == ["a/x.webp", "conv_1/seed-0.png"]
    assert found.running == {"a/y.webp": "step 7/15, job 12_3, task 0 on node1"}
    # The next run writes it anew.
    source = Source(Path("c"), "c", (8, 8))
    write_expected(tmp_path, [Case(build({}), Grid([source], [source]))])
    assert list(read_expected(tmp_path)) == ["c/c.png"]
    assert not (tmp_path / EXPECTED_BEFORE[1]).exists()


def test_lists_of_those_who_share_are_merged(tmp_path: Path):
    (a,), (x, y) = sources("a"), sources("x", "y")
    lists = [[Case(build({}), Grid([a], styles))] for styles in ([x], [x, y])]
    assert write_expected(tmp_path, lists[0])
    assert write_expected(tmp_path, lists[1], shared=True)
    assert not write_expected(tmp_path, lists[1], shared=True)
    assert sorted(read_expected(tmp_path)) == ["a/x.png", "a/y.png"]
    (tmp_path / EXPECTED / "torn.json").write_text('[{"contents"')
    (tmp_path / EXPECTED / "folder.json").mkdir()
    assert sorted(read_expected(tmp_path)) == ["a/x.png", "a/y.png"]
    # Alone, the last list counts.
    assert not write_expected(tmp_path, lists[0])
    assert list(read_expected(tmp_path)) == ["a/x.png"]


@pytest.mark.parametrize(
    "damage",
    [{"pid": -1}, {"job": "1\0"}, {"written": "NaN"}, {"written": 1e300, "host": "elsewhere"},
     {"batches": [{"pairs": ["a/z"], "step": 0, "steps": 0}]}, {"batches": None}],
)  # fmt: skip
def test_a_damaged_heartbeat_counts_as_absent(out: Path, damage: dict[str, object]):
    busy(out, Place())
    (path,) = (out / TASKS).iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    assert read_status(out).running == {}


def test_a_damaged_list_of_jobs_names_those_that_can_be_jobs(out: Path):
    (out / SUBMITTED).write_bytes(b"12\n1\0\n\xff\n--all\n13_4\n")
    assert submitted(out) == ["12", "13_4"]


def test_films_are_counted_in_frames(tmp_path: Path):
    grid = Grid(sources("a", "b"), sources("x", "y"), "mp4")
    write_expected(tmp_path, [Case(build({}), grid)])
    Ledger(tmp_path).append(Record(output="a/x.mp4", status="done", seconds=40.0))
    for name, made in (("a/y", 30), ("b/x", 10)):
        folder = tmp_path / FRAMES / name.replace("/", "-")
        (folder / "000000").mkdir(parents=True)
        for number in range(made):
            (folder / "000000" / f"{number:06d}.png").touch()
        write_note(folder, f"{name}.mp4", 40)
    display = HeartbeatDisplay(tmp_path, Place(), Silent())
    display.batch(["a/y"], 100, {})
    found = read_status(tmp_path)
    assert found.frames == {"a/y.mp4": (30, 40), "b/x.mp4": (10, 40)}
    assert found.running["a/y.mp4"].startswith("30 of 40 frames, process on ")
    assert found.seconds_left == pytest.approx(40 * (10 / 40 + 30 / 40 + 1))
    assert "waiting: b/x.mp4: 10 of 40 frames are made" in lines(found, 20)
    assert not any("b/y" in line for line in lines(found, 20))
    assert "waiting: b/y.mp4" in lines(found, None)
    display.remove()
