"""The frozen VGG that turns pictures into features, and gradients of features into pictures'."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.errors import UserError
from nst_lightning.settings.layers import canonical, layers_to, poolings_before
from nst_lightning.vgg.convolution import FrozenConvolution
from nst_lightning.vgg.weights import Weights

POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"max": F.max_pool2d, "avg": F.avg_pool2d}

Visit = Callable[[str, Tensor], None]
"""Sees a layer's canonical name and its features (B, C, h, w)."""

Pull = Callable[[str, Tensor, Tensor], None]
"""Sees a layer's canonical name, its features and the gradient to them, both (B, C, h, w), and adds
to the gradient in place."""


@dataclass
class Block:
    """What the way back through the layers up to a pooling needs."""

    names: list[str]
    start: Tensor
    """What goes into the first of them."""
    outputs: dict[str, Tensor] = field(default_factory=dict)
    """Of every ReLU and every layer asked for, by name."""
    where: Tensor | None = None
    """Which of its inputs each output of the max pooling is."""


class VGG(nn.Module):
    """VGG-16 or VGG-19 up to the deepest layer asked for; frozen and in eval mode.

    Args:
        weights: the network's tensors, from `load_weights`.
        layers: the layers to return, in any naming scheme; the rest is not even built.
        network: `vgg19` or `vgg16`.
        pooling: `max` as trained, or `avg` as Gatys et al. (2016, section 2) prefer for synthesis.

    Raises:
        UserError: for a layer that the network does not have, or no layer at all.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, weights: Weights, layers: Iterable[str], network: str = "vgg19", pooling: str = "max"
    ) -> None:
        super().__init__()
        self.taps = frozenset(canonical(name, network) for name in layers)
        if not self.taps:
            raise UserError("name at least one content or style layer with a weight above 0.")
        self.sequence = layers_to(self.taps, network)
        self.minimum_side = 2 ** poolings_before(self.sequence[-1])
        self.pool = POOLINGS[pooling]
        self.convs = nn.ModuleDict()
        for name in self.sequence:
            if name.startswith("conv"):
                weight = weights.tensors[f"{name}.weight"]
                conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                conv.weight.data = weight.clone(memory_format=torch.channels_last)
                conv.bias.data = weights.tensors[f"{name}.bias"].clone()  # type: ignore[union-attr]
                self.convs[name] = conv
        self.ready: dict[tuple[torch.device, torch.dtype], dict[str, FrozenConvolution]] = {}
        self.register_buffer("mean", weights.tensors["input.mean"].view(1, 3, 1, 1).clone())
        self.register_buffer("std", weights.tensors["input.std"].view(1, 3, 1, 1).clone())
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "VGG":
        """Stays in eval mode whatever a Trainer asks: the network is a fixed yardstick."""
        return super().train(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Features of pictures.

        Args:
            image: (B, 3, H, W), RGB, sRGB values in [0, 1].

        Returns:
            The features (B, C, h, w) of every layer asked for, by canonical name.

        Raises:
            UserError: the picture is smaller than the network can take.
        """
        self._check(image)
        x = ((image - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features: dict[str, Tensor] = {}
        for position, name in enumerate(self.sequence):
            if name.startswith("conv"):
                x = self.convs[name](x)
            elif name.startswith("relu"):
                # In place only where the convolution's own output is not asked for.
                x = F.relu(x, inplace=self.sequence[position - 1] not in self.taps)
            else:
                x = self.pool(x, 2)
            if name in self.taps:
                features[name] = x
        return features

    def _check(self, image: Tensor) -> None:
        if min(image.shape[-2:]) < self.minimum_side:
            raise UserError(
                f"a picture of {image.shape[-1]}×{image.shape[-2]} pixels is too small for layer "
                f"{self.sequence[-1]}, which needs at least {self.minimum_side} on each side: "
                "choose a larger --size (with --set upscale=true) or shallower layers."
            )

    def down(
        self, image: Tensor, dtype: torch.dtype, visit: Visit, *, recompute: bool = False
    ) -> list[Block]:
        """The walk from the picture to the deepest layer, without autograd.

        Args:
            image: (B, 3, H, W), RGB, sRGB values in [0, 1].
            dtype: precision of the network.
            visit: sees every layer asked for.
            recompute: keep only what goes into each block, and walk it again on the way back: less
                memory for more time.

        Returns:
            What `up` needs.

        Raises:
            UserError: the picture is smaller than the network can take.
        """
        self._check(image)
        x = ((image - self.mean) / self.std).to(dtype, memory_format=torch.channels_last)
        blocks = []
        for names in split_after_poolings(self.sequence):
            block = Block(names, x)
            x = self._through(block)
            for name in names:
                if name in self.taps:
                    visit(name, block.outputs[name])
            if recompute:
                block.outputs.clear()
            blocks.append(block)
        return blocks

    def up(self, blocks: list[Block], pull: Pull) -> Tensor:
        """The walk back: the gradient to the picture, (B, 3, H, W).

        Args:
            blocks: from `down`; used up, so that features are freed on the way.
            pull: adds the loss's own gradient at every layer asked for.
        """
        gradient: Tensor | None = None
        while blocks:
            block = blocks.pop()
            if not block.outputs:
                self._through(block)
            gradient = self._back(block, gradient, pull)
        assert gradient is not None
        return gradient.to(self.std.dtype, memory_format=torch.contiguous_format) / self.std

    def _through(self, block: Block) -> Tensor:
        """One block, noting what its way back needs; returns what goes into the next."""
        x = block.start
        convs = self._convolutions(x)
        for name in block.names:
            if name.startswith("conv"):
                # A layer that is asked for must not be overwritten by its ReLU.
                x = convs[name].forward(x, relu=name not in self.taps)
            elif name.startswith("relu"):
                x = F.relu(x) if name.replace("relu", "conv") in self.taps else x
            elif self.pool is F.max_pool2d:
                x, block.where = F.max_pool2d_with_indices(x, [2, 2])
            else:
                x = self.pool(x, 2)
            if name in self.taps or name.startswith("relu"):
                block.outputs[name] = x
        return x

    def _back(self, block: Block, gradient: Tensor | None, pull: Pull) -> Tensor:
        """The gradient to what goes into a block, from that to what comes out of it, if any."""
        convs = self._convolutions(block.start)
        for position, name in reversed(list(enumerate(block.names))):
            if name in self.taps:
                if gradient is None:
                    gradient = torch.zeros_like(block.outputs[name])
                pull(name, block.outputs[name], gradient)
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
                gradient = self._unpool(gradient, before, block.where)
        assert gradient is not None
        return gradient

    def _unpool(self, gradient: Tensor, before: Tensor, where: Tensor | None) -> Tensor:
        """The gradient to what goes into a pooling."""
        side, none = [2, 2], [0, 0]
        if where is None:
            found: Tensor = torch.ops.aten.avg_pool2d_backward(
                gradient, before, side, side, none, False, True, None
            )
        else:
            found = torch.ops.aten.max_pool2d_with_indices_backward(
                gradient, before, side, side, none, [1, 1], False, where
            )
        return found.contiguous(memory_format=torch.channels_last)

    def _convolutions(self, x: Tensor) -> dict[str, FrozenConvolution]:
        """The convolutions, made ready for the device and precision of `x` once."""
        key = (x.device, x.dtype)
        if key not in self.ready:
            self.ready[key] = {
                name: FrozenConvolution(
                    *(tensor.detach().to(x.device, x.dtype) for tensor in conv.parameters())
                )
                for name, conv in self.convs.items()
            }
        return self.ready[key]


def split_after_poolings(names: list[str]) -> list[list[str]]:
    """Layers in blocks, each but the last ending with a pooling."""
    blocks: list[list[str]] = [[]]
    for name in names:
        if blocks[-1] and blocks[-1][-1].startswith("pool"):
            blocks.append([])
        blocks[-1].append(name)
    return blocks
