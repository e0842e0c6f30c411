"""The masks of a plan's images: where they are, and whether they fit."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import MASK, Source
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.settings import BatchSettings


def find_masks(sources: Sequence[Source], folder: Path, settings: BatchSettings) -> list[Source]:
    """Returns images with their masks, where they have one: `<name>.mask.png` or `<stem>.mask.png`
    in a folder or, failing that, `<stem>.mask.png` beside the image.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"--mask-dir {folder}: there is no such folder.")
    found, images = [], ImageReader(settings.max_pixels)
    for source in sources:
        plain = source.path.stem + MASK
        places = (
            folder / f"{source.name}{MASK}",
            (folder / source.name).with_name(plain),
            source.path.with_name(plain),
        )
        mask = next((place for place in places if place.is_file()), None)
        found.append(with_mask(source, mask, images) if mask else source)
    return found


def check_found(contents: Sequence[Source], folder: Path) -> None:
    """Sees that a folder of masks is of some use.

    Raises:
        UserError: there is no mask for any content, so that there are no regions.
    """
    if not any(source.mask or source.problem for source in contents):
        raise UserError(
            f"--mask-dir {folder}: no photograph has a mask there; one for {contents[0].path.name} "
            f"is called {contents[0].name}{MASK}."
        )


def with_mask(source: Source, mask: Path, images: ImageReader) -> Source:
    """Returns an image with its mask; a mask that does not fit is the image's problem."""
    from nst_lightning.imaging.mask import check_aspect

    if source.shape is None:
        return source
    try:
        check_aspect(mask, images.size(mask), source.path, source.shape)
    except UserError as error:
        return replace(source, shape=None, problem=str(error))
    return replace(source, mask=mask)


def mask_problem(pair: Pair, images: ImageReader) -> str:
    """Says why the regions of a pair cannot be drawn; empty where they can."""
    if pair.content.mask is None:
        return ""
    try:
        needed = images.colours(pair.content.mask)
        offered = set()
        for part in pair.style.parts:
            if part.region:
                offered.add(part.region)
            elif part.mask is None:
                return ""
            else:
                offered.update(images.colours(part.mask))
    except UserError as error:
        return str(error)
    for part in pair.style.parts:
        if part.region and part.region not in needed:
            return (
                f"{pair.content.mask}: has no region {part.region}; its regions are "
                f"{', '.join(needed)}."
            )
    if offered.isdisjoint(needed):
        return (
            f"{pair.content.mask}: none of its regions ({', '.join(needed)}) has a style; those of "
            f"{pair.style.name} are {', '.join(sorted(offered))}."
        )
    return ""
