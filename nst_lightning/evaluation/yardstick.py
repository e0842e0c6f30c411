"""The one network that all results are measured with, whatever network made them."""

from typing import NamedTuple

import torch
from torch import Tensor

from nst_lightning.evaluation.cfsd import structure
from nst_lightning.evaluation.columns import CONTENT_LAYER, STRUCTURE_LAYER, STYLE_LAYERS
from nst_lightning.losses.moments import moments
from nst_lightning.vgg.network import VGG
from nst_lightning.vgg.weights import load_weights

Moments = tuple[Tensor, Tensor]
"""Mean (B, C) and raw second moment (B, C, C)."""


class Look(NamedTuple):
    """What the network sees in pictures."""

    moments: dict[str, Moments]
    """By style layer."""
    content: Tensor
    """Features (B, C, h, w) of the content layer."""
    structure: Tensor
    """Features (B, C, h, w) of the structure layer, pooled."""


class Yardstick:
    """A VGG that looks at pictures in float32.

    Args:
        network: `vgg19` or `vgg16`.
        weights: as for `load_weights`.
        device: where it runs.

    Raises:
        UserError: as `load_weights`.
    """

    def __init__(self, network: str, weights: str, device: torch.device) -> None:
        loaded = load_weights(weights, network)
        layers = (*STYLE_LAYERS, CONTENT_LAYER, STRUCTURE_LAYER)
        self.vgg = VGG(loaded, layers, network).to(device)
        self.smallest = self.vgg.minimum_side
        self.name = f"{network} {loaded.checksum[:12]}"
        """Network and weights, so that numbers of different ones are not compared."""

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """What it sees in pictures (B, 3, H, W) in [0, 1].

        Raises:
            UserError: they are smaller than `smallest` on a side.
        """
        seen: dict[str, Moments] = {}
        kept: dict[str, Tensor] = {}

        def receive(layer: str, features: Tensor) -> None:
            if layer in STYLE_LAYERS:
                seen[layer] = moments(features)
            if layer == CONTENT_LAYER:
                kept["content"] = features.contiguous()
            if layer == STRUCTURE_LAYER:
                kept["structure"] = structure(features).contiguous()

        # Block by block, so that the features of the whole network are never there at once.
        self.vgg.forward_pass(images, torch.float32, receive, recompute=True)
        return Look(seen, **kept)
