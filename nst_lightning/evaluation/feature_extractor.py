"""The one network that all results are measured with, whatever network made them."""

from typing import NamedTuple

import torch
from torch import Tensor

from nst_lightning.evaluation.columns import CONTENT_LAYER, STRUCTURE_LAYER, STYLE_LAYERS
from nst_lightning.evaluation.content_metrics import pool_positions
from nst_lightning.losses.moments import moments
from nst_lightning.vgg.network import VGG
from nst_lightning.vgg.weights import load_weights
from nst_lightning.windows import Window

Moments = tuple[Tensor, Tensor]
"""Mean (B, C) and raw second moment (B, C, C)."""


class Features(NamedTuple):
    """What the network finds in a batch of images."""

    moments: dict[str, Moments]
    """By style layer."""
    content: Tensor
    """Features (B, C, h, w) of the content layer."""
    structure: Tensor
    """Features (B, C, h, w) of the structure layer, pooled."""

    def of(self, indices: list[int]) -> "Features":
        """Returns those of some images of the batch."""
        chosen = {layer: (m[indices], s[indices]) for layer, (m, s) in self.moments.items()}
        return Features(chosen, self.content[indices], self.structure[indices])


class FeatureExtractor:
    """A VGG that takes the features of images in float32.

    Args:
        network: `vgg19` or `vgg16`.
        weights: as for `load_weights`.
        device: where it runs.
        weights_input: as for `load_weights`.

    Raises:
        UserError: as `load_weights`.
    """

    def __init__(
        self, network: str, weights: str, device: torch.device, weights_input: str = "auto"
    ) -> None:
        loaded = load_weights(weights, network, weights_input)
        layers = (*STYLE_LAYERS, CONTENT_LAYER, STRUCTURE_LAYER)
        self.vgg = VGG(loaded, layers, network).to(device)
        self.smallest = self.vgg.minimum_side
        self.name = f"{network} {loaded.checksum[:12]}"
        """Network and weights, so that numbers of different ones are not compared."""

    @torch.no_grad()
    def extract(self, images: Tensor) -> Features:
        """Returns the features of images (B, 3, H, W) in [0, 1].

        Raises:
            UserError: they are smaller than `smallest` on a side.
        """
        statistics: dict[str, Moments] = {}
        kept: dict[str, Tensor] = {}

        def receive(layer: str, features: Tensor, *_: Window) -> None:
            if layer in STYLE_LAYERS:
                statistics[layer] = moments(features)
            if layer == CONTENT_LAYER:
                kept["content"] = features.contiguous()
            if layer == STRUCTURE_LAYER:
                kept["structure"] = pool_positions(features).contiguous()

        self.vgg.forward_pass(images, torch.float32, receive, keep=False)
        return Features(statistics, **kept)
