"""The frozen VGG: its forward pass to features, and its backward pass to the image's gradient."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from nst_lightning.band import Band
from nst_lightning.errors import UserError
from nst_lightning.settings.layers import (
    canonical,
    channels,
    even,
    layers_to,
    poolings_before,
    side_of_tiles,
    split_after_poolings,
)
from nst_lightning.vgg.convolution import FrozenConvolution
from nst_lightning.vgg.weights import Weights
from nst_lightning.windows import Window, tiles

POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"max": F.max_pool2d, "avg": F.avg_pool2d}

ReceiveFeatures = Callable[[str, Tensor, Window, Window], None]
"""Receives a layer's canonical name, features (B, C, h, w), the window of the layer that they are,
and the window within it that is to be counted: all of these make up the layer."""

AccumulateGradient = Callable[[str, Tensor, Tensor, Window], None]
"""Receives a layer's canonical name, features and the gradient to them, both (B, C, h, w), and the
window of the layer that they are, and adds the gradient of the layer's own losses in place."""


@dataclass
class Part:
    """What the backward pass of a part of a block needs."""

    outputs: dict[str, Tensor] = field(default_factory=dict)
    """The outputs of every ReLU and every layer asked for, by name."""
    pooled_from: Tensor | None = None
    """The index of the input that each output of the max pooling is."""


@dataclass(frozen=True)
class Walk:
    """How an image is taken through the network: as a whole, or block by block in tiles.

    Of an image in tiles the input of each block is kept whole and all the rest is computed tile by
    tile, with a margin, and once more in the backward pass. Whatever the tiles, the features and
    gradients are the same but for rounding.

    side: of a square of pixels that a tile is at most as large as; those of deeper blocks, which
        have more channels, hold as many numbers. None: the whole image.
    recompute: keep only the input of each block even where the tile is the whole.
    reach: how many positions beyond its own a loss looks at.
    watch: is told after each tile which share of the work of both passes is done.
    band: what this process holds of images that several compute together; None: all.
    """

    side: int | None = None
    recompute: bool = False
    reach: int = 0
    watch: Callable[[float], None] | None = None
    band: Band | None = None


WHOLE = Walk()


@dataclass
class Block:
    """The layers up to and with a pooling, with what their backward pass needs."""

    names: list[str]
    depth: int
    """The number of poolings before it."""
    input: Tensor
    held: Window
    """What the input is of."""
    own: Window
    """What of it this process computes."""
    tiles: list[Window]
    """The parts of that, which are those of its convolutions' outputs too."""
    margins: tuple[int, int]
    """What is computed around a tile in the forward pass, and beyond that in the backward pass."""
    whole: Part | None = None
    """What was kept, where the only tile is the whole."""

    @property
    def pooled(self) -> bool:
        """Whether it ends with a pooling."""
        return self.names[-1].startswith("pool")

    def at(self, name: str, window: Window) -> Window:
        """Returns what a window of the block's input is of the output of one of its layers."""
        return window.halved() if name.startswith("pool") else window


class VGG(nn.Module):
    """VGG-16 or VGG-19 up to the deepest layer asked for, frozen.

    Args:
        weights: the network's tensors, from `load_weights`.
        layers: the layers to return, in any naming scheme; the rest is not even built.
        network: `vgg19` or `vgg16`.
        pooling: `max` as trained, or `avg` as Gatys et al. (2016, section 2) prefer for synthesis.
        padding: what the border of each convolution is: `zero` as trained, `replicate` or
            `reflect`.

    Raises:
        UserError: for a layer that the network does not have, or no layer at all.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        weights: Weights,
        layers: Iterable[str],
        network: str = "vgg19",
        pooling: str = "max",
        padding: str = "zero",
    ) -> None:
        super().__init__()
        self.identity = {
            "name": network, "weights": weights.source, "checksum": weights.checksum,
        }  # fmt: skip
        """The name, and where the weights came from."""
        self.taps = frozenset(canonical(name, network) for name in layers)
        if not self.taps:
            raise UserError("name at least one content or style layer with a weight above 0.")
        self.sequence = layers_to(self.taps, network)
        self.work = work_of_blocks(self.sequence)
        self.minimum_side = 2 ** poolings_before(self.sequence[-1])
        if padding == "reflect":  # needs a pixel beside that of the border
            deepest = max(name for name in self.sequence if name.startswith("conv"))
            self.minimum_side = max(self.minimum_side, 2 * 2 ** poolings_before(deepest))
        self.pooling = pooling
        self.padding = padding
        self.convs = nn.ModuleDict()
        for name in self.sequence:
            if name.startswith("conv"):
                weight = weights.tensors[f"{name}.weight"]
                # Without random values, which would be drawn from the user's random state.
                channels = weight.shape[1], weight.shape[0]
                mode = "zeros" if padding == "zero" else padding
                conv = skip_init(nn.Conv2d, *channels, 3, padding=1, padding_mode=mode)  # type: ignore[no-untyped-call]
                conv.weight.data = weight.clone(memory_format=torch.channels_last)
                conv.bias.data = weights.tensors[f"{name}.bias"].clone()
                self.convs[name] = conv
        self.prepared: dict[tuple[torch.device, torch.dtype], dict[str, FrozenConvolution]] = {}
        self.register_buffer("mean", weights.tensors["input.mean"].view(1, 3, 1, 1).clone())
        self.register_buffer("std", weights.tensors["input.std"].view(1, 3, 1, 1).clone())
        self.requires_grad_(False)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out what is prepared for a device, which oneDNN cannot copy: it is made again."""
        return {**self.__dict__, "prepared": {}}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Computes features in a way that autograd can follow.

        Args:
            image: (B, 3, H, W), RGB, sRGB values in [0, 1].

        Returns:
            The features (B, C, h, w) of every layer asked for, by canonical name.

        Raises:
            UserError: the image is smaller than the network can take.
        """
        self._check_size(image)
        x = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features: dict[str, Tensor] = {}
        for position, name in enumerate(self.sequence):
            if name.startswith("conv"):
                x = self.convs[name](x)
            elif name.startswith("relu"):
                # In place only where the convolution's own output is not asked for.
                x = F.relu(x, inplace=self.sequence[position - 1] not in self.taps)
            else:
                x = POOLINGS[self.pooling](x, 2)
            if name in self.taps:
                features[name] = x
        return features

    def _check_size(self, image: Tensor) -> None:
        if min(image.shape[-2:]) < self.minimum_side:
            raise UserError(
                f"an image of {image.shape[-1]}×{image.shape[-2]} pixels is too small for layer "
                f"{self.sequence[-1]}, which needs at least {self.minimum_side} on each side: "
                "choose a larger --size (with --upscale) or shallower layers."
            )

    def forward_pass(
        self,
        image: Tensor,
        dtype: torch.dtype,
        receive: ReceiveFeatures,
        walk: Walk = WHOLE,
        *,
        keep: bool = True,
    ) -> list[Block]:
        """Computes features without autograd, block by block.

        Args:
            image: (B, 3, H, W), RGB, sRGB values in [0, 1].
            dtype: the precision of the network.
            receive: is called with every layer asked for, from the first to the deepest, tile by
                tile.
            walk: how.
            keep: whether there is to be a backward pass.

        Returns:
            The blocks, to be passed to `backward_pass`; none where there is to be none.

        Raises:
            UserError: the image is smaller than the network can take.
        """
        if walk.band is None:
            self._check_size(image)
        blocks: list[Block] = []
        x, done = image, 0.0
        for depth, names in enumerate(split_after_poolings(self.sequence)):
            block = self._block(names, depth, x, walk)
            output: Tensor | None = None
            for tile in block.tiles:
                region = tile.grown(block.margins[0])
                last, part = self._run(names, self._input(block, region, dtype))
                for name in names:
                    if name in self.taps:
                        at = block.at(name, region), block.at(name, tile)
                        receive(name, part.outputs[name], *at)
                if block.pooled:
                    half = tile.halved()
                    own = half.cut(last, region.halved())
                    output = half.put(own, output, block.own.halved())
                if keep and tile.is_all and not walk.recompute:
                    block.whole = part
                del last, part
                done += self.work[depth] * tile.share
                if walk.watch:
                    walk.watch(done / 3)
            if keep:
                blocks.append(block)
            x = x if output is None else output
        return blocks

    def backward_pass(
        self,
        blocks: list[Block],
        dtype: torch.dtype,
        accumulate: AccumulateGradient,
        walk: Walk = WHOLE,
    ) -> Tensor:
        """Computes the gradient to the image from the gradients to the features.

        Args:
            blocks: those of `forward_pass`; the list is emptied, so that features are freed early.
            dtype: the precision of the network.
            accumulate: is called with every layer asked for, from the deepest to the first, tile
                by tile.
            walk: that of the forward pass.

        Returns:
            The gradient, (B, 3, H, W).
        """
        gradient: Tensor | None = None
        done = 0.0
        while blocks:
            block = blocks.pop()
            half = block.own.halved()
            if gradient is not None and walk.band:
                rows = sum(block.margins) // 2
                gradient, half = walk.band.with_neighbours(gradient, block.depth + 1, rows)
            to_input: Tensor | None = None
            for tile in block.tiles:
                inner = tile.grown(block.margins[1])
                region = tile.grown(sum(block.margins))
                part = block.whole or self._run(block.names, self._input(block, region, dtype))[1]
                to_output = None if gradient is None else region.halved().cut(gradient, half)
                found = self._backward(block, part, region, inner, to_output, accumulate)
                own = tile.cut(found, inner)
                if not blocks:
                    own = own.to(self.std.dtype) / self.std
                    own = own.contiguous()
                to_input = tile.put(own, to_input, block.own)
                del part, found, own, to_output
                done += self.work[len(blocks)] * tile.share
                if walk.watch:
                    walk.watch((1 + 2 * done) / 3)
            gradient = to_input
        assert gradient is not None
        return gradient

    def _block(self, names: list[str], depth: int, x: Tensor, walk: Walk) -> Block:
        """Returns a block with its tiles; see `Walk`.

        Each convolution looks one position further, and its gradient too; a position after the
        pooling is two before. A border that is mirrored folds one more back inside. Margins are
        even, for poolings.
        """
        forward = backward = sum(name.startswith("conv") for name in names)
        for position, name in enumerate(names):
            if name in self.taps:
                before = sum(one.startswith("conv") for one in names[: position + 1])
                forward = max(forward, before + walk.reach * (2 if name.startswith("pool") else 1))
                backward = max(backward, before + 2 * walk.reach)
        forward, backward = even(forward), even(backward + (self.padding == "reflect"))
        side = walk.side and side_of_tiles(walk.side, channels(names[0]))
        own = held = Window.all_of(x.shape[-2], x.shape[-1])
        if walk.band:
            own = walk.band.at(depth)
            x, held = walk.band.with_neighbours(x, depth, forward + backward)
        there = list(tiles(own, side, forward + backward))
        return Block(names, depth, x, held, own, there, (forward, backward))

    def _input(self, block: Block, region: Window, dtype: torch.dtype) -> Tensor:
        """Returns the input of a part of a block, of the first as the network sees it."""
        x = region.cut(block.input, block.held)
        if block.names[0] == self.sequence[0]:
            x = (x - self.mean) / self.std
        return x.to(dtype).contiguous(memory_format=torch.channels_last)

    def _run(self, names: list[str], x: Tensor) -> tuple[Tensor, Part]:
        """Computes layers and keeps what their backward pass needs; returns the output and that."""
        part = Part()
        convs = self._convolutions(x)
        for name in names:
            if name.startswith("conv"):
                # A layer that is asked for must not be overwritten by its ReLU.
                x = convs[name].forward(x, relu=name not in self.taps)
            elif name.startswith("relu"):
                x = F.relu(x) if name.replace("relu", "conv") in self.taps else x
            elif self.pooling == "max":
                x, part.pooled_from = F.max_pool2d_with_indices(x, [2, 2])
            else:
                x = POOLINGS[self.pooling](x, 2)
            if name in self.taps or name.startswith("relu"):
                part.outputs[name] = x
        return x, part

    def _backward(
        self,
        block: Block,
        part: Part,
        region: Window,
        inner: Window,
        to_output: Tensor | None,
        accumulate: AccumulateGradient,
    ) -> Tensor:
        """Turns the gradient to a part of a block's output, if there is one yet, into that to its
        input.

        Args:
            block: the block.
            part: computed of the region.
            region: the inner window with a margin, so that features are right there.
            inner: the part of the input, whose own border gets less than its gradient.
            to_output: the gradient to the region's output.
            accumulate: adds the gradients of losses.
        """
        gradient: Tensor | None = None
        outputs = part.outputs
        if block.pooled:
            name = block.names[-1]
            at = region.halved()
            gradient = to_output
            if gradient is not None and not at.is_all:  # other tiles need it as it is
                gradient = gradient.clone(memory_format=torch.channels_last)
            gradient = self._accumulated(name, outputs, gradient, at, accumulate)
            if gradient is not None:
                before = outputs[block.names[-2]]
                gradient = self._backward_pooling(gradient, before, part.pooled_from)
                gradient = dense(inner.cut(gradient, region))
        names = [name for name in block.names if not name.startswith("pool")]
        outputs = {name: inner.cut(outputs.pop(name), region) for name in names if name in outputs}
        convs: dict[str, FrozenConvolution] | None = None
        for name in reversed(names):
            gradient = self._accumulated(name, outputs, gradient, inner, accumulate)
            assert gradient is not None
            if name.startswith("conv"):
                convs = convs or self._convolutions(gradient)
                gradient = convs[name].backward(gradient)
            else:
                output = outputs.pop(name)
                gradient = torch.ops.aten.threshold_backward.grad_input(
                    gradient, output, 0, grad_input=gradient
                )
        assert gradient is not None
        return gradient

    def _accumulated(
        self,
        name: str,
        outputs: dict[str, Tensor],
        gradient: Tensor | None,
        window: Window,
        accumulate: AccumulateGradient,
    ) -> Tensor | None:
        """Adds the gradients of a layer's own losses, where it is one of those asked for."""
        if name not in self.taps:
            return gradient
        if gradient is None:
            gradient = torch.zeros_like(outputs[name], memory_format=torch.channels_last)
        accumulate(name, outputs[name], gradient, window)
        return gradient

    def _backward_pooling(
        self, gradient: Tensor, before: Tensor, pooled_from: Tensor | None
    ) -> Tensor:
        """Turns the gradient to a pooling's output into that to its input `before`."""
        side, none = [2, 2], [0, 0]
        if pooled_from is None:
            found: Tensor = torch.ops.aten.avg_pool2d_backward(
                gradient, before, side, side, none, False, True, None
            )
        else:
            found = torch.ops.aten.max_pool2d_with_indices_backward(
                gradient, before, side, side, none, [1, 1], False, pooled_from
            )
        return found.contiguous(memory_format=torch.channels_last)

    def _convolutions(self, x: Tensor) -> dict[str, FrozenConvolution]:
        """Returns the convolutions, prepared once for each device and precision of `x`."""
        key = (x.device, x.dtype)
        if key not in self.prepared:
            self.prepared[key] = {
                name: FrozenConvolution(
                    *(tensor.detach().to(x.device, x.dtype) for tensor in conv.parameters()),
                    padding=self.padding,
                )
                for name, conv in self.convs.items()
            }
        return self.prepared[key]


def work_of_blocks(names: list[str]) -> list[float]:
    """Returns the share of each block in the multiplications of all convolutions."""
    work, incoming = [], 3
    for depth, block in enumerate(split_after_poolings(names)):
        work.append(0.0)
        for name in block:
            if name.startswith("conv"):
                work[-1] += incoming * channels(name) / 4**depth
                incoming = channels(name)
    return [one / sum(work) for one in work]


def dense(x: Tensor) -> Tensor:
    """Returns a tensor in channels_last without gaps, the same where it has none."""
    return x.contiguous(memory_format=torch.channels_last)
