"""Estimates what a plan costs, before anything is run. Imports torch only to time this machine."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nst_lightning.grid.pairs import Case, Pair
from nst_lightning.grid.sources import Source, shape_at
from nst_lightning.settings import BatchSettings, TransferSettings
from nst_lightning.settings.layers import channels, layers_to
from nst_lightning.settings.transfer import BY_MOMENTS

if TYPE_CHECKING:
    import torch


def step_flops(settings: TransferSettings, height: int, width: int) -> float:
    """Returns the floating-point operations of one step on one image.

    It counts the convolutions forward and backward to the input, two operations a
    multiply-add; at 512² through relu5_1 of VGG-19 that is 0.40 TFLOP.
    """
    layers = [*settings.active_content_layers, *settings.active_style_layers]
    incoming, total = 3, 0.0
    for name in layers_to(layers, settings.network):
        if name.startswith("conv"):
            total += 4 * 9 * incoming * channels(name) * height * width
            incoming = channels(name)
        elif name.startswith("pool"):
            height, width = height // 2, width // 2
    return total


def step_bytes(settings: BatchSettings, height: int, width: int) -> float:
    """Returns the bytes that one image of a batch takes at the peak of a step.

    It counts the outputs of ReLUs and of layers asked for, the poolings' indices, the two gradients
    that meet at the widest layer where they outlive what is kept, and the images that L-BFGS
    keeps. Measured peaks are in docs/performance.md.
    """
    size = {"64-true": 8, "32-true": 4}.get(settings.precision, 2)
    layers = [*settings.active_content_layers, *settings.active_style_layers]
    # Their gradients to the features wait in float32 for the way back.
    apart = {*settings.active_style_layers} if settings.style_loss not in BY_MOMENTS else set()
    if settings.normalize_gradients:
        apart = {*layers}
    pixels = height * width
    kept, widest, block, largest_block = 0.0, 0.0, 0.0, 0.0
    for name in layers_to(layers, settings.network):
        if name.startswith("pool"):
            pixels //= 4
            kept += 8 * channels(name) * pixels if settings.pooling == "max" else 0
            block = 0.0
        elif name.startswith("relu") or name in layers:
            layer = size * channels(name) * pixels
            if name in apart:
                kept += 4 * channels(name) * pixels
            kept, block, widest = kept + layer, block + layer, max(widest, layer)
            largest_block = max(largest_block, block)
    if settings.recompute:
        kept = largest_block
    images = 2 * settings.lbfgs_memory + 10 if settings.optimizer == "lbfgs" else 8
    own = 8 if settings.precision == "64-true" else 4
    # A border that is not of zeros is put around the wider of them.
    gradients = 2 if settings.padding == "zero" else 3
    return max(kept, largest_block + gradients * widest) + images * own * 3 * height * width


def plan_flops(pairs: Iterable[Pair], settings: BatchSettings) -> float:
    """Returns the floating-point operations of all pairs, which must be readable."""
    return sum(
        scale.steps * step_flops(settings, *shape_at(pair.content, scale, settings))
        for pair in pairs
        for scale in settings.scales
    )


def deal(cases: Sequence[Case], rank: int, size: int) -> list[Case]:
    """Returns the share of one of `size` tasks: neighbours, which share contents, at about equal
    cost.

    It depends on the plan alone, not on what is finished: tasks that start at different times, or
    again, agree on who makes what.

    Args:
        cases: all that is asked for.
        rank: from 0.
        size: at least 1.
    """
    if size == 1:
        return list(cases)
    costs = [costs_of_contents(case) for case in cases]
    total = sum(
        cost[pair.content] for case, cost in zip(cases, costs, strict=True) for pair in case.pairs
    )
    before, shares = 0.0, []
    for case, cost in zip(cases, costs, strict=True):
        mine = []
        for pair in case.pairs:
            middle = before + cost[pair.content] / 2
            before += cost[pair.content]
            if min(size - 1, int(size * middle / total)) == rank:
                mine.append(pair)
        shares.append(replace(case, pairs=mine))
    return shares


def costs_of_contents(case: Case) -> dict[Source, float]:
    """Returns what a pair with each content costs, in operations; 1 where it cannot be read."""
    contents = {pair.content: pair for pair in case.pairs}
    return {
        source: plan_flops([pair], case.settings) if source.shape else 1.0
        for source, pair in contents.items()
    }


def flops_per_second(device: "torch.device", dtype: "torch.dtype") -> float:
    """Measures what a device reaches on a convolution like the network's; takes about a second."""
    import torch

    how: dict[str, Any] = {"device": device, "dtype": dtype}
    side, width = 64, 256
    conv = torch.nn.Conv2d(width, width, 3, padding=1, **how).requires_grad_(False)
    conv = conv.to(memory_format=torch.channels_last)
    x = torch.randn(1, width, side, side, **how).to(memory_format=torch.channels_last)
    x.requires_grad_(True)

    def once() -> None:
        torch.autograd.grad(conv(x).sum(), x)
        float(x.detach()[0, 0, 0, 0])  # waits for the device

    once()
    started = time.perf_counter()
    rounds = 0
    while time.perf_counter() - started < 0.5:
        once()
        rounds += 1
    return rounds * 4 * 9 * width * width * side * side / (time.perf_counter() - started)
