"""One image on several devices, which on the CPU are processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import Nst, pixels, records, start, until
from tests.long.test_workers import children

LAYERS = ("--style-layers", "relu1_1,relu3_1", "--content-layers", "relu3_2")
SIZE = ("--set", "scales=[{size: 160x224, steps: 20}]")
"""As high as three bands need."""


def total(out: Path) -> float:
    (record,) = records(out).values()
    value: float = record["losses"]["total"]
    return value


@pytest.mark.parametrize(("precision", "tolerance"), [("64-true", 1e-9), ("32-true", 1e-4)])
def test_several_processes_make_the_image_of_one(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path, precision: str, tolerance: float
):
    words = (
        "grid", contents / "cat.png", styles / "brush.jpg", *LAYERS, *SIZE,
        "--precision", precision, "--tv-weight", 1, "--save-every", 10, "--curves",
        # From these on, twenty steps amplify what float32 rounds by no more than a hundred; with
        # longer ones the losses of one process whole and in tiles differ by per cents.
        "--style-weight", 1, "--first-step", 0.002, "--longest-step", 0.002,
    )  # fmt: skip
    assert nst(*words, "-o", tmp_path / "one").returncode == 0
    for many in (2, 3):
        out = tmp_path / f"{many}"
        run = nst(*words, "-o", out, "--devices", many, "--split")
        assert run.returncode == 0, run.stderr
        assert total(out) == pytest.approx(total(tmp_path / "one"), rel=tolerance)
        assert (out / "cat" / "brush" / "step-0010.png").exists()
        assert (out / "cat" / "brush" / "history.csv").exists()
        if precision == "64-true":
            assert (pixels(out / "cat/brush.png") == pixels(tmp_path / "one/cat/brush.png")).all()


def test_a_process_that_is_killed_ends_all_and_the_image_goes_on(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    words = (
        "grid", contents / "cat.png", styles / "brush.jpg", *LAYERS, "-o", out,
        "--set", "scales=[{size: 160x224, steps: 60}]", "--precision", "64-true",
    )  # fmt: skip
    split = ("--devices", 2, "--split", "--checkpoint-every", 0.01, "--save-first", 40)
    process = start(*words, *split)
    until(out / "cat" / "brush" / "step-0010.png")
    (leader,) = children(process.pid)
    (follower,) = children(leader)
    os.kill(follower, signal.SIGKILL)
    until(out / "cat" / "brush" / "step-0030.png")
    (other,) = children(process.pid)
    assert other != leader  # both began anew, from the saved state
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "goes on after step" in errors
    assert not Path(f"/proc/{other}").exists()
    # One process alone can go on.
    assert nst(*words).returncode == 0
    (record,) = records(out).values()
    assert len(record["resumed"]) == 2
    assert nst(*words[:8], tmp_path / "one", *words[9:]).returncode == 0
    assert total(out) == pytest.approx(total(tmp_path / "one"), rel=1e-9)


LIBRARY = """
import sys
import lightning as L
import torch
from nst_lightning import SplitStrategy, StyleTransfer, TransferSettings, load_image

content, style, out, processes = sys.argv[1:]
settings = TransferSettings(
    size=224, steps=8, style_layers="relu1_1,relu3_1", content_layers="relu3_2"
)
photograph = load_image(content, 224, upscale=True)
model = StyleTransfer.from_images(photograph, load_image(style), settings)
strategy = SplitStrategy() if processes != "1" else "auto"
L.Trainer(
    max_epochs=1, accelerator="cpu", precision="64-true", devices=int(processes),
    strategy=strategy, logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
).fit(model)
model.save(out)
"""


def test_a_trainer_of_the_users_own(contents: Path, styles: Path, tmp_path: Path):
    """With Lightning's own way of starting processes."""
    script = tmp_path / "script.py"
    script.write_text(LIBRARY)
    for processes in (1, 2):
        words = [contents / "cat.png", styles / "brush.jpg", tmp_path / f"{processes}.png"]
        run = subprocess.run(
            [sys.executable, script, *words, str(processes)], capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
    one, two = (pixels(tmp_path / f"{processes}.png") for processes in (1, 2))
    assert one.shape == two.shape
    assert abs(one.astype(int) - two.astype(int)).max() <= 1
