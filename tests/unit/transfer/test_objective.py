"""The gradient without autograd, against autograd on the same network."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.imaging.mask import Mask
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.objective import value_and_gradient
from nst_lightning.transfer.targets import Style
from nst_lightning.transfer.walk import make_walk

LAYERS = "conv1_1=0.5,relu1_1,relu2_1=0.7,conv3_1,pool3=0.3,relu4_1,conv4_2=2"


def images(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def module(dtype: torch.dtype = torch.float64, **changes: Any) -> StyleTransfer:
    fixed = {"weights": "random", "style_layers": LAYERS, "content_layers": "relu2_1,relu4_2=0.3"}
    settings = TransferSettings(**{**fixed, "style_weight": 1e3, **changes})
    network = build_network(settings).to(dtype)
    content, style = images(1, 2, 3, 37, 45, dtype=dtype), images(2, 1, 3, 30, 52, dtype=dtype)
    return StyleTransfer.from_images(content, style, settings, network=network).to(dtype)


def by_autograd(model: StyleTransfer, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    leaf = image.clone().requires_grad_(True)
    terms = model.loss(leaf, model.network(leaf))
    return terms, torch.autograd.grad(terms["total"].sum(), leaf)[0]


def distance(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


CHANGES: list[dict[str, Any]] = [
    {},
    {"pooling": "avg", "tv_weight": 3.0},
    {"padding": "replicate"},
    {"padding": "reflect", "pooling": "avg"},
    {"gram": "tutorial", "content_loss": "type1"},
    {"gram": "titu1994", "content_weight": 0.0},
    {"style_weight": 0.0, "content_loss": "paper"},
    {"content_loss": "relative", "weighting": "energy"},
    {"style_loss": "mean-variance", "weighting": "start"},
    {"style_loss": "gram-moments"},
    {"style_loss": "patches", "style_layers": "conv3_1,relu4_1"},
]
# Sliced Wasserstein has no tiles; for Wasserstein's, whose layers of few positions round too
# much here, see test_tiles.py.
WHOLE_ONLY: list[dict[str, Any]] = [
    {"style_loss": "wasserstein"},
    {"style_loss": "wasserstein", "style_scale": "0.7,1"},
    {"style_loss": "sliced-wasserstein"},
]


@pytest.mark.parametrize(
    ("changes", "how"),
    [(changes, how) for how in ("whole", "recompute", "tiles") for changes in CHANGES]
    + [(changes, how) for how in ("whole", "recompute") for changes in WHOLE_ONLY],
)
def test_it_is_autograds(changes: dict[str, Any], how: str):
    model = module(**changes)
    walk = make_walk(model.settings, 32 if how == "tiles" else None, how == "recompute")
    image = images(3, 2, 3, 37, 45)
    expected, _ = by_autograd(model, image)
    # Roots of matrices and ranks of features pass on more of what was rounded.
    lost = {"wasserstein": 1e3, "sliced-wasserstein": 10}.get(model.settings.style_loss, 1)
    for precision, tolerance in ((torch.float64, 1e-12 * lost), (torch.float32, 1e-5 * lost)):
        model, image = model.to(precision), image.to(precision)
        # In the same precision: a ReLU that is at 0 but for rounding has two slopes.
        _, slope = by_autograd(model, image)
        terms, gradient = value_and_gradient(model.network, model.loss, image, precision, walk)
        for name, value in expected.items():
            assert terms[name].tolist() == pytest.approx(value.tolist(), rel=max(tolerance, 1e-12))
        for b in range(2):
            assert distance(gradient[b], slope[b]) < tolerance
    assert gradient.is_contiguous()


def test_bfloat16_is_as_near_as_autocasts():
    model = module(torch.float32)
    image = images(3, 2, 3, 37, 45, dtype=torch.float32)
    expected, slope = by_autograd(model, image)
    with torch.autocast("cpu", torch.bfloat16):
        _, rough = by_autograd(model, image)
    terms, gradient = value_and_gradient(model.network, model.loss, image, torch.bfloat16)
    assert terms["total"].dtype == gradient.dtype == torch.float32
    for name, value in expected.items():
        assert terms[name].tolist() == pytest.approx(value.tolist(), rel=0.02)
    assert 0 < distance(gradient, slope) < 1.1 * distance(rough, slope)


def test_float16_neither_overflows_nor_vanishes():
    for weight in (1e-9, 1e9):
        model = module(torch.float32, style_weight=weight, content_weight=0.0)
        image = images(3, 2, 3, 37, 45, dtype=torch.float32)
        _, slope = by_autograd(model, image)
        _, gradient = value_and_gradient(model.network, model.loss, image, torch.float16)
        # bfloat16 comes to 0.28; some processors round within their products of float16 too (0.10).
        assert distance(gradient, slope) < 0.15


def test_float16_scales_each_image_by_itself():
    model = module(torch.float32, weighting="start", content_weight=0.0)
    # One image's slopes are some 1e-10 of the other's: no one scale would keep both.
    model.loss.set_units(
        {term: torch.tensor([1e20, 1e10]) for term, _ in model.loss.layer_losses()}
    )
    image = images(3, 2, 3, 37, 45, dtype=torch.float32)
    _, slope = by_autograd(model, image)
    _, gradient = value_and_gradient(model.network, model.loss, image, torch.float16)
    assert 0 < float(slope[0].norm()) < 1e-8 * float(slope[1].norm())
    for b in range(2):
        assert distance(gradient[b], slope[b]) < 0.15


def test_float16_with_gradients_of_autograd():
    for weight in (1e-9, 1e9):
        fixed = {"style_loss": "mean-variance", "content_weight": 0.0}
        model = module(torch.float32, style_weight=weight, **fixed)
        image = images(3, 2, 3, 37, 45, dtype=torch.float32)
        _, slope = by_autograd(model, image)
        _, gradient = value_and_gradient(model.network, model.loss, image, torch.float16)
        # The features' own rounding, at any weight: bfloat16's is 0.28.
        assert distance(gradient, slope) < 0.15


@pytest.mark.parametrize("style_loss", ["gram", "mean-variance", "patches"])
@pytest.mark.parametrize("tile", [None, 32])
def test_with_regions_it_is_autograds(style_loss: str, tile: int | None):
    inside = torch.zeros(1, 2, 37, 45)
    inside[:, 0, :20], inside[:, 1, 20:, 9:] = 1, 0.7
    layers = "relu3_1" if style_loss == "patches" else LAYERS
    settings = TransferSettings(weights="random", style_layers=layers, style_loss=style_loss)
    network = build_network(settings).double()
    styles = [Style(images(4, 1, 3, 30, 52), region="#ff0000"), Style(images(5, 1, 3, 40, 40))]
    mask = Mask(("#00ff00", "#ff0000"), inside)
    content = images(1, 2, 3, 37, 45)
    model = StyleTransfer.from_images(
        content, styles, settings, mask=mask, network=network
    ).double()
    image = images(3, 2, 3, 37, 45)
    expected, slope = by_autograd(model, image)
    walk = make_walk(settings, tile)
    terms, gradient = value_and_gradient(model.network, model.loss, image, torch.float64, walk)
    assert terms["style"].tolist() == pytest.approx(expected["style"].tolist(), rel=1e-12)
    assert distance(gradient, slope) < 1e-12
    # What is kept of the content takes its share of the gradient away.
    leaf = image.clone().requires_grad_(True)
    total = model.evaluate(model.composed(leaf))["total"].sum()
    (through,) = torch.autograd.grad(total, leaf)
    assert through[..., 20:, :9].abs().max() == 0
    assert through[..., 20:, 9:].abs().min() > 0


def test_normalized_gradients():
    """Each layer's own gradient has a sum of absolute values of its weight, image by image."""
    weights = {"relu1_1": 2.0, "relu3_1": 0.5}
    model = module(style_layers=weights, content_layers="relu2_1", normalize_gradients=True)
    image = images(3, 2, 3, 37, 45)
    leaf = image.clone().requires_grad_(True)
    features = model.network(leaf)
    expected = torch.zeros_like(image)
    for loss, layer, weight in (
        (model.loss.style["relu1_1"], "relu1_1", 2.0 * 1e3),
        (model.loss.style["relu3_1"], "relu3_1", 0.5 * 1e3),
        (model.loss.content["relu2_1"], "relu2_1", 1.0),
    ):
        for b in range(2):
            own = torch.autograd.grad(loss(features[layer])[b], features[layer], retain_graph=True)[
                0
            ]
            own = weight * own / own.abs().sum()
            expected += torch.autograd.grad(features[layer], leaf, own, retain_graph=True)[0]
    terms, gradient = value_and_gradient(model.network, model.loss, image, torch.float64)
    assert distance(gradient, expected) < 1e-6
    plain, _ = value_and_gradient(module(style_layers=weights, content_layers="relu2_1").network,
                                  model.loss, image, torch.float64)  # fmt: skip
    assert terms["total"].tolist() == plain["total"].tolist()


def test_at_the_target_a_normalized_gradient_is_zero():
    model = module(style_weight=0.0, content_layers="relu2_1", normalize_gradients=True)
    _, gradient = value_and_gradient(
        model.network, model.loss, images(1, 2, 3, 37, 45), torch.float64
    )
    assert gradient.abs().max() < 1e-6


def test_relative_to_the_energy():
    """Features of zero cost what the weights say, in any network."""
    layers: dict[str, Any] = {"style_layers": "relu1_1=2,relu3_1=0.5", "content_layers": "relu2_1"}
    others: list[dict[str, Any]] = [
        {}, {"network": "vgg16"}, {"style_loss": "wasserstein"}, {"gram": "titu1994"},
    ]  # fmt: skip
    for other in others:
        model = module(weighting="energy", **layers, **other)
        zeros = {
            layer: torch.zeros_like(value)
            for layer, value in model.network(images(3, 2, 3, 37, 45)).items()
        }
        terms = model.loss(images(3, 2, 3, 37, 45), zeros)
        assert terms["style"].tolist() == pytest.approx([2.5e3] * 2)
        assert terms["content"].tolist() == pytest.approx([1.0] * 2)


def test_relative_to_the_start():
    model = module(weighting="start", init="noise")
    terms = model.evaluate(model.image)
    layers = model.settings.active_style_layers.values()
    assert terms["style"].tolist() == pytest.approx([1e3 * sum(layers)] * 2, rel=1e-5)
    assert terms["content"].tolist() == pytest.approx([1.3] * 2, rel=1e-5)
    # From the content, whose distance is 0, that is measured in its energy.
    model = module(weighting="start", init="content")
    other = module(weighting="energy", init="content")
    image = images(3, 2, 3, 37, 45)
    assert model.evaluate(image)["content"].tolist() == pytest.approx(
        other.evaluate(image)["content"].tolist()
    )


def test_autograd_gets_the_gradient_of_the_total():
    model = module()
    image = images(3, 2, 3, 37, 45)
    _, slope = by_autograd(model, image)
    leaf = image.clone().requires_grad_(True)
    total = model.evaluate(leaf)["total"]
    (gradient,) = torch.autograd.grad(total, leaf, torch.tensor([1.0, 3.0], dtype=torch.float64))
    assert distance(gradient[0], slope[0]) < 1e-12
    assert distance(gradient[1], 3 * slope[1]) < 1e-12
    with torch.no_grad():
        assert torch.equal(model.evaluate(image)["total"], total)
