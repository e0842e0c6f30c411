"""`stylize` in somebody else's program: what it takes, what it leaves alone, how it ends."""

import logging
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nst_lightning import UserError, api, stylize
from nst_lightning.vgg.weights import Weights

QUICK: dict[str, Any] = {
    "size": 16,
    "steps": 3,
    "weights": "random",
    "content_layers": "relu1_2",
    "style_layers": "relu1_1",
    "precision": "32-true",
    "accelerator": "cpu",
}
CONTENT, PAINTING = torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(0))


def make(**settings: Any) -> Tensor:
    return stylize(CONTENT, PAINTING, output="tensor", **{**QUICK, **settings})


@pytest.fixture(scope="module")
def usual() -> Tensor:
    return make()


def test_what_comes_out(usual: Tensor):
    assert (usual.shape, usual.dtype, usual.device.type) == ((3, 13, 16), torch.float32, "cpu")
    assert not usual.requires_grad
    assert float(usual.min()) >= 0
    assert float(usual.max()) <= 1
    image = stylize(CONTENT, PAINTING, **QUICK)
    assert isinstance(image, Image.Image)
    levels = (usual * 255).round().byte().permute(1, 2, 0)
    assert np.array_equal(np.asarray(image), levels.numpy())
    again = stylize(image, image, output="tensor", **QUICK)  # its own kind goes in again
    assert again.shape == usual.shape
    assert make(precision="64-true").dtype == torch.float32


def test_a_start_in_memory_is_the_start_of_its_file(tmp_path: Path, usual: Tensor):
    start = Image.fromarray((PAINTING * 255).byte().permute(1, 2, 0).numpy())
    start.save(tmp_path / "start.png")
    with Image.open(tmp_path / "start.png") as image:
        made = [make(init=one) for one in (tmp_path / "start.png", image, start)]
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])
    assert not torch.equal(made[0], usual)
    assert not torch.equal(make(init="noise"), make(init="noise", seed=1))
    with pytest.raises(UserError, match=r"init nowhere\.png: is neither content, noise"):
        make(init="nowhere.png")


def test_progress_over_all_scales():
    seen: list[tuple[int, int]] = []
    losses: list[float] = []

    def report(step: int, total: int, terms: Callable[[], dict[str, float]]) -> None:
        seen.append((step, total))
        losses.append(terms()["total"])

    scales = {name: value for name, value in QUICK.items() if name not in ("size", "steps")}
    stylize(CONTENT, PAINTING, progress=report, **scales, scales="8:2,16:3")
    assert seen == [(step, 5) for step in range(1, 6)]
    assert losses[-1] < losses[2]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"devices": 2}, "devices is for `nst-batch`"),
        ({"save_every": 0}, "save_every is for `nst-batch`"),
        ({"format": "jpeg"}, "format is for `nst-batch`"),
        ({"bit_depth": 16}, "bit_depth is for `nst-batch`"),
        ({"stile_weight": 3}, "did you mean 'style_weight'"),
        ({"style_weight": -1}, "style_weight should be"),
        ({"preset": "gatys-cod"}, "did you mean 'gatys-code'"),
        ({"dither": True}, "a tensor is not rounded"),
        ({"precision": "16-mixed"}, "needs a GPU"),
        ({"output": "jpeg"}, "output should be 'pil' or 'tensor'"),
        ({"size": 2, "content_layers": "relu4_2"}, "too small"),
    ],
)
def test_what_does_not_apply_is_refused(settings: dict[str, Any], sentence: str):
    with pytest.raises(UserError, match=sentence):
        stylize(CONTENT, PAINTING, **{"output": "tensor", **QUICK, **settings})


def test_a_loss_that_is_no_number_is_an_error():
    with pytest.raises(UserError, match=r"no longer a finite number at step .*; try smaller"):
        make(style_weight=1e38, optimizer="adam", learning_rate=1e3)


def test_weights_are_read_once_and_again_where_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read: list[str] = []

    def load(source: str, network: str, weights_input: str) -> Weights:
        read.append(source)
        return Weights({}, "", source)

    monkeypatch.setattr(api, "load_weights", load)
    api._weights.cache_clear()
    try:
        for _ in range(3):
            assert api.shared_weights("random", "vgg19", "auto").source == "random"
        assert read == ["random"]
        file = tmp_path / "own.pth"
        for text in ("one", "other"):
            file.write_text(text)
            for _ in range(2):
                api.shared_weights(str(file), "vgg19", "auto")
        assert read == ["random", str(file), str(file)]
    finally:
        api._weights.cache_clear()


def test_the_caller_keeps_its_state(usual: Tensor):
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    loggers[0].setLevel(logging.DEBUG)

    def state() -> tuple[object, ...]:
        return (
            random.getstate(),
            str(np.random.get_state()),
            torch.get_rng_state().tolist(),
            [(logger.level, list(logger.filters)) for logger in loggers],
            list(warnings.filters),
            torch.is_grad_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.benchmark,
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        )

    before = state()
    noise = make(init="noise")
    assert state() == before
    torch.manual_seed(2)
    assert torch.equal(make(init="noise"), noise)
    loggers[0].setLevel(logging.NOTSET)


def test_nothing_of_lightnings_reaches_the_screen(capfd: pytest.CaptureFixture[str]):
    make()
    assert capfd.readouterr() == ("", "")


def test_the_callers_modes_change_nothing(usual: Tensor):
    with torch.no_grad():
        assert torch.equal(make(), usual)
    with torch.inference_mode():
        inside = make()
    assert torch.equal(inside, usual)
    assert not inside.is_inference()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(make(), usual)
    with torch.device("meta"):
        assert torch.equal(make(init="content"), usual)
        assert torch.zeros(1).is_meta
    with ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(make).result(), usual)


class Program(L.LightningModule):
    """Somebody's training, which makes images on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.made: list[Tensor] = []

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        self.made.append(make())
        return (self.weight - 1).square().sum()

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.made.append(make())

    def on_train_epoch_end(self) -> None:
        self.made.append(make())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.weight], lr=0.1)

    def train_dataloader(self) -> list[Tensor]:
        return [torch.zeros(1)]

    def val_dataloader(self) -> list[Tensor]:
        return [torch.zeros(1)]


def test_within_a_running_lightning_program(usual: Tensor):
    program = Program()
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        precision="bf16-mixed",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(program)
    assert trainer.global_step == 1
    assert float(program.weight.detach()) > 0
    assert len(program.made) >= 4  # the sanity check's is one
    assert all(torch.equal(one, usual) for one in program.made)


def test_an_interruption_is_one_and_leaves_nothing_behind(usual: Tensor):
    def interrupt(step: int, total: int, losses: object) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make(progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert torch.equal(make(), usual)

    def fail(step: int, total: int, losses: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make(progress=fail)

    def leave(step: int, total: int, losses: object) -> None:
        sys.exit(7)

    with pytest.raises(SystemExit, match="7"):
        make(progress=leave)


TERMINATED = """
import signal, torch
from nst_lightning import stylize
image = torch.rand(3, 16, 16)
def end(step, total, losses):
    signal.raise_signal(signal.SIGTERM)
stylize(image, image, progress=end, size=16, steps=5, weights="random", accelerator="cpu",
        content_layers="relu1_2", style_layers="relu1_1")
"""


def test_a_terminated_program_ends_as_one():
    ended = subprocess.run([sys.executable, "-c", TERMINATED], timeout=120, check=False)
    assert ended.returncode == -signal.SIGTERM
