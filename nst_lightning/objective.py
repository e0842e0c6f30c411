"""What a picture is optimised for: all loss terms, and their gradient without autograd.

The network is frozen and its losses are known, so that the gradient is one walk down the network
and one up (`VGG.down`, `VGG.up`), with each layer's own gradient added on the way. Against autograd
this saves the copies of features that the losses would keep, one of two products per Gram matrix,
and all additions of gradients that meet at a layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from nst_lightning.losses.content import ContentLoss
from nst_lightning.losses.gram import GramLoss
from nst_lightning.losses.total_variation import TotalVariationLoss
from nst_lightning.settings import TransferSettings
from nst_lightning.vgg.network import VGG, Block


@dataclass(frozen=True)
class Targets:
    """What a picture is drawn to: features of contents and Gram matrices of styles, by layer.

    content: layer → (B, C, h, w); style: layer → (B, C, C).
    """

    content: Mapping[str, Tensor]
    style: Mapping[str, Tensor]


class TransferLoss(nn.Module):
    """All loss terms on a batch of pictures.

    Args:
        targets: what each picture is drawn to.
        settings: layers, weights, formulas.
        pixels: H·W of the pictures.
    """

    def __init__(self, targets: Targets, settings: TransferSettings, pixels: int) -> None:
        super().__init__()
        self.content = nn.ModuleDict(
            {
                layer: ContentLoss(target, settings.content_loss, pixels)
                for layer, target in targets.content.items()
            }
        )
        self.style = nn.ModuleDict(
            {
                layer: GramLoss(target, settings.gram, pixels)
                for layer, target in targets.style.items()
            }
        )
        self.tv = TotalVariationLoss(
            settings.tv, settings.pixel_range, mean=settings.tv_reduction == "mean"
        )
        self.settings = settings

    def forward(self, image: Tensor, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weighted terms of pictures (B, 3, H, W) and their features, for autograd.

        Returns:
            `content`, `style` and `tv`, each (B,) and weighted, and `total`, their sum.
        """
        s = self.settings
        return self.terms(
            image,
            {name: self.content[name](features[name]) for name in s.active_content_layers},
            {name: self.style[name](features[name]) for name in s.active_style_layers},
        )

    def terms(
        self, image: Tensor, content: Mapping[str, Tensor], style: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The weighted terms from the losses of each layer, (B,) each; see `forward`."""
        s, none = self.settings, image.new_zeros(image.shape[0])
        terms = {
            "content": s.content_weight * weighted_sum(content, s.active_content_layers, none),
            "style": s.style_weight * weighted_sum(style, s.active_style_layers, none),
            "tv": s.tv_weight * self.tv(image) if s.tv_weight > 0 else none,
        }
        return {**terms, "total": terms["content"] + terms["style"] + terms["tv"]}


def weighted_sum(
    losses: Mapping[str, Tensor], weights: Mapping[str, float], none: Tensor
) -> Tensor:
    """Σ weight·loss over layers, (B,)."""
    return sum((weight * losses[name] for name, weight in weights.items()), none)


@dataclass
class Measured:
    """Pictures walked down the network."""

    terms: dict[str, Tensor]
    """`content`, `style`, `tv` and `total`, weighted, (B,) each."""
    blocks: list[Block]
    """What the way back needs."""
    differences: dict[str, Tensor]
    """Gram matrices minus the style's, by layer."""
    peaks: list[Tensor]
    """In float16, the largest factor of each style layer's gradient, (B,)."""


@torch.no_grad()
def measure(
    network: VGG, loss: TransferLoss, image: Tensor, dtype: torch.dtype, *, recompute: bool = False
) -> Measured:
    """The weighted terms of pictures.

    Args:
        network: the extractor.
        loss: with the pictures' targets.
        image: (B, 3, H, W) in [0, 1].
        dtype: precision of the network; losses stay in the picture's.
        recompute: less memory for more time, see `VGG.down`.
    """
    s = loss.settings
    content: dict[str, Tensor] = {}
    style: dict[str, Tensor] = {}
    differences: dict[str, Tensor] = {}
    peaks: list[Tensor] = []

    def visit(name: str, features: Tensor) -> None:
        if name in loss.content:
            content[name] = loss.content[name](features)
        if name in loss.style:
            gram_loss = cast(GramLoss, loss.style[name])
            differences[name] = gram_loss.difference(features)
            style[name] = gram_loss.value(differences[name])
            if dtype == torch.float16:
                steepest = differences[name].abs().amax(dim=(1, 2)) * gram_loss.slope(features)
                peaks.append(s.style_weight * s.active_style_layers[name] * steepest)

    blocks = network.down(image, dtype, visit, recompute=recompute)
    return Measured(loss.terms(image, content, style), blocks, differences, peaks)


@torch.no_grad()
def value_and_gradient(
    network: VGG, loss: TransferLoss, image: Tensor, dtype: torch.dtype, *, recompute: bool = False
) -> tuple[dict[str, Tensor], Tensor]:
    """The weighted terms of pictures, (B,) each, and the gradient of their total, (B, 3, H, W).

    The arguments are those of `measure`.
    """
    s = loss.settings
    measured = measure(network, loss, image, dtype, recompute=recompute)
    scale = gradient_scale(measured)

    def pull(name: str, features: Tensor, gradient: Tensor) -> None:
        if name in loss.content:
            weight = scale * (s.content_weight * s.active_content_layers[name])
            cast(ContentLoss, loss.content[name]).pull(features, gradient, weight)
        if name in loss.style:
            weight = scale * (s.style_weight * s.active_style_layers[name])
            difference = measured.differences[name]
            cast(GramLoss, loss.style[name]).pull(features, gradient, weight, difference)

    gradient = network.up(measured.blocks, pull) / scale[:, None, None, None]
    if s.tv_weight > 0:
        with torch.enable_grad():
            leaf = image.detach().requires_grad_(True)
            tv = s.tv_weight * loss.tv(leaf)
            gradient = gradient + torch.autograd.grad(tv.sum(), leaf)[0]
    return measured.terms, gradient


def gradient_scale(measured: Measured) -> Tensor:
    """What each picture's gradient is multiplied by inside the network, (B,).

    float16 reaches from 6e-8 to 65,504, and the gradient of a large picture lies below; the
    steepest style layer's factor is brought to 1/64, which leaves room above for the walk up to the
    picture. Other precisions have float32's range and need no scale.
    """
    if not measured.peaks:
        return torch.ones_like(measured.terms["total"])
    smallest = torch.finfo(torch.float32).tiny
    return 1 / 64 / torch.stack(measured.peaks).amax(dim=0).clamp(min=smallest)


class Objective(torch.autograd.Function):
    """The total of each picture, (B,), with the gradient of `value_and_gradient`."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, gradient: Tensor, total: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0][:, None, None, None], None, None
