"""Estimates what a plan costs, before anything is run. Imports torch only to time this machine."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nst_lightning.grid.pairs import Case, Pair
from nst_lightning.grid.sources import Source, shape_at
from nst_lightning.run.film_plan import later_steps, segments_of
from nst_lightning.settings import BatchSettings, TransferSettings
from nst_lightning.settings.layers import (
    channels,
    even,
    layers_to,
    poolings_before,
    side_of_tiles,
    split_after_poolings,
)

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


def step_bytes(
    settings: BatchSettings,
    height: int,
    width: int,
    tile: int | None = None,
    *,
    history: bool = True,
) -> float:
    """Returns the bytes that one image of a batch takes at the peak of a step.

    It counts what the network takes, the content's features, the images that the module and the
    optimiser keep, and the memory of L-BFGS. Measured peaks are in docs/performance.md and
    docs/large.md.

    Args:
        settings: with the precision resolved.
        height: of the image.
        width: of the image.
        tile: the side of tiles; None: the whole image.
        history: whether the memory of L-BFGS lies there too.
    """
    pixels = height * width
    own = 8 if settings.precision == "64-true" else 4
    network = tiled_bytes(settings, pixels, tile) if tile else whole_bytes(settings, pixels)
    layers = settings.active_content_layers
    targets = sum(own * channels(name) * (pixels >> 2 * poolings_before(name)) for name in layers)
    images = OTHER_IMAGES * own * 3 * pixels
    memory = history_bytes(settings, pixels) if history else 0.0
    return network + targets + images + memory


OTHER_IMAGES = 8
"""The image, its gradient, its last good state, the content and the start; of the optimiser the
last step and gradient; and one in passing."""


def history_bytes(settings: BatchSettings, pixels: int) -> float:
    """Returns the bytes of the memory of L-BFGS, or of Adam's averages."""
    own = 8 if settings.precision == "64-true" else 4
    if settings.optimizer == "adam":
        return 2 * own * 3 * pixels
    if settings.lbfgs_precision == "bfloat16":
        own = 2
    return 2 * settings.lbfgs_memory * own * 3 * pixels


def bytes_a_number(settings: BatchSettings) -> int:
    """Returns the bytes of a number in the network."""
    return {"64-true": 8, "32-true": 4}.get(settings.precision, 2)


def whole_bytes(settings: BatchSettings, pixels: int) -> float:
    """Returns the bytes that the network takes for a whole image: the inputs of blocks, the outputs
    of ReLUs and of layers asked for, the poolings' indices, and the two gradients that meet at the
    widest layer where they outlive what is kept."""
    size = bytes_a_number(settings)
    layers = [*settings.active_content_layers, *settings.active_style_layers]
    # Their gradients to the features wait in float32 for the way back.
    apart = {*layers} if settings.normalize_gradients else set()
    if settings.style_loss == "sliced-wasserstein":
        apart |= {*settings.active_style_layers}
    kept, inputs, widest, block, largest_block = 0.0, 0.0, 0.0, 0.0, 0.0
    for name in layers_to(layers, settings.network):
        if name.startswith("pool"):
            pixels //= 4
            kept += size * channels(name) * pixels
            inputs += size * channels(name) * pixels
            kept += 8 * channels(name) * pixels if settings.pooling == "max" else 0
            block = 0.0
        elif name.startswith("relu") or name in layers:
            layer = size * channels(name) * pixels
            if name in apart:
                kept += 4 * channels(name) * pixels
            kept, block, widest = kept + layer, block + layer, max(widest, layer)
            largest_block = max(largest_block, block)
    if settings.recompute:
        kept = inputs + largest_block
    # A border that is not of zeros is put around the wider of them.
    gradients = 2 if settings.padding == "zero" else 3
    return max(kept, largest_block + gradients * widest)


def tiled_bytes(settings: BatchSettings, pixels: int, tile: int) -> float:
    """Returns the bytes that the network takes for an image in tiles: the inputs of its blocks up
    to one, the gradients on both sides of it, what is there of one tile, and what is kept of the
    blocks before that are a single tile."""
    size = bytes_a_number(settings)
    layers = [*settings.active_content_layers, *settings.active_style_layers]
    blocks = split_after_poolings(layers_to(layers, settings.network))
    indices = 8 / 4 if settings.pooling == "max" else 0
    inputs, whole, most = 0.0, 0.0, 0.0
    to_input = 0.0
    for depth, names in enumerate(blocks):
        width, here = channels(names[0]), pixels / 4**depth
        pooled = names[-1].startswith("pool")
        output = size * width * here / 4 if pooled else 0.0
        convs = sum(name.startswith("conv") for name in names)
        kept = sum(name.startswith("relu") or name in layers for name in names)
        side = side_of_tiles(tile, width)
        margined = min((side + 4 * even(convs)) ** 2, here) if tile else 0.0
        one = margined * width * (size * (kept + 3) + indices)
        most = max(most, inputs + to_input + output + whole + one)
        if tile and side * side >= here and not settings.recompute:
            whole += here * width * (size * kept + indices)
        inputs, to_input = inputs + output, output
    return max(most, inputs)


def plan_flops(pairs: Iterable[Pair], settings: BatchSettings) -> float:
    """Returns the floating-point operations of all pairs, which must be readable."""
    return sum(content_flops(pair.content, settings) for pair in pairs)


def content_flops(content: Source, settings: BatchSettings) -> float:
    """Returns the floating-point operations of a pair with a content."""
    each = [step_flops(settings, *shape_at(content, scale, settings)) for scale in settings.scales]
    image = sum(scale.steps * one for scale, one in zip(settings.scales, each, strict=True))
    if content.film is None:
        return image
    parts = segments_of(content, settings)
    later = sum(part.frames - 1 for part in parts) * later_steps(settings)
    return len(parts) * image + later * each[-1]


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
        # Several make one film together: they share its segments, not the pairs.
        of_films = any(pair.content.film is not None for pair in case.pairs)
        shares.append(case if of_films else replace(case, pairs=mine))
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
