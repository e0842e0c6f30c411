"""What StyleTransfer tells a Trainer's loggers and its bar."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from nst_lightning import StyleTransfer, TransferSettings, UserError
from tests.fitting import fit

SMALL = {"weights": "random", "content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1"}


def image(seed: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, 24, 28, generator=torch.Generator().manual_seed(seed))


def module(**changes: Any) -> StyleTransfer:
    settings = TransferSettings(**{**SMALL, "steps": 6, "tv_weight": 1.0, **changes})
    return StyleTransfer.from_images(image(0, 2), image(1), settings)


class Watch(L.Callback):
    """Keeps the batch's means of each step, and what a bar shows."""

    def __init__(self, name: str = "loss") -> None:
        self.name = name
        self.means: list[dict[str, float]] = []
        self.shown: list[float] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        assert isinstance(module, StyleTransfer)
        self.means.append({name: float(value.mean()) for name, value in module.losses.items()})
        if self.name in trainer.progress_bar_metrics:
            self.shown.append(float(trainer.progress_bar_metrics[self.name]))


def test_a_logger_gets_means_and_hyperparameters(tmp_path: Path):
    watch, logger = Watch(), CSVLogger(tmp_path, name="", version="a")
    model = module()
    fit(model, logger=logger, log_every_n_steps=2, callbacks=[watch])
    with (tmp_path / "a" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 3, 5]
    for row in rows:
        means = watch.means[int(row["step"])]
        assert float(row["loss"]) == pytest.approx(means["total"])
        for name in ("content", "style", "tv"):
            assert float(row[name]) == pytest.approx(means[name])
    known = (tmp_path / "a" / "hparams.yaml").read_text()
    assert "style_weight: 80.0" in known
    assert "checksum: random-vgg19" in known
    assert "tensor" not in known.lower()


def test_without_a_logger_nothing_is_logged():
    trainer = fit(module())
    assert trainer.logged_metrics == trainer.callback_metrics == {}


def test_the_bar_shows_the_loss_of_each_step():
    watch = Watch()
    bar = TQDMProgressBar(refresh_rate=1)
    fit(module(), enable_progress_bar=True, callbacks=[bar, watch])
    assert watch.shown == pytest.approx([means["total"] for means in watch.means])


def test_on_a_gpu_the_bar_shows_the_loss_once_a_window(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(StyleTransfer, "device", torch.device("cuda"))
    watch = Watch("total")
    fit(module(), enable_progress_bar=True, callbacks=[TQDMProgressBar(refresh_rate=1), watch])
    assert watch.shown == pytest.approx([watch.means[0]["total"]] * 6)


def test_a_callback_that_monitors_has_a_loss_without_a_logger(tmp_path: Path):
    best = ModelCheckpoint(tmp_path, monitor="loss", every_n_train_steps=1)
    watch = Watch()
    fit(module(), enable_checkpointing=True, callbacks=[watch, best])
    least = min(means["total"] for means in watch.means)
    assert float(best.best_model_score or 0.0) == pytest.approx(least)


class Waits(L.Callback):
    """Counts the values that are read from the device from the start of each step to that of the
    next."""

    def __init__(self) -> None:
        self.waits: list[int] = []
        self.profiler: profile | None = None

    def on_train_batch_start(self, *_: Any) -> None:
        if self.profiler:
            self.profiler.stop()
            names = Counter(event.name for event in self.profiler.events())
            self.waits.append(names["aten::_local_scalar_dense"])
        self.profiler = profile(activities=[ProfilerActivity.CPU])
        self.profiler.start()

    def on_train_end(self, *_: Any) -> None:
        assert self.profiler
        self.profiler.stop()


def test_a_logger_waits_in_its_own_steps_alone(tmp_path: Path):
    waits = Waits()
    fit(module(steps=9), logger=CSVLogger(tmp_path), log_every_n_steps=4, callbacks=[waits])
    assert [k + 1 for k, many in enumerate(waits.waits) if many] == [4, 8]


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_an_image_that_would_be_rounded_is_refused(precision: str):
    with pytest.raises(UserError, match="rounds the image"):
        fit(module(), precision=precision)


def test_64_true_makes_its_targets_in_float64():
    model = module(steps=2)
    fit(model, precision="64-true")
    assert model.image.dtype == torch.float64
    assert {buffer.dtype for buffer in model.loss.buffers()} == {torch.float64}
