"""Checkpoints of StyleTransfer, as users of Lightning make and read them."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from nst_lightning import Style, StyleTransfer, TransferSettings, UserError
from nst_lightning.imaging.mask import Mask
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.targets import make_targets
from nst_lightning.vgg.random_weights import identity
from tests.fitting import fit

SMALL = {"weights": "random", "content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1"}


def image(seed: int, batch: int = 1, side: int = 24) -> Tensor:
    return torch.rand(batch, 3, side, side + 4, generator=torch.Generator().manual_seed(seed))


def with_regions(**changes: Any) -> StyleTransfer:
    """Two images with all that a checkpoint has to hold."""
    inside = torch.zeros(1, 2, 24, 28)
    inside[:, 0, :, :14], inside[:, 1, :, 14:] = 1, 1
    mask = Mask(("#000000", "#ffffff"), inside)
    settings = TransferSettings(
        **{**SMALL, "steps": 12, "weighting": "start", "average": 0.5, **changes}
    )
    styles = [Style(image(1), 0.7, mask=mask), Style(image(2), 0.3, region="#ffffff")]
    return StyleTransfer.from_images(image(0, 2), styles, settings, mask=mask, init=image(3, 2))


class SaveAt(L.Callback):
    """Saves a checkpoint after a step, counted from 1."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index + 1 == self.step:
            trainer.save_checkpoint(self.path)


GO_ON = """
import sys
from pathlib import Path
import torch
from nst_lightning import StyleTransfer
from tests.fitting import fit
model = StyleTransfer.load_from_checkpoint(sys.argv[1])
fit(model, Path(sys.argv[1]))
torch.save(model.result(), sys.argv[2])
"""


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam", "preserve_color": "luminance"}])
def test_another_process_goes_on_bit_for_bit(tmp_path: Path, changes: dict[str, Any]):
    model = with_regions(**changes)
    saved, drawn = tmp_path / "at-5.ckpt", tmp_path / "drawn.pt"
    fit(model, callbacks=[SaveAt(5, saved)])
    subprocess.run([sys.executable, "-c", GO_ON, saved, drawn], check=True)
    assert torch.equal(torch.load(drawn), model.result())
    halfway = StyleTransfer.load_from_checkpoint(saved)
    assert not torch.equal(halfway.result(), model.result())


def test_a_checkpoint_of_before_the_first_step(tmp_path: Path):
    model = with_regions()

    class SaveFirst(L.Callback):
        def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / "first.ckpt")

    fit(model, callbacks=[SaveFirst()])
    again = StyleTransfer.load_from_checkpoint(tmp_path / "first.ckpt")
    assert torch.equal(again.image, with_regions().image)
    fit(again, ckpt_path=tmp_path / "first.ckpt")
    assert torch.equal(again.result(), model.result())


def test_lightnings_own_checkpoints(tmp_path: Path):
    every = ModelCheckpoint(tmp_path, every_n_train_steps=5, save_top_k=-1, filename="{step}")
    model = StyleTransfer.from_images(image(0), image(1), TransferSettings(steps=12, **SMALL))
    fit(model, callbacks=[every], enable_checkpointing=True)
    path = tmp_path / "step=10.ckpt"
    again = StyleTransfer.load_from_checkpoint(path, network=model.network)
    assert again.network is model.network
    fit(again, ckpt_path=path)
    assert torch.equal(again.image, model.image)


def test_hyperparameters_are_plain_values(tmp_path: Path):
    model = with_regions()
    fit(model, callbacks=[SaveAt(1, tmp_path / "a.ckpt")])
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)["hyper_parameters"]
    assert saved == dict(model.hparams)
    assert saved["network"] == {"name": "vgg19", "weights": "random", "checksum": identity("vgg19")}
    assert TransferSettings.model_validate(saved["settings"]) == model.settings
    assert saved["steps"] == 12

    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            value = list(value.values())
        return [x for one in value for x in leaves(one)] if isinstance(value, list) else [value]

    assert {type(one) for one in leaves(saved)} <= {str, int, float, bool, type(None)}


def test_the_users_random_state_is_left_alone(tmp_path: Path):
    path = tmp_path / "a.ckpt"
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(with_regions(init="noise"), callbacks=[SaveAt(2, path)])
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(5)
    fit(StyleTransfer.load_from_checkpoint(path), ckpt_path=path)
    assert torch.equal(torch.rand(3), expected)


def test_finished_targets_are_asked_for_again(tmp_path: Path):
    settings, path = TransferSettings(steps=4, **SMALL), tmp_path / "a.ckpt"
    network, content = build_network(settings), image(0)
    targets = make_targets(network, content, [Style(image(1))], None, settings)
    with pytest.raises(UserError, match="need a start"):
        StyleTransfer(content, targets, settings, network=network)
    model = StyleTransfer(content, targets, settings, init=content, network=network)
    fit(model, callbacks=[SaveAt(2, path)])
    with pytest.raises(UserError, match="finished targets"):
        StyleTransfer.load_from_checkpoint(path)
    again = StyleTransfer.load_from_checkpoint(path, content=content, targets=targets)
    fit(again, ckpt_path=path)
    assert torch.equal(again.image, model.image)


def test_images_of_another_shape_are_refused(tmp_path: Path):
    path = tmp_path / "a.ckpt"
    fit(with_regions(), callbacks=[SaveAt(2, path)])
    other = StyleTransfer.from_images(image(0, 1), image(1), TransferSettings(**SMALL))
    with pytest.raises(UserError, match="load_from_checkpoint"):
        fit(other, ckpt_path=path)


def test_other_weights_are_refused(tmp_path: Path):
    path = tmp_path / "a.ckpt"
    fit(with_regions(), callbacks=[SaveAt(2, path)])
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["network"]["checksum"] = "another"
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match="other weights"):
        StyleTransfer.load_from_checkpoint(path)


def test_another_optimiser_is_refused(tmp_path: Path):
    path = tmp_path / "a.ckpt"
    fit(with_regions(), callbacks=[SaveAt(2, path)])
    with pytest.raises(UserError, match="optimizer is lbfgs"):
        fit(with_regions(optimizer="adam"), ckpt_path=path)


def test_what_is_no_checkpoint_of_its_own(tmp_path: Path):
    torch.save({"state_dict": {}, "hyper_parameters": {}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="no checkpoint of a StyleTransfer"):
        StyleTransfer.load_from_checkpoint(tmp_path / "other.ckpt")


def test_a_module_can_be_copied_and_pickled():
    model = with_regions()
    fit(model)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        losses = again.evaluate(again.image.detach())
        assert torch.equal(losses["total"], model.evaluate(model.image.detach())["total"])
