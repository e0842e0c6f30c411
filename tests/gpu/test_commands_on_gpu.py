"""The Trainer, `stylize` and the command line on a GPU."""

import os
import subprocess
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from PIL import Image

from nst_lightning import StyleTransfer, TransferSettings, load_image, stylize
from tests.fitting import fit
from tests.integration.conftest import EXAMPLES, command, records, start, until

pytestmark = pytest.mark.gpu
CAT, BRUSH = EXAMPLES / "contents" / "chelsea.jpg", EXAMPLES / "styles" / "brush_flow.jpg"
SMALL = {"weights": "random", "size": 128, "scales": 1, "steps": 30}


def nst(*words: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    everything = {**os.environ, **environment}
    return subprocess.run(
        command(*words), env=everything, capture_output=True, text=True, timeout=300
    )


def model(**changes: object) -> StyleTransfer:
    settings = TransferSettings(**{**SMALL, **changes})  # type: ignore[arg-type]
    content, style = (
        torch.nn.functional.interpolate(load_image(path), (96, 128)) for path in (CAT, BRUSH)
    )
    return StyleTransfer.from_images(content, style, settings)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed", "64-true"])
def test_a_fit_falls_in_every_precision(precision: str):
    one = model()
    trainer = fit(one, accelerator="gpu", devices=1, precision=precision)
    assert trainer.strategy.root_device.type == "cuda"
    start = model().to("cuda")
    with torch.no_grad():
        before = start.evaluate(start.image)["total"]
        after = start.evaluate(one.image.to("cuda", torch.float32))["total"]
    assert float(after / before) < 0.5
    assert not one.failed_at.any()


class SaveAt(L.Callback):
    """Saves a checkpoint after the tenth step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index == 9:
            trainer.save_checkpoint(self.path)


def test_a_checkpoint_loads_on_the_cpu_and_goes_on(tmp_path: Path):
    path, whole = tmp_path / "half.ckpt", model(steps=20)
    fit(whole, accelerator="gpu", devices=1, callbacks=[SaveAt(path)])
    again = StyleTransfer.load_from_checkpoint(path)
    assert again.image.device.type == "cpu"
    assert not torch.allclose(again.result(), whole.result().cpu(), atol=0.01)
    fit(again, path, accelerator="gpu", devices=1)
    # Two whole runs were equal bit for bit on an H100.
    assert torch.allclose(again.result().cpu(), whole.result().cpu(), atol=1e-5)


@pytest.mark.parametrize(
    "changes", [{}, {"compile": True, "steps": 5}, {"recompute": True}], ids=str
)
def test_stylize(changes: dict[str, object]):
    found = stylize(CAT, BRUSH, output="tensor", **{**SMALL, **changes})
    assert found.isfinite().all()
    assert found.shape[-1] == 128


def test_a_tensor_on_the_gpu_goes_in():
    there = load_image(CAT).to("cuda")
    found = stylize(there, BRUSH, output="tensor", **SMALL)
    assert found.isfinite().all()


def folders(tmp_path: Path, count: int) -> tuple[Path, Path]:
    contents, styles = tmp_path / "contents", tmp_path / "styles"
    for folder in (contents, styles):
        folder.mkdir()
    with Image.open(CAT) as cat, Image.open(BRUSH) as brush:
        for k in range(count):
            cat.crop((k, 0, k + 256, 192)).save(contents / f"cat{k}.png")
        brush.save(styles / "brush.png")
    return contents, styles


FLAGS = ("--weights", "random", "--size", 128, "--steps", 40, "--scales", 1)


def test_a_grid(tmp_path: Path):
    done = nst("grid", *folders(tmp_path, 10), "-o", tmp_path / "out", *FLAGS, "--curves",
               "--save-every", 20)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = records(tmp_path / "out").values()
    assert len(found) == 10
    assert {record["status"] for record in found} == {"done"}


def test_a_grid_killed_and_taken_up(tmp_path: Path):
    contents, styles = folders(tmp_path, 6)
    words = ("grid", contents, styles, "-o", tmp_path / "out", *FLAGS, "--steps", 400,
             "--batch-size", 2)  # fmt: skip
    process = start(*words)
    until(tmp_path / "out" / "cat0" / "brush.png", 120)
    process.kill()
    process.communicate()
    done = nst(*words)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("cat*/brush.png"))) == 6


def test_more_gpus_than_there_are_is_one_sentence(tmp_path: Path):
    many = torch.cuda.device_count() + 1
    done = nst("grid", *folders(tmp_path, 1), "-o", tmp_path / "out", *FLAGS, "--devices", many)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"devices {many}" in done.stderr


def test_a_hidden_gpu_is_one_sentence(tmp_path: Path):
    done = nst("run", CAT, BRUSH, "-o", tmp_path / "it.png", *FLAGS, "--accelerator", "gpu",
               CUDA_VISIBLE_DEVICES="")  # fmt: skip
    assert done.returncode != 0
    assert "CUDA_VISIBLE_DEVICES" in done.stderr


def test_a_batch_too_large_for_the_memory_is_made_in_smaller_ones(tmp_path: Path):
    done = nst("grid", *folders(tmp_path, 16), "-o", tmp_path / "out", *FLAGS, "--steps", 5,
               "--size", 256, "--batch-size", 16,
               PYTORCH_ALLOC_CONF="per_process_memory_fraction:0.011")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("cat*/brush.png"))) == 16


def test_doctor_names_the_gpu():
    done = nst("doctor")
    assert torch.cuda.get_device_name(0) in done.stdout
