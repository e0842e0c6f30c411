"""`--logger` on the real command line, read back as TensorBoard reads it."""

import csv
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from nst_lightning.drawing.loss_history import TERMS, read_history
from tests.event_files import hyperparams, images, read_runs, scalars
from tests.integration.conftest import ENVIRONMENT, SECONDS, Nst, pixels, records, start, until

SMALL: tuple[Any, ...] = (
    "--scales", "24:20,48:30", "--weights", "random", "--precision", "32-true",
    "--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1", "--log-every", 5,
)  # fmt: skip


def test_a_killed_grid_goes_on_in_the_same_runs(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    words = ("grid", contents, styles, "-o", out, *SMALL, "--devices", 2, "--batch-size", 2)
    words += ("--curves", "--save-at", "30,50", "--logger", "tensorboard")
    process = start(*words, "--checkpoint-every", 0.01)
    until(out / "cat" / "brush" / "step-0030.png")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    finished = nst(*words)
    assert finished.returncode == 0, finished.stderr
    made, runs = records(out), read_runs(out)
    assert made["cat/brush.png"]["resumed"]
    assert {f"{name}.png" for name in runs} == set(made)
    for name, one in runs.items():
        found, record = scalars(one), made[f"{name}.png"]
        assert sorted(found) == [1, *range(5, 51, 5), 51]
        for row in read_history(out / name / "history.csv"):
            for term in TERMS if row["step"] in found else ():
                assert found[int(row["step"])][term] == pytest.approx(row[term], rel=1e-6)
        for term in TERMS:
            assert found[51][term] == pytest.approx(record["losses"][term], rel=1e-6)
        shown = images(one)
        assert list(shown) == [30, 50]
        for step, image in shown.items():
            assert (image == pixels(out / name / f"step-{step:04d}.png")).all()
        values, metrics = hyperparams(one)
        assert f"{values['content_name']}/{values['style_name']}" == name
        assert values["style_weight"] == record["settings"]["style_weight"]
        assert "total" in metrics
    assert nst("clean", out, "--yes").returncode == 0
    assert not out.exists()


def test_a_single_image_has_its_table_beside_it(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    file = tmp_path / "made" / "it.png"
    words = ("run", contents / "cat.png", styles / "brush.jpg", "-o", file, *SMALL)
    assert nst(*words).returncode == 0
    assert list(file.parent.iterdir()) == [file]
    file.unlink()
    assert nst(*words, "--logger", "csv").returncode == 0
    assert {path.name for path in file.with_suffix("").iterdir()} == {"metrics.csv", "hparams.yaml"}
    with (file.with_suffix("") / "metrics.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["step"]) for row in rows] == [1, *range(5, 51, 5), 51]
    assert [int(row["size"]) for row in rows] == [24] * 5 + [48] * 7


def test_without_its_package_one_sentence(
    contents: Path, styles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "tensorboard.py").write_text("raise ImportError")
    paths = [str(tmp_path / "absent"), ENVIRONMENT.get("PYTHONPATH", "")]
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", os.pathsep.join(filter(None, paths)))
    words = ("grid", contents, styles, "-o", tmp_path / "out", *SMALL, "--logger", "tensorboard")
    process = start(*words)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert errors.strip().splitlines() == [
        "nst-batch: --logger tensorboard needs a package that is not installed: "
        "pip install 'nst-lightning[tensorboard]'."
    ]
    assert not list(tmp_path.glob("out/[!.]*"))  # nothing but the notes of the run itself
