"""StyleTransfer in a Trainer."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import lightning as L
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from nst_lightning import StyleTransfer, TransferSettings, UserError
from nst_lightning.imaging.writing import write_image
from nst_lightning.run.devices import has_bfloat16
from nst_lightning.settings.transfer import StyleLossName
from nst_lightning.transfer.module import WINDOW
from nst_lightning.transfer.start import starting_image
from tests.fitting import fit

SMALL = {"weights": "random", "content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1"}


def image(seed: int, batch: int = 1, side: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(batch, 3, side, side + 4, generator=generator)
    return torch.nn.functional.avg_pool2d(rough, 3, 1, 1)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_step_is_one_evaluation(optimizer: str, monkeypatch: pytest.MonkeyPatch):
    settings = TransferSettings(steps=7, optimizer=optimizer, **SMALL)
    model = StyleTransfer.from_images(image(0), image(1), settings)
    calls: list[int] = []
    forward_pass = model.network.forward_pass
    before = float(model.evaluate(model.image)["total"].detach())

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return forward_pass(*given, **named)

    monkeypatch.setattr(model.network, "forward_pass", counted)
    trainer = fit(model)
    assert len(calls) == trainer.global_step == 7
    after = float(model.evaluate(model.image)["total"].detach())
    assert after < 0.8 * before
    assert 0 <= float(model.image.min()) <= float(model.image.max()) <= 1


def test_a_batch_is_its_images_alone():
    settings = TransferSettings(steps=10, **SMALL)
    contents, styles = image(0, 3), image(1, 3)
    model = StyleTransfer.from_images(contents, styles, settings)
    fit(model, precision="64-true")
    together = model.image.detach()
    for b in range(3):
        alone = StyleTransfer.from_images(contents[b : b + 1], styles[b : b + 1], settings)
        fit(alone, precision="64-true")
        assert torch.allclose(alone.image.detach()[0], together[b], atol=1e-6)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_broken_image_keeps_its_last_good_state(optimizer: str):
    settings = TransferSettings(steps=6, optimizer=optimizer, **SMALL)

    class BreaksAtStep4(StyleTransfer):
        def evaluate(self, image: Tensor) -> dict[str, Tensor]:
            losses = super().evaluate(image)
            if self._trainer is not None and self.trainer.global_step == 3:
                poison = torch.tensor([1.0, float("inf")])
                losses["total"] = losses["total"] * poison
            return losses

    contents, styles = image(0, 2), image(1, 2)
    model = BreaksAtStep4.from_images(contents, styles, settings)
    fit(model)
    assert model.failed_at.tolist() == [0, 4]

    healthy = StyleTransfer.from_images(contents, styles, settings)
    fit(healthy)
    assert torch.allclose(model.image[0], healthy.image[0], atol=1e-5)
    # Its loss was finite for the last time at step 3, on the image after two steps.
    short = StyleTransfer.from_images(contents, styles, settings, steps=2)
    fit(short)
    assert torch.allclose(model.image[1], short.image[1], atol=1e-5)
    assert not torch.allclose(short.image[1], healthy.image[1], atol=1e-5)


def test_low_precision_does_not_stall():
    settings = TransferSettings(steps=25, **SMALL)
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        model = StyleTransfer.from_images(image(0), image(1), settings)
        start = float(model.evaluate(model.image)["total"].detach())
        fit(model, precision=precision)
        losses[precision] = float(model.evaluate(model.image)["total"].detach())
        assert losses[precision] < 0.5 * start
    assert losses["bf16-mixed"] < 1.2 * losses["32-true"]


def test_starts(tmp_path: Path):
    content, style = image(0), image(1, side=40)

    def start(init: str, seed: int = 0) -> Tensor:
        return starting_image(content, style, TransferSettings(init=init, seed=seed))

    assert torch.equal(start("content"), content)
    gray = start("gray")
    assert torch.equal(gray[:, 0], gray[:, 2])
    assert gray.shape == start("style").shape == content.shape
    assert torch.equal(start("noise"), start("noise"))
    assert not torch.equal(start("noise"), start("noise", seed=1))
    write_image(tmp_path / "start.png", style)
    expected = start("style")
    assert torch.allclose(start(str(tmp_path / "start.png")), expected, atol=0.01)


def test_the_style_may_have_any_size():
    model = StyleTransfer.from_images(
        image(0), image(1, side=61), TransferSettings(steps=2, **SMALL)
    )
    assert model.evaluate(model.image)["style"].shape == (1,)


def test_terms_are_weighted_and_sum_up():
    def terms(**weights: Any) -> dict[str, float]:
        settings = TransferSettings(**SMALL, **weights)
        model = StyleTransfer.from_images(image(0), image(1), settings, init=image(2))
        return {k: float(v.detach()) for k, v in model.evaluate(model.image).items()}

    one = terms(content_weight=1, style_weight=1, tv_weight=1)
    other = terms(content_weight=2, style_weight=3, tv_weight=5)
    for name, factor in (("content", 2), ("style", 3), ("tv", 5)):
        assert other[name] == pytest.approx(factor * one[name], rel=1e-5)
    assert other["total"] == pytest.approx(other["content"] + other["style"] + other["tv"])
    half = terms(content_weight=0, style_weight=1, tv_weight=0)
    assert half["content"] == 0
    assert half["total"] == pytest.approx(one["style"], rel=1e-5)


def test_unknown_layers_are_refused():
    with pytest.raises(UserError, match="relu9_9"):
        TransferSettings(style_layers="relu9_9")


def test_saving(tmp_path: Path):
    model = StyleTransfer.from_images(image(0), image(1), TransferSettings(steps=1, **SMALL))
    model.save(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


class Profiled(L.Callback):
    """Counts the operators of steps 5 to 7."""

    def on_train_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: object, index: int
    ) -> None:
        if index == 5:
            self.profiler = profile(activities=[ProfilerActivity.CPU])
            self.profiler.start()
        elif index == 8:
            self.profiler.stop()
            names = [event.name for event in self.profiler.events()]
            self.seen = Counter(name for name in names if name.startswith("aten::"))


# Where bfloat16 is emulated, PyTorch's own convolution loops over the images.
SERVED = ["32-true", *(["bf16-mixed"] if has_bfloat16(torch.device("cpu")) else [])]

VIEWS = {"aten::select", "aten::as_strided"}
"""Work for no device: `F.fold` takes the images apart so on the CPU."""


STEPS_OF = [
    *((precision, "gram") for precision in SERVED),
    *(("32-true", name) for name in get_args(StyleLossName) if name != "gram"),
]


@pytest.mark.parametrize(("precision", "style_loss"), STEPS_OF)
def test_no_step_waits_for_the_device_or_loops_over_images(precision: str, style_loss: str):
    seen = {}
    layers = "relu3_1,relu4_1" if style_loss == "patches" else SMALL["style_layers"]
    for batch in (1, 8):
        changes: dict[str, Any] = {"style_loss": style_loss, "style_layers": layers, "tv_weight": 1}
        settings = TransferSettings(steps=9, **{**SMALL, **changes})
        model = StyleTransfer.from_images(image(0, batch), image(1, batch), settings)
        profiled = Profiled()
        fit(model, precision=precision, callbacks=[profiled])
        seen[batch] = sum(n for name, n in profiled.seen.items() if name not in VIEWS)
        assert profiled.seen["aten::bmm"] >= 3
        # Three steps and two layers: an eigendecomposition looks whether it has succeeded.
        waits = 3 * 2 if style_loss == "wasserstein" else 0
        assert profiled.seen["aten::_local_scalar_dense"] == waits
    # Views of a batch of one can take one operator less.
    assert seen[8] == pytest.approx(seen[1], rel=0.02)


def test_images_stop_one_by_one_when_they_no_longer_improve():
    settings = TransferSettings(steps=400, stop_below=0.02, **SMALL)
    contents, styles = image(0, 2), image(1, 2)
    styles[1] = contents[1]  # nearly there from the start
    contents[1] = styles[1] * 0.98
    model = StyleTransfer.from_images(contents, styles, settings)
    trainer = fit(model)
    assert (model.stopped_at > 0).all()
    assert (model.stopped_at % WINDOW == 0).all()
    assert trainer.global_step == model.stopped_at.max() < 400
    for b in range(2):
        alone = StyleTransfer.from_images(contents[b : b + 1], styles[b : b + 1], settings)
        fit(alone)
        assert abs(int(alone.stopped_at) - int(model.stopped_at[b])) <= WINDOW
    free = StyleTransfer.from_images(contents, styles, TransferSettings(steps=45, **SMALL))
    assert fit(free).global_step == 45


def test_low_precision_that_stands_still_gives_way_to_float32():
    def run(**changes: Any) -> StyleTransfer:
        settings = TransferSettings(steps=45, **{**SMALL, **changes})
        model = StyleTransfer.from_images(image(0), image(1), settings)
        fit(model, precision="bf16-mixed")
        return model

    # Steps too short for bfloat16 to see: the gradient differs by nothing but rounding.
    still = run(optimizer="adam", learning_rate=1e-9)
    assert still.float32_from == WINDOW + 1
    assert run().float32_from is None


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_step_is_the_same_step():
    settings = TransferSettings(steps=3, **{**SMALL, "style_layers": "relu1_1"})
    settings = settings.model_copy(update={"content_weight": 0.0})
    images = []
    for compiled in (False, True):
        model = StyleTransfer.from_images(image(0), image(1), settings, compile=compiled)
        fit(model)
        images.append(model.image.detach())
    assert (images[0] - images[1]).abs().max() < 1e-4


@pytest.mark.parametrize(("name", "form"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.webp", "WEBP"),
                                            ("a.TIF", "TIFF")])  # fmt: skip
def test_the_name_says_the_format(tmp_path: Path, name: str, form: str):
    model = StyleTransfer.from_images(image(0), image(1), TransferSettings(steps=1, **SMALL))
    model.save(tmp_path / name)
    with Image.open(tmp_path / name) as saved:
        assert (saved.format, saved.size) == (form, (28, 24))
        assert saved.info.get("icc_profile")


def test_what_cannot_be_saved(tmp_path: Path):
    model = StyleTransfer.from_images(image(0), image(1), TransferSettings(steps=1, **SMALL))
    with pytest.raises(UserError, match="ends in"):
        model.save(tmp_path / "a.gif")
    with pytest.raises(UserError, match="8 bits"):
        model.save(tmp_path / "a.jpg", bits=16)
    assert not list(tmp_path.iterdir())
