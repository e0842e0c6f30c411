"""The targets that an image is drawn to, made from the features of contents and styles."""

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.imaging.mask import Mask
from nst_lightning.imaging.resize import resize
from nst_lightning.losses.regions import guides_at_layer
from nst_lightning.losses.style import style_kind
from nst_lightning.losses.style_kind import StyleKind
from nst_lightning.settings import TransferSettings
from nst_lightning.transfer.keep_colours import content_colours, style_colours
from nst_lightning.vgg.network import VGG, WHOLE, Walk
from nst_lightning.windows import Window

StyleDescription = dict[str, Tensor]
"""What a style loss keeps of a style at each layer, (1, …)."""


@dataclass(frozen=True)
class Style:
    """An image that a style is made of.

    image: (1, 3, h, w) or (B, 3, h, w) in [0, 1].
    share: its part of a blend, in proportion to the others'.
    mask: its regions, of any size; by default the whole image serves every region.
    region: `#rrggbb` of the only region that it serves; by default all.

    Raises:
        UserError: an image or a share that cannot be.
    """

    image: Tensor
    share: float = 1.0
    mask: Mask | None = None
    region: str = ""

    def __post_init__(self) -> None:
        check_image(self.image, "the image of a style")
        if not (math.isfinite(self.share) and self.share >= 0):
            raise UserError(f"the share of a style should be 0 or more, not {self.share!r}.")


def check_image(image: Any, what: str) -> None:
    """Sees that something is an image as the module takes it.

    Raises:
        UserError: it is not; `what` begins the sentence.
    """
    fits = isinstance(image, Tensor) and image.ndim == 4 and image.shape[1] == 3
    if not fits or not image.is_floating_point() or not image.numel():
        given = (
            f"{tuple(image.shape)} of {image.dtype}" if isinstance(image, Tensor) else repr(image)
        )
        raise UserError(
            f"{what} should be a tensor (B, 3, H, W) of floats in [0, 1], as load_image returns, "
            f"not {given[:80]}."
        )


@dataclass(frozen=True)
class Targets:
    """What B images are drawn to.

    content: layer → (B, C, h, w).
    style: layer → what the style loss keeps of a style (see losses/style.py), (B, …); one a region.
    guides: (B, R, H, W), which pixel is in which region; None without regions.
    kept: (B, 1, H, W), how much of each pixel stays the content's; None without regions, and of
        views of a mesh, whose background nothing changes.
    """

    content: Mapping[str, Tensor]
    style: Mapping[str, Sequence[Tensor]]
    guides: Tensor | None = None
    kept: Tensor | None = None


@torch.no_grad()
def content_targets(
    network: VGG, content: Tensor, settings: TransferSettings, walk: Walk = WHOLE
) -> dict[str, Tensor]:
    """Computes the features (B, C, h, w) of contents (B, 3, H, W), by layer."""
    found: dict[str, Tensor] = {}

    def receive(layer: str, features: Tensor, held: Window, window: Window) -> None:
        if layer in settings.active_content_layers:
            found[layer] = window.put(window.cut(features, held), found.get(layer))

    network.forward_pass(content, content.dtype, receive, walk, keep=False)
    return found


@torch.no_grad()
def describe_style(
    network: VGG,
    style: Tensor,
    settings: TransferSettings,
    kind: StyleKind,
    guide: Tensor | None = None,
    walk: Walk = WHOLE,
) -> StyleDescription:
    """Computes what the style loss keeps of styles, by layer.

    Args:
        network: the extractor.
        style: (B, 3, h, w) in [0, 1].
        settings: the style layers.
        kind: from `style_kind`.
        guide: (B, 1, h, w), the region that counts; by default all of it.
        walk: how the styles are taken through the network; what a kind that does not add up
            describes is put together to whole layers.
    """
    described: StyleDescription = {}
    whole: dict[str, Tensor] = {}
    guides: dict[str, Tensor | None] = {}

    def receive(layer: str, features: Tensor, held: Window, window: Window) -> None:
        if layer not in settings.active_style_layers:
            return
        if layer not in guides:
            guides[layer] = (
                None if guide is None else guides_at_layer(guide.to(style), *window.whole)
            )
        there = guides[layer]
        features = window.cut(features, held)
        if kind.adds_up:
            own = kind.describe(features, there, window)
            described[layer] = own + described[layer] if layer in described else own
            return
        whole[layer] = window.put(features, whole.get(layer))

    network.forward_pass(style, style.dtype, receive, walk, keep=False)
    together = {layer: kind.describe(one, guides[layer]) for layer, one in whole.items()}
    return {**described, **together}


def blend(
    described: Sequence[StyleDescription], shares: Sequence[float], kind: StyleKind
) -> StyleDescription:
    """Blends several styles by their shares, which are brought to a sum of 1."""
    total = sum(shares)
    return {
        layer: kind.blend([one[layer] for one in described], [share / total for share in shares])
        for layer in described[0]
    }


@dataclass(frozen=True)
class Part:
    """One of the styles that a target is made of."""

    share: float
    regions: Collection[str] | None
    """The regions that it serves; None: all."""
    describe: Callable[[str], StyleDescription]
    """Computes what the style loss keeps of it for a region, or of all of it for an empty text."""


class StyleUse(Protocol):
    """How a style is used: `Style` and the grid's `StylePart` say so."""

    @property
    def share(self) -> float:
        """Returns its part of a blend, in proportion to the others'."""

    @property
    def region(self) -> str:
        """Returns the only region that it serves, or an empty text."""


S = TypeVar("S", bound=StyleUse)


def make_parts(
    styles: Sequence[S],
    sizes: Sequence[float],
    look: Callable[[S, float], tuple[Collection[str] | None, Callable[[str], StyleDescription]]],
) -> list[Part]:
    """Makes the parts of a target: every style at every size, all sizes in equal shares.

    The whole of a style serves the region that is named for it, or every region where it has none
    of its own.

    Args:
        styles: at least one.
        sizes: of strokes (`style_scale`).
        look: returns the colours of a style's own regions, if it has a mask, and how it is
            described at that size (see `Part`).
    """

    def part(style: S, size: float) -> Part:
        share = style.share / len(sizes)
        colours, describe = look(style, size)
        if style.region or colours is None:
            serves = [style.region] if style.region else None
            return Part(share, serves, lambda _: describe(""))
        return Part(share, colours, describe)

    return [part(style, size) for style in styles for size in sizes]


def assemble_targets(
    content: Mapping[str, Tensor], mask: Mask | None, parts: Sequence[Part], kind: StyleKind
) -> Targets:
    """Assembles the targets of one image.

    Args:
        content: from `content_targets`.
        mask: the regions of the content, at its size; None: it has none, and every style serves
            all of it as a whole.
        parts: the styles.
        kind: from `style_kind`.

    Raises:
        UserError: no region has a style.
    """

    def describe(serving: Sequence[Part], region: str) -> StyleDescription:
        shares = [part.share for part in serving]
        return blend([part.describe(region) for part in serving], shares, kind)

    if mask is None:
        style = describe(parts, "")
        return Targets(content, {layer: [described] for layer, described in style.items()})
    serving = {
        colour: [one for one in parts if one.regions is None or colour in one.regions]
        for colour in mask.colours
    }
    serving = {colour: those for colour, those in serving.items() if those}
    if not serving:
        raise UserError(f"none of the content's regions ({', '.join(mask.colours)}) has a style.")
    each = [describe(those, colour) for colour, those in serving.items()]
    styles = {layer: [region[layer] for region in each] for layer in each[0]}
    return Targets(content, styles, *region_guides(mask, list(serving)))


def make_targets(
    network: VGG,
    content: Tensor,
    styles: Sequence[Style],
    mask: Mask | None,
    settings: TransferSettings,
    walk: Walk = WHOLE,
    guide: Tensor | None = None,
) -> Targets:
    """Makes the targets of B images that share their styles and their regions.

    Args:
        network: the extractor.
        content: (B, 3, H, W) in [0, 1].
        styles: at least one.
        mask: the regions of the content, of any size.
        settings: layers, losses, colours, `style_fit`, `style_scale` and `resampling`.
        walk: how images are taken through the network.
        guide: (1, 1, H, W) in [0, 1], what of each pixel has a style, where there is no mask; the
            colours of the content are those that it holds.
    """
    height, width = content.shape[-2:]
    colours = content if guide is None else held_colours(content, guide)
    kind = style_kind(settings, height * width)

    def look(
        style: Style, scale: float
    ) -> tuple[Collection[str] | None, Callable[[str], StyleDescription]]:
        own = (height, width) if settings.style_fit == "content" else style.image.shape[-2:]
        shape = [max(1, round(side * scale)) for side in own]
        image = style.image
        if shape != list(image.shape[-2:]):
            image = resize(image, *shape, how=settings.resampling).to(image)
        image = style_colours(image, colours, settings.preserve_color, settings.color_variant)

        def describe(region: str) -> StyleDescription:
            guide = style.mask.at(*shape).of(region) if style.mask and region else None
            return describe_style(network, image, settings, kind, guide, walk)

        return style.mask.colours if style.mask else None, describe

    transferred = content_colours(content, settings.preserve_color)
    features = content_targets(network, transferred, settings, walk)
    parts = make_parts(styles, settings.style_scale, look)
    targets = assemble_targets(features, mask and mask.at(height, width), parts, kind)
    return targets if guide is None else with_guide(targets, guide)


def with_guide(targets: Targets, guide: Tensor) -> Targets:
    """Returns the targets of images without regions, which have a style where a guide (1, 1, H, W)
    says so; what the image is elsewhere, it stays by itself."""
    count = len(next(iter((*targets.content.values(), *itertools.chain(*targets.style.values())))))
    return replace(targets, guides=guide.expand(count, -1, -1, -1))


def held_colours(image: Tensor, guide: Tensor) -> Tensor:
    """Returns the pixels (B, 3, 1, n) of images that a guide (1, 1, H, W) holds as a whole, or for
    the most part where it holds none so."""
    held = guide[0, 0] >= min(1 - 1e-4, float(guide.max()))
    return image[:, :, held].unsqueeze(2)


def region_guides(regions: Mask, colours: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Returns which pixel is in which of the named regions, (1, R, H, W), and how much of it is in
    none of them, (1, 1, H, W)."""
    guides = torch.cat([regions.of(colour) for colour in colours], dim=1)
    return guides, (1 - guides.sum(dim=1, keepdim=True)).clamp(0, 1)


def stack_targets(each: Sequence[Targets], kind: StyleKind) -> Targets:
    """Stacks the targets of single images to those of a batch."""
    if len(each) == 1:
        return each[0]  # without a copy, for which a large image may have no room
    content = {layer: torch.cat([one.content[layer] for one in each]) for layer in each[0].content}
    many = max((len(regions) for one in each for regions in one.style.values()), default=0)
    style = {
        layer: stack_regions([one.style[layer] for one in each], many, kind)
        for layer in each[0].style
    }
    if all(one.guides is None for one in each):
        return Targets(content, style)
    height, width = next(one.guides.shape[-2:] for one in each if one.guides is not None)
    guides, kept = [], []
    for one in each:
        guide = torch.ones(1, 1, height, width) if one.guides is None else one.guides
        none = guide.new_zeros(1, many - guide.shape[1], height, width)
        guides.append(torch.cat([guide, none], dim=1))
        kept.append(torch.zeros(1, 1, height, width) if one.kept is None else one.kept)
    stays = None if all(one.kept is None for one in each) else torch.cat(kept)
    return Targets(content, style, torch.cat(guides), stays)


def stack_regions(each: Sequence[Sequence[Tensor]], many: int, kind: StyleKind) -> list[Tensor]:
    """Stacks one layer of several images, region by region; one that has fewer than `many` repeats
    its first, in which no pixel is then."""
    filled = [one for regions in each for one in (*regions, *[regions[0]] * (many - len(regions)))]
    matched = kind.match_shapes(filled)
    return [torch.cat(matched[region::many]) for region in range(many)]
