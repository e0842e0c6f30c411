"""What an image is optimised for: all loss terms, and their gradient without autograd.

The network is frozen and its losses are known, so that the gradient takes one forward pass and one
backward pass (`VGG.forward_pass`, `VGG.backward_pass`) that adds each layer's own gradient where it
comes to the layer (`LayerLoss`). Against autograd this saves the copies of features that the
losses would keep, one of two products per Gram matrix, and all additions of gradients that meet at
a layer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from nst_lightning.losses.content import ContentLoss
from nst_lightning.losses.layer_loss import LayerLoss
from nst_lightning.losses.normalized_gradient import NormalizedGradient
from nst_lightning.losses.regions import RegionalLoss, guides_at_layer
from nst_lightning.losses.style import style_kind
from nst_lightning.losses.style_kind import StyleKind
from nst_lightning.losses.total_variation import TotalVariationLoss
from nst_lightning.settings import TransferSettings
from nst_lightning.settings.layers import channels, poolings_before
from nst_lightning.transfer.targets import Targets
from nst_lightning.vgg.network import VGG, Block

Term = tuple[str, str]
"""`content` or `style`, and a layer."""


class TransferLoss(nn.Module):
    """All loss terms of a batch of images.

    Args:
        targets: what each image is drawn to.
        settings: layers, weights, formulas.
        shape: (H, W) of the images.
    """

    def __init__(
        self, targets: Targets, settings: TransferSettings, shape: tuple[int, int]
    ) -> None:
        super().__init__()
        self.settings = settings
        pixels = shape[0] * shape[1]
        kind = style_kind(settings, pixels)
        wrap: Callable[[LayerLoss], LayerLoss] = (
            NormalizedGradient if settings.normalize_gradients else lambda loss: loss
        )
        self.content = nn.ModuleDict(
            {
                layer: wrap(ContentLoss(target, settings.content_loss, pixels))
                for layer, target in targets.content.items()
            }
        )
        self.style = nn.ModuleDict()
        for layer, regions in targets.style.items():
            guides = targets.guides
            if guides is not None:
                guides = guides_at_layer(guides.to(regions[0]), *shape_at(layer, shape))
            self.style[layer] = wrap(style_loss(kind, regions, guides))
        self.tv = TotalVariationLoss(
            settings.tv, settings.pixel_range, mean=settings.tv_reduction == "mean"
        )

    def forward(self, image: Tensor, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Computes the weighted terms of images (B, 3, H, W) from their features, for autograd.

        Returns:
            `content`, `style` and `tv`, each (B,) and weighted, and `total`, their sum.
        """
        return self.terms(
            image, {term: loss(features[term[1]]) for term, loss in self.layer_losses()}
        )

    def layer_losses(self) -> Iterator[tuple[Term, LayerLoss]]:
        """Yields each term of a layer with its loss."""
        for name, losses in (("content", self.content), ("style", self.style)):
            yield from (((name, layer), cast(LayerLoss, loss)) for layer, loss in losses.items())

    def terms(self, image: Tensor, losses: Mapping[Term, Tensor]) -> dict[str, Tensor]:
        """Computes the weighted terms from the losses of each layer, (B,) each; see `forward`."""
        s, none = self.settings, image.new_zeros(image.shape[0])
        terms = {"content": none, "style": none, "tv": none}
        for (name, layer), value in losses.items():
            terms[name] = terms[name] + self.weight((name, layer)) * value
        if s.tv_weight > 0:
            terms["tv"] = s.tv_weight * self.tv(image)
        return {**terms, "total": terms["content"] + terms["style"] + terms["tv"]}

    def weight(self, term: Term) -> float | Tensor:
        """Returns what a layer's loss is multiplied by: a number, or (B,) with `weighting`."""
        s, (name, layer) = self.settings, term
        if name == "content":
            weight = s.content_weight * s.active_content_layers[layer]
        else:
            weight = s.style_weight * s.active_style_layers[layer]
        unit: Tensor | None = getattr(self, unit_name(term), None)
        return weight if unit is None else weight / unit

    @torch.no_grad()
    def set_units(self, start: Mapping[Term, Tensor] | None) -> None:
        """Divides each layer's loss from now on by its value at the start, or by its energy where
        that is next to 0 or no start is given.

        Args:
            start: the loss of each layer at the start, (B,).
        """
        for term, loss in self.layer_losses():
            unit = loss.energy(channels(term[1]))
            if start is not None:
                unit = torch.where(start[term] > AT_TARGET * unit, start[term], unit)
            unit = torch.where(unit > 0, unit, 1.0)
            self.register_buffer(unit_name(term), unit, persistent=False)


AT_TARGET = 1e-3
"""A start whose loss is less than this share of the energy is at the target but for rounding."""


def style_loss(kind: StyleKind, regions: Sequence[Tensor], guides: Tensor | None) -> LayerLoss:
    """Makes the loss of a style layer.

    Args:
        kind: from `style_kind`.
        regions: what is kept of the style in each region; of all of it without guides.
        guides: (B, R, h, w) at the layer, or None.
    """
    if guides is None:
        return kind.loss(regions[0], None)
    each = zip(regions, guides.chunk(len(regions), dim=1), strict=True)
    return RegionalLoss([kind.loss(kept, guide) for kept, guide in each], guides)


def unit_name(term: Term) -> str:
    """Names the buffer of what a layer's loss is measured in."""
    return f"unit_{term[0]}_{term[1]}"


def shape_at(layer: str, shape: tuple[int, int]) -> tuple[int, int]:
    """Returns (h, w) of a layer's features for images of (H, W)."""
    halvings = poolings_before(layer)
    return shape[0] >> halvings, shape[1] >> halvings


@dataclass
class ComputedLosses:
    """The losses of images after the forward pass, with what the backward pass needs."""

    terms: dict[str, Tensor]
    """`content`, `style`, `tv` and `total`, weighted, (B,) each."""
    blocks: list[Block]
    """What `VGG.backward_pass` takes."""
    losses: dict[Term, Tensor]
    """The loss of each layer, not weighted, (B,)."""
    slopes: dict[Term, Tensor] = field(default_factory=dict)
    """What the gradient of each layer's loss is made of; see `LayerLoss.evaluate`."""
    steepest: list[Tensor] = field(default_factory=list)
    """In float16, about the largest weighted gradient of each layer, (B,)."""


@torch.no_grad()
def compute_losses(
    network: VGG,
    loss: TransferLoss,
    image: Tensor,
    dtype: torch.dtype,
    *,
    recompute: bool = False,
    gradients: bool = False,
) -> ComputedLosses:
    """Runs the forward pass and computes the weighted terms of images.

    Args:
        network: the extractor.
        loss: with the images' targets.
        image: (B, 3, H, W) in [0, 1].
        dtype: the precision of the network; losses stay in the image's.
        recompute: take less memory and more time, see `VGG.forward_pass`.
        gradients: keep what `value_and_gradient` needs.
    """
    computed = ComputedLosses({}, [], {})

    def receive(name: str, features: Tensor) -> None:
        for term, one in loss.layer_losses():
            if term[1] != name:
                continue
            if not gradients:
                computed.losses[term] = one(features)
                continue
            computed.losses[term], slope = one.evaluate(features)
            computed.slopes[term] = slope
            if dtype == torch.float16:
                computed.steepest.append(one.steepest(features, slope) * loss.weight(term))

    computed.blocks = network.forward_pass(image, dtype, receive, recompute=recompute)
    computed.terms = loss.terms(image, computed.losses)
    return computed


@torch.no_grad()
def value_and_gradient(
    network: VGG, loss: TransferLoss, image: Tensor, dtype: torch.dtype, *, recompute: bool = False
) -> tuple[dict[str, Tensor], Tensor]:
    """Computes the weighted terms of images, (B,) each, and the gradient of their total.

    Args:
        network: as for `compute_losses`, like all the others.
        loss: with the images' targets.
        image: (B, 3, H, W) in [0, 1].
        dtype: the precision of the network.
        recompute: take less memory and more time.

    Returns:
        The terms and the gradient, (B, 3, H, W).
    """
    s = loss.settings
    computed = compute_losses(network, loss, image, dtype, recompute=recompute, gradients=True)
    scale = gradient_scale(computed)

    def accumulate(name: str, features: Tensor, gradient: Tensor) -> None:
        for term, one in loss.layer_losses():
            if term[1] == name:
                weight = scale * loss.weight(term)
                one.accumulate_gradient(features, computed.slopes.pop(term), weight, gradient)

    gradient = network.backward_pass(computed.blocks, accumulate) / scale[:, None, None, None]
    if s.tv_weight > 0:
        with torch.enable_grad():
            leaf = image.detach().requires_grad_(True)
            tv = s.tv_weight * loss.tv(leaf)
            gradient = gradient + torch.autograd.grad(tv.sum(), leaf)[0]
    return computed.terms, gradient


def gradient_scale(computed: ComputedLosses) -> Tensor:
    """Computes what each image's gradient is multiplied by inside the network, (B,).

    float16 reaches from 6e-8 to 65,504, and the gradient of a large image lies below; the steepest
    slope is brought to 1/128, which leaves room above for the backward pass. Other precisions have
    float32's range and need no scale.
    """
    if not computed.steepest:
        return torch.ones_like(computed.terms["total"])
    smallest = torch.finfo(torch.float32).tiny
    return 1 / 128 / torch.stack(computed.steepest).amax(dim=0).clamp(min=smallest)


class TotalWithGradient(torch.autograd.Function):
    """Hands the total of each image, (B,), to autograd with a gradient that is known already."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, gradient: Tensor, total: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0][:, None, None, None], None, None
