"""StyleTransfer of a frame of a film, which is held to the frames before it."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from nst_lightning import StyleTransfer, TransferSettings, UserError
from nst_lightning.losses.regions import RegionalLoss
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.objective import value_and_gradient
from nst_lightning.transfer.split import SplitStrategy
from nst_lightning.transfer.walk import make_walk
from nst_lightning.video.temporal_target import Temporal
from tests.fitting import fit
from tests.unit.transfer.test_objective import by_autograd, distance, images

LAYERS = {"content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1=0.5,relu3_1"}


def earlier() -> Temporal:
    """Returns a frame before that is known of the left-hand side; below the right is revealed."""
    weight, revealed = torch.zeros(2, 1, 37, 45), torch.zeros(2, 1, 37, 45)
    weight[..., :30], revealed[..., 20:, 30:] = 1, 1
    return Temporal(images(7, 2, 3, 37, 45), weight.double(), revealed.double())


def module(temporal: Temporal | None, **changes: Any) -> StyleTransfer:
    settings = TransferSettings(**{"weights": "random", "steps": 6, **LAYERS, **changes})
    model = StyleTransfer.from_images(
        images(1, 2, 3, 37, 45),
        images(2, 1, 3, 30, 52),
        settings,
        temporal=temporal,
        network=build_network(settings).double(),
    )
    return model.double()


@pytest.mark.parametrize("tile", [None, 32])
def test_its_gradient_is_autograds(tile: int | None):
    model = module(earlier(), temporal_weight=0.5)
    image = images(3, 2, 3, 37, 45)
    expected, slope = by_autograd(model, image)
    walk = make_walk(model.settings, tile)
    terms, gradient = value_and_gradient(model.network, model.loss, image, torch.float64, walk)
    assert set(terms) == {"content", "style", "tv", "temporal", "total"}
    for name, value in expected.items():
        assert terms[name].tolist() == pytest.approx(value.tolist(), rel=1e-10)
    assert distance(gradient, slope) < 1e-12


def test_what_is_revealed_is_a_region_of_its_own():
    model = module(earlier())
    loss = model.loss.style["relu1_1"]
    assert isinstance(loss, RegionalLoss)
    shares = loss.shares[0].tolist()
    assert shares == pytest.approx([1 - 17 * 15 / (37 * 45), 17 * 15 / (37 * 45)])
    known = earlier()
    nothing_new = Temporal(known.image, known.weight, torch.zeros_like(known.revealed))
    assert not isinstance(module(nothing_new).loss.style["relu1_1"], RegionalLoss)


def test_a_strong_weight_holds_what_is_known():
    moved = {}
    for weight in (0.0, 3e3):
        temporal = earlier()
        model = module(temporal, temporal_weight=weight, steps=40, style_weight=1.0)
        with torch.no_grad():
            model.image.copy_(temporal.image)
        fit(model)
        moved[weight] = (model.result() - temporal.image).abs()
    assert moved[3e3][..., :30].mean() < 0.1 * moved[0.0][..., :30].mean()
    assert moved[3e3][..., 32:].mean() > 0.2 * moved[0.0][..., 32:].mean()


def test_a_checkpoint_holds_it(tmp_path: Path):
    model = module(earlier())
    trainer = fit(model)
    trainer.save_checkpoint(tmp_path / "frame.ckpt")
    again = StyleTransfer.load_from_checkpoint(tmp_path / "frame.ckpt", network=model.network)
    assert again.temporal is not None
    torch.testing.assert_close(again.temporal.image, earlier().image)
    image = images(3, 2, 3, 37, 45)
    found, expected = again.double().evaluate(image), model.evaluate(image)
    assert found["temporal"].tolist() == expected["temporal"].tolist()


def test_a_frame_is_not_split(monkeypatch: pytest.MonkeyPatch):
    model = module(earlier())
    monkeypatch.setattr(SplitStrategy, "world_size", 2)
    model.trainer = L.Trainer(strategy=SplitStrategy(), accelerator="cpu", logger=False)
    with pytest.raises(UserError, match="a frame of a film is made on one device"):
        model.setup("fit")
