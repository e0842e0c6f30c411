"""One pair from images as a caller gives them: paths, PIL images, tensors."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from nst_lightning.errors import UserError
from nst_lightning.grid.blends import blended, check_share, regional
from nst_lightning.grid.masks import mask_problem, with_mask
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source, read_source
from nst_lightning.imaging.in_memory import AnyImage, ImagesInMemory

Styles: TypeAlias = (
    AnyImage | Sequence[AnyImage] | Sequence[tuple[AnyImage, float]] | Mapping[Any, float]
)
"""One painting; several, in equal shares or with theirs; or the paths of several with theirs."""

Masks: TypeAlias = AnyImage | Sequence[AnyImage | None] | None
"""The regions of one painting, or of each of several."""


def read_pair(
    content: AnyImage,
    style: Styles | None,
    regions: Mapping[str, AnyImage] | None,
    content_mask: AnyImage | None,
    style_mask: Masks,
    images: ImagesInMemory,
) -> Pair:
    """Returns what a call is to make, from images that can be read.

    Raises:
        UserError: one cannot, or they contradict each other.
    """

    if (style is None) == (not regions):
        raise UserError("name the styles once: style, or regions for a style in each.")
    if regions and style_mask is not None:
        raise UserError("style_mask does not go with regions, each of which has a whole style.")
    if content_mask is None and (regions or style_mask is not None):
        what = "regions need" if regions else "style_mask needs"
        raise UserError(f"{what} the regions of the content: give content_mask.")
    photograph = read_given(content, "content", images, content_mask)
    if regions:
        named = [
            (str(colour), read_given(one, f"style of {colour}", images))
            for colour, one in regions.items()
        ]
        painting = regional(named, "regions")
    else:
        painting = read_styles(style, style_mask, images)
    pair = Pair(photograph, painting, "")
    if problem := pair.problem or mask_problem(pair, images):
        raise UserError(problem)
    return pair


def read_given(
    image: AnyImage, name: str, images: ImagesInMemory, mask: AnyImage | None = None
) -> Source:
    """Returns an image as a caller gives it, with its mask; `name` is what messages call it."""
    path = images.add(image, name)
    source = read_source(path, path.stem, images)
    if mask is None:
        return source
    return with_mask(source, images.add(mask, f"mask of {name}"), images)


def read_styles(style: Any, style_mask: Masks, images: ImagesInMemory) -> Source:
    """Returns a painting, or several as a blend.

    Raises:
        UserError: see `style_parts`.
    """
    parts = style_parts(style, style_mask)
    names = [f"style {n}" for n in range(1, len(parts) + 1)] if len(parts) > 1 else ["style"]
    read_parts = [
        (read_given(one, name, images, mask), share)
        for name, (one, share, mask) in zip(names, parts, strict=True)
    ]
    return blended(read_parts, "style")


def style_parts(style: Any, style_mask: Masks) -> list[tuple[AnyImage, float, AnyImage | None]]:
    """Returns each painting with its share and its mask.

    Raises:
        UserError: there is none, a share that is no number from 0 on, or more or fewer masks.
    """
    if isinstance(style, Mapping):
        parts = list(style.items())
    elif isinstance(style, (list, tuple)):
        parts = [one if isinstance(one, tuple) and len(one) == 2 else (one, 1.0) for one in style]
    else:
        parts = [(style, 1.0)]
    if not parts:
        raise UserError("there is no style: give one or more.")
    for _, share in parts:
        check_share(share, "the share of a style")
    masks: Any = style_mask if isinstance(style_mask, (list, tuple)) else [style_mask]
    if style_mask is None:
        masks = [None] * len(parts)
    if len(masks) != len(parts):
        raise UserError(
            f"style_mask: give one for each of the {len(parts)} styles, None where it has none."
        )
    return [(one, share, mask) for (one, share), mask in zip(parts, masks, strict=True)]
