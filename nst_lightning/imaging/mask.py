"""Masks: images whose flat colours say which region a pixel is in."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.formats import LOSSY, MAX_PIXELS
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.opening import opened
from nst_lightning.imaging.reading import LoadedImage, read_image
from nst_lightning.settings.text import echo

MOST = 256
"""Regions of a mask: as many as there are grey levels. A photograph has more flat colours."""

APART = 16
"""Levels by which two regions of a JPEG differ at least; its noise in flat areas is below that."""


LOSSY_FORMATS = {"MPO", *(name.upper() for name in LOSSY)}
"""Pillow's names of the formats that change colours; a JPEG that holds further images is an MPO."""


@dataclass(frozen=True)
class Mask:
    """The regions of an image."""

    colours: tuple[str, ...]
    """`#rrggbb` of each, in order."""
    inside: Tensor
    """(1, R, H, W) in [0, 1], how much of each pixel is in each region: together at most 1, and
    less where the mask is transparent."""

    def at(self, height: int, width: int) -> "Mask":
        """Returns the regions at another size."""
        smaller = F.interpolate(self.inside, (height, width), mode="bilinear", antialias=True)
        return Mask(self.colours, smaller.clamp(0, 1))

    def of(self, colour: str) -> Tensor:
        """Returns one region, (1, 1, H, W)."""
        where = self.colours.index(colour)
        return self.inside[:, where : where + 1]


def read_mask(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Mask:
    """Reads a mask: every grey level or colour that fills an area is a region.

    A colour fills an area where it surrounds some pixel on all eight sides. What is between areas,
    the soft edges, is shared between the two regions of the nearest colours, in proportion. In a
    JPEG, whose colours are not exact, those that are nearly the same are one.

    Raises:
        UserError: see `read_image`; no colour fills an area, only a transparent one, or too many.
    """
    lossy = is_lossy(path, max_pixels)
    return find_regions(read_image(path, max_pixels=max_pixels), path, lossy=lossy)


def find_regions(image: LoadedImage, path: Path | str, *, lossy: bool) -> Mask:
    """Returns the regions of a mask that is read already; see `read_mask`.

    Args:
        path: of the mask, or what it is called.
        lossy: whether its format may have changed its colours.
    """
    pixels = to_levels(image.rgb)[0].permute(1, 2, 0).contiguous()
    areas = flat_colours(pixels, APART if lossy else 0)
    if not len(areas):
        raise UserError(f"{path}: has no area of one colour, so no region; paint them flat.")
    if len(areas) > MOST:
        raise UserError(f"{path}: has {len(areas)} flat colours, more than the {MOST} of a mask.")
    inside = memberships(pixels, areas)
    if image.alpha is not None:
        inside = inside * image.alpha[0]
        seen = inside.flatten(1).sum(dim=1) > 0
        areas, inside = areas[seen], inside[seen]
        if not len(areas):
            raise UserError(f"{path}: is transparent all over, so it has no region.")
    colours = tuple(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in areas.tolist())
    return Mask(colours, inside[None])


def is_lossy(path: Path | str, max_pixels: int) -> bool:
    """Returns whether an image's format may have changed its colours."""
    with opened(path, max_pixels) as image:
        return image.format in LOSSY_FORMATS


def flat_colours(pixels: Tensor, apart: int = 0) -> Tensor:
    """Returns the colours of (H, W, 3), uint8, that surround some pixel on all sides: (R, 3).

    Args:
        apart: of colours that differ by at most so many levels, the most common counts alone.
    """
    code = pixels.long() @ torch.tensor([1 << 16, 1 << 8, 1])
    # The edge of the image does not end an area.
    around = F.pad(code[None, None].double(), (1, 1, 1, 1), mode="replicate")
    low = -F.max_pool2d(-around, 3, stride=1)[0, 0]
    high = F.max_pool2d(around, 3, stride=1)[0, 0]
    found, count = torch.unique(code[low == high], return_counts=True)
    colours = torch.stack([found >> 16, (found >> 8) & 255, found & 255], dim=1)
    kept: list[int] = []
    for one in count.argsort(descending=True).tolist():
        far = (colours[kept] - colours[one]).abs().amax(dim=1) > apart
        if far.all():
            kept.append(one)
    return colours[sorted(kept)]


def memberships(pixels: Tensor, colours: Tensor) -> Tensor:
    """Returns how much of each pixel of (H, W, 3) is of each of (R, 3) colours: (R, H, W)."""
    shape = pixels.shape[:2]
    found, where = torch.unique(pixels.view(-1, 3), dim=0, return_inverse=True)
    far = torch.cdist(found.float(), colours.float())
    near, which = far.topk(min(2, len(colours)), largest=False)
    part = near[:, -1:] / near.sum(dim=1, keepdim=True).clamp(min=1e-6)
    shares = torch.cat([part, 1 - part], dim=1) if len(colours) > 1 else torch.ones(len(found), 1)
    each = torch.zeros(len(found), len(colours)).scatter_(1, which, shares)
    return each[where].T.reshape(-1, *shape)


def check_aspect(
    mask: Path, mask_shape: tuple[int, int], image: Path, shape: tuple[int, int]
) -> None:
    """Sees that a mask fits its image: any size, but the same aspect, to a pixel or a hundredth.

    Args:
        mask_shape: (height, width) of the mask.
        shape: (height, width) of the image.

    Raises:
        UserError: it does not.
    """
    height, width = mask_shape
    off = abs(width * shape[0] / (height * shape[1]) - 1)
    if off > max(0.01, 1 / min(height, width, *shape)):
        raise UserError(
            f"{mask}: is {width}×{height} and does not fit {image} of {shape[1]}×{shape[0]}; "
            "give a mask of the same aspect."
        )


def colour_name(text: str) -> str:
    """Returns `#rrggbb` of `255`, `white`, `#f00` or `#ff0000`.

    Raises:
        UserError: it is no colour.
    """
    from PIL import ImageColor

    if text.isdecimal() and len(text) <= 3 and int(text) <= 255:
        return "#" + f"{int(text):02x}" * 3
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise UserError(
            f"{echo(text)} is no colour of a region; write a grey level (0 to 255), a name or "
            "#rrggbb."
        ) from None
    return f"#{red:02x}{green:02x}{blue:02x}"
