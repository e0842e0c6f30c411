"""`--logger` on the CPU with random weights, read back as TensorBoard and others read it."""

import csv
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from nst_lightning.drawing.loss_history import TERMS, read_history
from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Case, Grid
from nst_lightning.grid.sources import read_sources
from nst_lightning.run.display import Silent
from nst_lightning.run.logger_files import open_logger
from nst_lightning.run.runner import run
from nst_lightning.settings import build
from nst_lightning.stop import Interrupted, StopFlag
from nst_lightning.store.records import Record
from tests.event_files import Table, hyperparams, images, read_runs, scalars

SMALL: dict[str, Any] = {
    "weights": "random",
    "content_layers": "relu2_1",
    "style_layers": "relu1_1,relu2_1",
    "accelerator": "cpu",
    "precision": "32-true",
    "scales": [{"size": 24, "steps": 4}, {"size": 32, "steps": 6}],
    "batch_size": 2,
    "log_every": 3,
}
LOGGED = [1, 3, 6, 9, 11]
RUNS = ["$HOME/s t", "a/s t"]
"""Names are taken as they are."""


class Watching(Silent):
    """Remembers what it is told, and raises a flag after some steps, as a signal does."""

    def __init__(self, stop: StopFlag, steps: int) -> None:
        self.flag, self.left = stop, steps
        self.notes: list[str] = []
        self.records: dict[str, Record] = {}

    def step(self, step: int, pairs: int, losses: object, worker: int = 0) -> None:
        self.left -= 1
        if self.left == 0:
            self.flag.raised(signal.SIGTERM)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finished(self, record: Record) -> None:
        self.records[record.output.removesuffix(".png")] = record


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two contents and a style."""
    for file in ("contents/a.png", "contents/$HOME.png", "styles/s t.png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        noise = Image.effect_noise((8, 8), 90).convert("RGB")
        noise.resize((32, 32)).save(tmp_path / file)
    return tmp_path


def make(root: Path, out: str = "out", stop_after: int = 0, **changes: Any) -> Watching:
    overwrite = changes.pop("overwrite", False)
    settings, stop = build(SMALL | changes), StopFlag()
    contents, styles = (
        read_sources(root / side, settings, root / out) for side in ("contents", "styles")
    )
    display, case = Watching(stop, stop_after), Case(settings, Grid(contents, styles))
    run([case], root / out, display, stop, ledger=None, overwrite=overwrite)
    assert all(record.status == "done" for record in display.records.values())
    return display


def interrupt(root: Path, after: int, **changes: Any) -> None:
    with pytest.raises(Interrupted):
        make(root, stop_after=after, **changes)


def read_table(file: Path) -> Table:
    with file.open(newline="") as lines:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]
    assert len({row["step"] for row in rows}) == len(rows)
    return {int(row.pop("step")): row for row in rows}


def read_tables(out: Path) -> dict[str, Table]:
    return {name: read_table(out / name / "metrics.csv") for name in RUNS}


def read_scalars(out: Path) -> dict[str, Table]:
    return {name: scalars(run) for name, run in sorted(read_runs(out).items())}


def test_both_loggers_say_what_history_and_record_say(root: Path):
    made = {kind: make(root, kind, logger=kind, curves=True) for kind in ("csv", "tensorboard")}
    tables = {"csv": read_tables(root / "csv"), "tensorboard": read_scalars(root / "tensorboard")}
    assert list(tables["tensorboard"]) == RUNS
    for kind, name in ((kind, name) for kind in tables for name in RUNS):
        table = tables[kind][name]
        history = {row["step"]: row for row in read_history(root / kind / name / "history.csv")}
        assert sorted(table) == LOGGED
        assert [table[step]["size"] for step in LOGGED] == [24, 24, 32, 32, 32]
        for step in LOGGED[:-1]:
            for term in TERMS:
                assert table[step][term] == pytest.approx(history[step][term], rel=1e-6)
        for term in TERMS:
            assert table[11][term] == pytest.approx(made[kind].records[name].losses[term], rel=1e-6)
        assert table[11]["total"] < table[9]["total"]
    assert tables["csv"][RUNS[0]] != tables["csv"][RUNS[1]]


def test_settings_are_hyperparameters(root: Path):
    for kind in ("csv", "tensorboard"):
        make(root, kind, logger=kind)
        for name in RUNS:
            data = yaml.safe_load((root / kind / name / "hparams.yaml").read_text())
            assert f"{data.pop('content_name')}/{data.pop('style_name')}" == name
            assert build(data) == build(SMALL | {"logger": kind})
    for name, one in read_runs(root / "tensorboard").items():
        values, metrics = hyperparams(one)
        assert f"{values['content_name']}/{values['style_name']}" == name
        assert (values["style_weight"], values["optimizer"]) == (80, "lbfgs")
        assert (values["scales/1/size"], values["style_layers/relu2_1"]) == (32, 1)
        assert set(TERMS) <= set(metrics)


def test_snapshots_are_images_of_the_run(root: Path):
    make(root, logger="tensorboard", save_at=[2, 10])
    for name, one in read_runs(root / "out").items():
        shown = images(one)
        assert list(shown) == [2, 10]
        for step, pixels in shown.items():
            with Image.open(root / "out" / name / f"step-{step:04d}.png") as snapshot:
                assert (np.asarray(snapshot) == pixels).all()
    make(root, "csv", logger="csv", save_at=[2])
    assert {path.name for path in (root / "csv" / "a" / "s t").iterdir()} == {
        "hparams.yaml", "metrics.csv", "step-0002.png",
    }  # fmt: skip


def test_without_it_nothing_is_there(root: Path):
    make(root)
    assert {path.name for path in (root / "out" / "a").iterdir()} == {"s t.png"}


@pytest.mark.parametrize("interruptions", [[3], [5], [2, 2, 3]])
def test_an_interrupted_run_goes_on_without_a_seam(root: Path, interruptions: list[int]):
    asked: dict[str, Any] = {"logger": "tensorboard", "save_every": 2}
    make(root, "whole", **asked)
    for steps in interruptions:
        interrupt(root, steps, **asked)
    make(root, **asked)
    assert read_scalars(root / "out") == read_scalars(root / "whole")
    for name, one in read_runs(root / "out").items():
        # TensorBoard reads files of the same second in any order.
        assert sorted(images(one)) == [2, 4, 6, 8, 10]
        assert hyperparams(one) == hyperparams(read_runs(root / "whole")[name])


def test_what_a_kill_left_behind_the_state_is_forgotten(root: Path):
    """A killed run was some steps further than its state, and in the middle of an event."""
    asked: dict[str, Any] = {"logger": "tensorboard", "save_at": [2, 6, 8]}
    make(root, "whole", **asked)
    interrupt(root, 5, **asked)
    folder = root / "out" / "a" / "s t"
    (before,) = folder.glob("events.*")
    with SummaryWriter(str(folder), filename_suffix=".killed") as writer:
        for step in (6, 7, 8, 9):
            writer.add_scalar("total", 99.0, step)
        writer.add_image("image", np.zeros((3, 4, 4), np.uint8), 6)
        writer.add_image("image", np.zeros((3, 4, 4), np.uint8), 8)
    (further,) = folder.glob("events.*.killed")
    # One file, as one process writes it; the second's first event is the version of the format.
    before.write_bytes(before.read_bytes() + further.read_bytes()[:-7])
    further.unlink()
    make(root, **asked)
    assert len(list(folder.glob("events.*"))) == 2
    assert read_scalars(root / "out") == read_scalars(root / "whole")
    expected = images(read_runs(root / "whole")["a/s t"])
    found = images(read_runs(root / "out")["a/s t"])
    assert list(found) == [2, 6, 8]
    assert all((found[step] == expected[step]).all() for step in found)


def test_a_torn_table_is_written_anew(root: Path):
    make(root, "whole", logger="csv")
    interrupt(root, 7, logger="csv")
    for name in RUNS:
        file = root / "out" / name / "metrics.csv"
        file.write_bytes(file.read_bytes() + b"7.1,32,9,7")
        (root / "out" / name / "hparams.yaml").write_text("sca")
    make(root, logger="csv")
    assert read_tables(root / "out") == read_tables(root / "whole")
    data = yaml.safe_load((root / "out" / "a" / "s t" / "hparams.yaml").read_text())
    assert data["content_name"] == "a"


def test_another_logger_may_go_on(root: Path):
    make(root, "whole", logger="csv")
    interrupt(root, 7, logger="tensorboard")
    make(root, logger="csv")
    assert read_tables(root / "out") == read_tables(root / "whole")


def test_what_is_made_anew_is_logged_anew(root: Path):
    make(root, logger="csv")
    make(root, logger="tensorboard", style_weight=2.0, overwrite=True)
    folder = root / "out" / "a" / "s t"
    first = list(folder.glob("events.*"))
    assert not (folder / "metrics.csv").exists()
    make(root, logger="tensorboard", style_weight=3.0, overwrite=True)
    assert len(list(folder.glob("events.*"))) == len(first) == 1
    assert hyperparams(read_runs(root / "out")["a/s t"])[0]["style_weight"] == 3
    assert list(read_scalars(root / "out")["a/s t"]) == LOGGED


@pytest.mark.parametrize("kind", ["csv", "tensorboard"])
def test_nothing_is_written_through_links(root: Path, kind: str):
    folder = root / "out" / "a" / "s t"
    folder.mkdir(parents=True)
    (root / "mine.csv").write_text("the user's")
    (folder / "metrics.csv").symlink_to(root / "mine.csv")
    (folder / "hparams.yaml").symlink_to(root / "absent.yaml")
    (folder / "events.out.tfevents.1.x").symlink_to(root / "absent")
    make(root, logger=kind)
    assert (root / "mine.csv").read_text() == "the user's"
    assert not (root / "absent.yaml").exists()
    assert not any(path.is_symlink() for path in folder.iterdir())


def test_a_folder_that_is_in_the_way_costs_no_image(root: Path):
    (root / "out" / "a").mkdir(parents=True)
    (root / "out" / "a" / "s t").write_text("the user's")
    display = make(root, logger="csv")
    assert len(display.records) == 2
    (note,) = display.notes
    assert "logger's files cannot be written" in note
    assert "File exists" in note


def test_a_full_disk_costs_no_image(root: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: CSVLogger) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CSVLogger, "save", full)
    display = make(root, logger="csv")
    assert len(display.records) == 2
    (note,) = display.notes
    assert note.endswith("No space left on device); the images of its batch go on without.")


def test_other_files_of_the_folder_are_no_concern(tmp_path: Path):
    (tmp_path / "step-0001.png").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Lightning's, that they would be deleted
        logger = open_logger("csv", tmp_path, tmp_path, 0)
        logger.log_metrics({"total": 1.0}, 1)
        logger.finalize("success")
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.csv", "step-0001.png"}


def test_a_missing_package_is_named_before_any_work(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'nst-lightning\[tensorboard\]'"):
        make(root, logger="tensorboard")
    assert not (root / "out").exists()
    make(root, logger="csv", scales=[{"size": 24, "steps": 1}])


def test_files_of_another_program_are_left(tmp_path: Path):
    events = tmp_path / "a" / "events.out.tfevents.1.mine"
    events.parent.mkdir()
    events.write_text("mine")
    for known in (None, "learning_rate: 0.1\n"):
        if known:
            (tmp_path / "a" / "hparams.yaml").write_text(known)
        with pytest.raises(FileExistsError, match="another logger"):
            open_logger("tensorboard", tmp_path, tmp_path / "a", 0)
        assert events.read_text() == "mine"
