"""Losses, gradients and steps on a GPU: those of the CPU, and none that waits for the device."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.benchmark.modes import active
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.targets import Style
from nst_lightning.vgg.weights import Weights, load_weights
from tests.unit.transfer.test_meta_device import (
    CHANGES,
    HEIGHT,
    LAYERS,
    STYLE_LOSSES,
    WIDTH,
    masked,
)

pytestmark = pytest.mark.gpu
GPU = torch.device("cuda")

WAIT = {"wasserstein"}
"""Style losses whose steps wait: eigenvalues are looked at by the CPU."""


@cache
def weights(network: str) -> Weights:
    """Random ones, on the CPU."""
    return load_weights("random", network)


def image(seed: int, batch: int = 1, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Smooth noise, on the CPU."""
    coarse = torch.rand(batch, 3, 7, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


ARRANGEMENTS: dict[str, Any] = {
    "plain": lambda: ([Style(image(1, 1, 30, 52))], None),
    "regions": lambda: (
        [Style(image(1, 1, 30, 52), region="#ff0000"), Style(image(2, 1, 44, 40), mask=masked())],
        masked(),
    ),
    "blend": lambda: ([Style(image(1, 1, 30, 52), share=3), Style(image(2, 1, 48, 40))], None),
}


def transfer(
    device: torch.device,
    arrangement: str = "plain",
    batch: int = 1,
    dtype: torch.dtype = torch.float64,
    recompute: bool = False,
    cuda_graphs: bool = True,
    **settings: Any,
) -> StyleTransfer:
    deep = {"style_layers": "relu3_1"} if settings.get("style_loss") == "patches" else {}
    chosen = TransferSettings(**{"weights": "random", **LAYERS, **deep, **settings})
    net = build_network(chosen, weights(chosen.network))
    styles, mask = ARRANGEMENTS[arrangement]()
    model = StyleTransfer(
        image(0, batch), styles, chosen, mask=mask, network=net, recompute=recompute,
        cuda_graphs=cuda_graphs,
    ).to(device, dtype)  # fmt: skip
    model.prepare()
    return model


def first_evaluation(model: StyleTransfer) -> tuple[Tensor, Tensor]:
    leaf = (model.image.detach() * 0.9 + 0.05).requires_grad_(True)
    total = model.evaluate(leaf)["total"]
    (gradient,) = torch.autograd.grad(total.sum(), leaf)
    return total.detach().cpu().double(), gradient.cpu().double()


def assert_close(ours: Tensor, reference: Tensor, tolerance: float) -> None:
    assert ours.isfinite().all()
    assert float((ours - reference).norm()) <= tolerance * float(reference.norm())


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
@pytest.mark.parametrize(
    ("arrangement", "batch"), [("plain", 1), ("plain", 3), ("regions", 3), ("blend", 3)]
)
def test_every_style_loss_is_that_of_the_cpu(style_loss: str, arrangement: str, batch: int):
    here, there = (
        first_evaluation(transfer(d, arrangement, batch, style_loss=style_loss))
        for d in (torch.device("cpu"), GPU)
    )
    assert_close(there[0], here[0], 1e-9)
    assert_close(there[1], here[1], 1e-6)
    with active("32-true"):
        single = first_evaluation(
            transfer(GPU, arrangement, batch, torch.float32, style_loss=style_loss)
        )
    assert_close(single[0], here[0], 1e-4)


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_every_other_setting_is_that_of_the_cpu(changes: dict[str, Any]):
    totals = []
    for device in (torch.device("cpu"), GPU):
        model = transfer(device, "plain", 2, **changes)
        optimizer = model.configure_optimizers()
        for step in (1, 2, 3):
            model.make_step(optimizer, step)
        totals.append((model.losses["total"].cpu(), model.result().cpu()))
    assert_close(totals[1][0], totals[0][0], 1e-6)
    assert_close(totals[1][1], totals[0][1], 1e-6)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_every_half_precision(style_loss: str, precision: torch.dtype):
    exact, _ = first_evaluation(transfer(torch.device("cpu"), "plain", 2, style_loss=style_loss))
    model = transfer(GPU, "plain", 2, torch.float32, style_loss=style_loss)
    with torch.autocast("cuda", precision):
        total, gradient = first_evaluation(model)
    assert_close(total, exact, 0.05)
    assert gradient.isfinite().all()


def step_without_waits(model: StyleTransfer, steps: int = 3) -> None:
    """Makes steps in which CUDA refuses every wait."""
    model.cuda_graphs = False  # to record waits
    optimizer = model.configure_optimizers()
    model.make_step(optimizer, 1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(2, 2 + steps):
            model.make_step(optimizer, step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("style_loss", [one for one in STYLE_LOSSES if one not in WAIT])
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_no_step_waits(style_loss: str, arrangement: str):
    step_without_waits(transfer(GPU, arrangement, 2, torch.float32, style_loss=style_loss))


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_no_step_waits_with_other_settings(changes: dict[str, Any]):
    step_without_waits(transfer(GPU, "plain", 2, torch.float32, **changes))


@pytest.mark.parametrize("style_loss", [one for one in STYLE_LOSSES if one not in WAIT])
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_recorded_steps_are_the_steps(style_loss: str, arrangement: str):
    made = []
    for cuda_graphs in (False, True):
        model = transfer(
            GPU, arrangement, 2, torch.float32, style_loss=style_loss, cuda_graphs=cuda_graphs
        )
        optimizer = model.configure_optimizers()
        for step in range(1, 15):
            model.make_step(optimizer, step)
        made.append(model)
    assert bool(made[1].recorded)
    assert_close(made[1].losses["total"], made[0].losses["total"], 1e-3)
    assert_close(made[1].result(), made[0].result(), 1e-3)
