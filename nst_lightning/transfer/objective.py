"""What an image is optimised for: all loss terms, and their gradient without autograd.

The network is frozen and its losses are known, so that the gradient takes one forward pass and one
backward pass (`VGG.forward_pass`, `VGG.backward_pass`) that adds each layer's own gradient where it
comes to the layer (`LayerLoss`). Against autograd this saves the copies of features that the
losses would keep, one of two products per Gram matrix, and all additions of gradients that meet at
a layer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor, nn

from nst_lightning.band import Band
from nst_lightning.losses.content import ContentLoss
from nst_lightning.losses.layer_loss import LayerLoss
from nst_lightning.losses.normalized_gradient import NormalizedGradient
from nst_lightning.losses.regions import RegionalLoss, guides_at_layer, with_revealed
from nst_lightning.losses.style import style_kind
from nst_lightning.losses.style_kind import StyleKind
from nst_lightning.losses.temporal import TemporalLoss
from nst_lightning.losses.total_variation import TotalVariationLoss
from nst_lightning.settings import TransferSettings
from nst_lightning.settings.layers import channels, poolings_before
from nst_lightning.transfer.targets import Targets
from nst_lightning.vgg.network import VGG, WHOLE, Block, Walk
from nst_lightning.video.temporal_target import THINNEST, Temporal, areas
from nst_lightning.windows import Window, tiles

MARGIN = 16
"""Positions of a layer beyond a band, where gradients are computed too; see `VGG`."""

Term = tuple[str, str]
"""`content` or `style`, and a layer."""


class TransferLoss(nn.Module):
    """All loss terms of a batch of images.

    Args:
        targets: what each image is drawn to.
        settings: layers, weights, formulas.
        shape: (H, W) of the images.
        temporal: what the frames before say of the images, where they are frames of a film. What
            they reveal is a region of its own where it is wide enough for a layer: the statistics
            of a few positions cannot be met, and would disturb all around.
    """

    temporal_weight: Tensor

    def __init__(
        self,
        targets: Targets,
        settings: TransferSettings,
        shape: tuple[int, int],
        temporal: Temporal | None = None,
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
            if temporal is not None:
                least = THINNEST << poolings_before(layer)
                revealed = areas(temporal.revealed, least)
                regions, guides = with_revealed(regions, guides, revealed)
            if guides is not None:
                guides = guides_at_layer(guides.to(regions[0]), *shape_at(layer, shape))
            self.style[layer] = wrap(style_loss(kind, regions, guides))
        self.tv = TotalVariationLoss(
            settings.tv, settings.pixel_range, mean=settings.tv_reduction == "mean"
        )
        self.temporal = None
        if temporal is not None:
            self.temporal = TemporalLoss(temporal)
            weight = torch.full((len(temporal.image),), settings.temporal_weight)
            self.register_buffer("temporal_weight", weight.to(temporal.image), persistent=False)

    def forward(self, image: Tensor, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Computes the weighted terms of images (B, 3, H, W) from their features, for autograd.

        Returns:
            `content`, `style`, `tv` and, of frames that others came before, `temporal`, each (B,)
            and weighted, and `total`, their sum.
        """
        losses = {term: loss(features[term[1]]) for term, loss in self.layer_losses()}
        of_pixels = {"tv": self.settings.tv_weight * self.tv(image)}
        if self.temporal is not None:
            of_pixels["temporal"] = self.temporal_weight * self.temporal(image)
        return self.terms(losses, of_pixels)

    def hold(self, band: Band) -> None:
        """Gives up what is needed for other bands of the images alone."""
        for layer, loss in self.content.items():
            depth = poolings_before(layer)
            cast(ContentLoss, loss).hold(band.at(depth).grown(MARGIN))

    def layer_losses(self) -> Iterator[tuple[Term, LayerLoss]]:
        """Yields each term of a layer with its loss."""
        for name, losses in (("content", self.content), ("style", self.style)):
            yield from (((name, layer), cast(LayerLoss, loss)) for layer, loss in losses.items())

    def terms(
        self, losses: Mapping[Term, Tensor], of_pixels: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Computes the weighted terms from the losses of each layer and the weighted terms of the
        pixels themselves, (B,) each; see `forward`."""
        nothing = torch.zeros_like(of_pixels["tv"])
        terms = {"content": nothing, "style": nothing, **of_pixels}
        for (name, layer), value in losses.items():
            terms[name] = terms[name] + self.weight((name, layer)) * value
        return {**terms, "total": reduce(torch.add, terms.values())}

    def weight(self, term: Term) -> float | Tensor:
        """Returns what a layer's loss is multiplied by: a number, or (B,) with `weighting`."""
        s, (name, layer) = self.settings, term
        if name == "content":
            weight = s.content_weight * s.active_content_layers[layer]
        else:
            weight = s.style_weight * s.active_style_layers[layer]
        unit: Tensor | None = getattr(self, unit_name(term), None)
        return weight if unit is None else weight / unit

    def weigh_temporal(self, others: Tensor) -> None:
        """Has the temporal loss measured in what all others are worth at its target, (B,), so that
        one weight serves every network, loss and preset."""
        self.temporal_weight = self.settings.temporal_weight * others

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

    losses: dict[Term, Tensor] = field(default_factory=dict)
    """The loss of each layer, not weighted, (B,)."""
    blocks: list[Block] = field(default_factory=list)
    """What `VGG.backward_pass` takes."""
    slopes: dict[Term, Any] = field(default_factory=dict)
    """What the gradient of each layer's loss is made of; see `LayerLoss.value_and_slope`."""
    steepest: list[Tensor] = field(default_factory=list)
    """In float16, about the largest weighted gradient of each layer, (B,)."""


@torch.no_grad()
def compute_losses(
    network: VGG,
    loss: TransferLoss,
    image: Tensor,
    dtype: torch.dtype,
    walk: Walk = WHOLE,
    *,
    gradients: bool = False,
) -> ComputedLosses:
    """Runs the forward pass and computes the loss of each layer.

    Args:
        network: the extractor.
        loss: with the images' targets.
        image: (B, 3, H, W) in [0, 1].
        dtype: the precision of the network; losses stay in the image's.
        walk: how the images are taken through the network.
        gradients: keep what `value_and_gradient` needs.
    """
    computed = ComputedLosses()
    gathered: dict[Term, Any] = {}

    def receive(name: str, features: Tensor, held: Window, window: Window) -> None:
        for term, one in loss.layer_losses():
            if term[1] != name:
                continue
            seen = window.grown(one.reach).cut(features, held)
            gathered[term] = one.gather(seen, window, gathered.get(term))
            if gradients and dtype == torch.float16:  # it needs the whole layer, and has it
                slope = finish(term, one)
                computed.steepest.append(one.steepest(features, slope) * loss.weight(term))

    def finish(term: Term, one: LayerLoss) -> Any:
        own = gathered.pop(term)
        own = sum_of_bands(own, walk.band) if walk.band else own
        if not gradients:
            computed.losses[term] = one.value(own)
            return None
        computed.losses[term], computed.slopes[term] = one.value_and_slope(own)
        return computed.slopes[term]

    computed.blocks = network.forward_pass(image, dtype, receive, walk, keep=gradients)
    for term, one in loss.layer_losses():
        if term in gathered:
            finish(term, one)
    return computed


def sum_of_bands(gathered: Any, band: Band) -> Any:
    """Returns what the losses of all processes have gathered, in tensors however nested."""
    if isinstance(gathered, Tensor):
        return band.sum(gathered)
    return [sum_of_bands(one, band) for one in gathered]


@torch.no_grad()
def compute_terms(
    network: VGG, loss: TransferLoss, image: Tensor, dtype: torch.dtype, walk: Walk = WHOLE
) -> dict[str, Tensor]:
    """Computes the weighted terms of images, (B,) each; see `compute_losses`."""
    computed = compute_losses(network, loss, image, dtype, walk)
    return loss.terms(computed.losses, pixel_terms(loss, image, walk))


@torch.no_grad()
def value_and_gradient(
    network: VGG, loss: TransferLoss, image: Tensor, dtype: torch.dtype, walk: Walk = WHOLE
) -> tuple[dict[str, Tensor], Tensor]:
    """Computes the weighted terms of images, (B,) each, and the gradient of their total.

    Args:
        network: as for `compute_losses`, like all the others.
        loss: with the images' targets.
        image: (B, 3, H, W) in [0, 1].
        dtype: the precision of the network.
        walk: how the images are taken through the network.

    Returns:
        The terms and the gradient, (B, 3, H, W).
    """
    computed = compute_losses(network, loss, image, dtype, walk, gradients=True)
    scale = gradient_scale(computed)

    def accumulate(name: str, features: Tensor, gradient: Tensor, window: Window) -> None:
        for term, one in loss.layer_losses():
            if term[1] == name:
                weight = scale * loss.weight(term)
                one.accumulate_gradient(features, computed.slopes[term], weight, gradient, window)

    gradient = network.backward_pass(computed.blocks, dtype, accumulate, walk)
    if computed.steepest:
        gradient /= scale[:, None, None, None]
    of_pixels = pixel_terms(loss, image, walk, gradient)
    return loss.terms(computed.losses, of_pixels), gradient


def pixel_terms(
    loss: TransferLoss, image: Tensor, walk: Walk, gradient: Tensor | None = None
) -> dict[str, Tensor]:
    """Computes the weighted terms of the pixels themselves, (B,) each; see `total_variation`."""
    weight = loss.settings.tv_weight
    terms = {"tv": weight * total_variation(loss, image, walk, gradient)}
    if loss.temporal is not None:
        total = image.new_zeros(len(image))
        for window in tiles(Window.all_of(*image.shape[-2:]), walk.side):
            value, slope = loss.temporal.value_and_gradient(image, window)
            total += value
            if gradient is not None:
                window.cut(gradient).add_(loss.temporal_weight[:, None, None, None] * slope)
        terms["temporal"] = loss.temporal_weight * total
    return terms


def total_variation(
    loss: TransferLoss, image: Tensor, walk: Walk, gradient: Tensor | None = None
) -> Tensor:
    """Computes the total variation of images, (B,); 0 where it counts for nothing.

    Args:
        loss: with its kind and weight.
        image: (B, 3, H, W) in [0, 1].
        walk: how the images are gone through.
        gradient: to which that of the weighted total variation is added, (B, 3, H, W).
    """
    total = image.new_zeros(len(image))
    if loss.settings.tv_weight == 0:
        return total
    own = held = Window.all_of(image.shape[-2], image.shape[-1])
    if walk.band:
        own = walk.band.at(0)
        image, held = walk.band.with_neighbours(image, 0, 1)
    for window in tiles(own, walk.side):
        value, slope = loss.tv.value_and_gradient(image, window, held)
        total = total + value
        if gradient is not None:
            window.cut(gradient, own).add_(slope, alpha=loss.settings.tv_weight)
    return walk.band.sum(total) if walk.band else total


def gradient_scale(computed: ComputedLosses) -> Tensor:
    """Computes what each image's gradient is multiplied by inside the network, (B,).

    float16 reaches from 6e-8 to 65,504, and the gradient of a large image lies below; the steepest
    slope is brought to 1/128, which leaves room above for the backward pass. Other precisions have
    float32's range and need no scale.
    """
    if not computed.steepest:
        return torch.ones_like(next(iter(computed.losses.values())))
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
