"""The frozen VGG that turns pictures into features."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.errors import UserError
from nst_lightning.vgg.layers import canonical, deepest, layer_sequence, poolings_before
from nst_lightning.vgg.weights import Weights

POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {"max": F.max_pool2d, "avg": F.avg_pool2d}


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
        sequence = layer_sequence(network)
        last = deepest(list(self.taps), network)
        self.sequence = sequence[: sequence.index(last) + 1]
        self.minimum_side = 2 ** poolings_before(last)
        self.pool = POOLINGS[pooling]
        self.convs = nn.ModuleDict()
        for name in self.sequence:
            if name.startswith("conv"):
                weight = weights.tensors[f"{name}.weight"]
                conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                conv.weight.data = weight.clone(memory_format=torch.channels_last)
                conv.bias.data = weights.tensors[f"{name}.bias"].clone()  # type: ignore[union-attr]
                self.convs[name] = conv
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
        if min(image.shape[-2:]) < self.minimum_side:
            raise UserError(
                f"a picture of {image.shape[-1]}×{image.shape[-2]} pixels is too small for layer "
                f"{self.sequence[-1]}, which needs at least {self.minimum_side} on each side: "
                "choose a larger --size (with --set upscale=true) or shallower layers."
            )
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
