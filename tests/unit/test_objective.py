"""The gradient without autograd, against autograd on the same network."""

import pytest
import torch
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.objective import value_and_gradient
from nst_lightning.transfer import build_network

LAYERS = "conv1_1=0.5,relu1_1,relu2_1=0.7,conv3_1,pool3=0.3,relu4_1,conv4_2=2"


def pictures(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def module(dtype: torch.dtype = torch.float64, **changes: object) -> StyleTransfer:
    fixed = {"weights": "random", "style_layers": LAYERS, "content_layers": "relu2_1,relu4_2=0.3"}
    settings = TransferSettings(**{**fixed, "style_weight": 1e3, **changes})
    network = build_network(settings).to(dtype)
    content, style = pictures(1, 2, 3, 37, 45, dtype=dtype), pictures(2, 1, 3, 30, 52, dtype=dtype)
    return StyleTransfer(content, style, settings, network=network).to(dtype)


def by_autograd(model: StyleTransfer, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    leaf = image.clone().requires_grad_(True)
    terms = model.loss(leaf, model.network(leaf))
    return terms, torch.autograd.grad(terms["total"].sum(), leaf)[0]


def distance(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pooling": "avg", "tv_weight": 3.0},
        {"gram": "tutorial", "content_loss": "type1"},
        {"gram": "titu1994", "content_weight": 0.0},
        {"style_weight": 0.0, "content_loss": "paper"},
    ],
)
@pytest.mark.parametrize("recompute", [False, True])
def test_it_is_autograds(changes: dict[str, object], recompute: bool):
    model = module(**changes)
    image = pictures(3, 2, 3, 37, 45)
    expected, slope = by_autograd(model, image)
    for precision, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        model, image = model.to(precision), image.to(precision)
        terms, gradient = value_and_gradient(
            model.network, model.loss, image, precision, recompute=recompute
        )
        for name, value in expected.items():
            assert terms[name].tolist() == pytest.approx(value.tolist(), rel=max(tolerance, 1e-12))
        for b in range(2):
            assert distance(gradient[b], slope[b]) < tolerance
    assert gradient.is_contiguous()


def test_bfloat16_is_as_near_as_autocasts():
    model = module(torch.float32)
    image = pictures(3, 2, 3, 37, 45, dtype=torch.float32)
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
        image = pictures(3, 2, 3, 37, 45, dtype=torch.float32)
        _, slope = by_autograd(model, image)
        _, gradient = value_and_gradient(model.network, model.loss, image, torch.float16)
        assert distance(gradient, slope) < 0.1


def test_autograd_gets_the_gradient_of_the_total():
    model = module()
    image = pictures(3, 2, 3, 37, 45)
    _, slope = by_autograd(model, image)
    leaf = image.clone().requires_grad_(True)
    total = model.evaluate(leaf)["total"]
    (gradient,) = torch.autograd.grad(total, leaf, torch.tensor([1.0, 3.0], dtype=torch.float64))
    assert distance(gradient[0], slope[0]) < 1e-12
    assert distance(gradient[1], 3 * slope[1]) < 1e-12
    with torch.no_grad():
        assert torch.equal(model.evaluate(image)["total"], total)
