"""The frozen VGG: its forward pass to features, and its backward pass to the image's gradient."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from nst_lightning.errors import UserError
from nst_lightning.settings.layers import canonical, layers_to, poolings_before
from nst_lightning.vgg.convolution import FrozenConvolution
from nst_lightning.vgg.weights import Weights

POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"max": F.max_pool2d, "avg": F.avg_pool2d}

ReceiveFeatures = Callable[[str, Tensor], None]
"""Receives a layer's canonical name and its features (B, C, h, w)."""

AccumulateGradient = Callable[[str, Tensor, Tensor], None]
"""Receives a layer's canonical name, its features and the gradient to them, both (B, C, h, w), and
adds the gradient of the layer's own losses in place."""


@dataclass
class Block:
    """The layers up to and with a pooling, with what their backward pass needs."""

    names: list[str]
    input: Tensor
    outputs: dict[str, Tensor] = field(default_factory=dict)
    """The outputs of every ReLU and every layer asked for, by name."""
    pooled_from: Tensor | None = None
    """The index of the input that each output of the max pooling is."""


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
        *,
        recompute: bool = False,
    ) -> list[Block]:
        """Computes features without autograd, and keeps what `backward_pass` needs.

        Args:
            image: (B, 3, H, W), RGB, sRGB values in [0, 1].
            dtype: the precision of the network.
            receive: is called with every layer asked for, from the first to the deepest.
            recompute: keep only the input of each block and compute the rest anew in the backward
                pass, which takes less memory and more time.

        Returns:
            The blocks, to be passed to `backward_pass`.

        Raises:
            UserError: the image is smaller than the network can take.
        """
        self._check_size(image)
        x = ((image - self.mean) / self.std).to(dtype, memory_format=torch.channels_last)
        blocks = []
        for names in split_after_poolings(self.sequence):
            block = Block(names, x)
            x = self._run_block(block)
            for name in names:
                if name in self.taps:
                    receive(name, block.outputs[name])
            if recompute:
                block.outputs.clear()
            blocks.append(block)
        return blocks

    def backward_pass(self, blocks: list[Block], accumulate: AccumulateGradient) -> Tensor:
        """Computes the gradient to the image from the gradients to the features.

        Args:
            blocks: those of `forward_pass`; the list is emptied, so that features are freed early.
            accumulate: is called with every layer asked for, from the deepest to the first.

        Returns:
            The gradient, (B, 3, H, W).
        """
        gradient: Tensor | None = None
        while blocks:
            block = blocks.pop()
            if not block.outputs:
                self._run_block(block)
            gradient = self._backward_block(block, gradient, accumulate)
        assert gradient is not None
        return gradient.to(self.std.dtype, memory_format=torch.contiguous_format) / self.std

    def _run_block(self, block: Block) -> Tensor:
        """Computes a block, keeps what its backward pass needs and returns the output."""
        x = block.input
        convs = self._convolutions(x)
        for name in block.names:
            if name.startswith("conv"):
                # A layer that is asked for must not be overwritten by its ReLU.
                x = convs[name].forward(x, relu=name not in self.taps)
            elif name.startswith("relu"):
                x = F.relu(x) if name.replace("relu", "conv") in self.taps else x
            elif self.pooling == "max":
                x, block.pooled_from = F.max_pool2d_with_indices(x, [2, 2])
            else:
                x = POOLINGS[self.pooling](x, 2)
            if name in self.taps or name.startswith("relu"):
                block.outputs[name] = x
        return x

    def _backward_block(
        self, block: Block, gradient: Tensor | None, accumulate: AccumulateGradient
    ) -> Tensor:
        """Turns the gradient to a block's output, if there is one yet, into that to its input."""
        convs = self._convolutions(block.input)
        for position, name in reversed(list(enumerate(block.names))):
            if name in self.taps:
                if gradient is None:
                    gradient = torch.zeros_like(block.outputs[name])
                accumulate(name, block.outputs[name], gradient)
            assert gradient is not None
            if name.startswith("conv"):
                gradient = convs[name].backward(gradient)
            elif name.startswith("relu"):
                output = block.outputs.pop(name)
                gradient = torch.ops.aten.threshold_backward.grad_input(
                    gradient, output, 0, grad_input=gradient
                )
            else:
                before = block.outputs[block.names[position - 1]]
                gradient = self._backward_pooling(gradient, before, block.pooled_from)
        assert gradient is not None
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


def split_after_poolings(names: list[str]) -> list[list[str]]:
    """Splits layers into blocks of which each but the last ends with a pooling."""
    blocks: list[list[str]] = [[]]
    for name in names:
        if blocks[-1] and blocks[-1][-1].startswith("pool"):
            blocks.append([])
        blocks[-1].append(name)
    return blocks
