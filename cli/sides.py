"""What a grid is made of: photographs, paintings, blends of them and their masks."""

from collections.abc import Iterable
from pathlib import Path

from nst_lightning.errors import UserError
from nst_lightning.grid.blends import blended_columns
from nst_lightning.grid.masks import check_found, find_masks
from nst_lightning.grid.sources import Source, read_sources
from nst_lightning.layout import BLENDS
from nst_lightning.settings import BatchSettings

from .flags import StyleFlags


def read_sides(
    contents: Path,
    styles: Path,
    settings: BatchSettings,
    out: Path,
    flags: StyleFlags,
) -> tuple[list[Source], list[Source]]:
    """Returns the rows and the columns of a grid.

    Raises:
        UserError: no images, no masks, or a blend that cannot be.
    """
    rows, columns = (read_sources(side, settings, out) for side in (contents, styles))
    if (mask_dir := flags.mask_dir) is not None:
        rows, columns = (find_masks(side, mask_dir, settings) for side in (rows, columns))
        check_found(rows, mask_dir)
    if flags.blend_styles is not None:
        check_names(rows)
        columns = blended_columns(flags.blend_styles, columns, out)
    return rows, columns


def check_names(contents: Iterable[Source]) -> None:
    """Checks that no results go where the images of blends are.

    Raises:
        UserError: a photograph is called like that folder.
    """
    for source in contents:
        if source.name.partition("/")[0].casefold() == BLENDS.name:
            raise UserError(
                f"{source.path}: the images of blends go to {BLENDS}/, where the results of this "
                "photograph would be; rename it."
            )


def draw_blends(styles: Iterable[Source], max_pixels: int) -> None:
    """Draws an image of each blend, for contact sheet and gallery."""
    from nst_lightning.drawing.swatch import draw_swatch

    for style in styles:
        if style.blend and not style.problem:
            parts = [(part.path, part.share) for part in style.blend]
            draw_swatch(style.path, parts, max_pixels=max_pixels)
