"""What a grid is made of: photographs, paintings, blends of them and their masks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from nst_lightning.batch.blends import blended_columns
from nst_lightning.batch.masks import find_masks
from nst_lightning.batch.plan import Source, read_sources
from nst_lightning.settings import BatchSettings

MaskDir = Annotated[
    Path | None,
    typer.Option(
        "--mask-dir",
        metavar="FOLDER",
        help="Where <name>.mask.png, the regions of a picture, is, if not beside it.",
    ),
]
BlendStyles = Annotated[
    str | None,
    typer.Option(
        "--blend-styles",
        metavar="pairs|FILE",
        help="Blends of styles as columns: every two of them, or those that a YAML file names.",
    ),
]


def read_sides(
    contents: Path,
    styles: Path,
    settings: BatchSettings,
    out: Path,
    blend_styles: str | None = None,
    mask_dir: Path | None = None,
) -> tuple[list[Source], list[Source]]:
    """The rows and the columns of a grid.

    Raises:
        UserError: no pictures, no such folder of masks, or a blend that cannot be.
    """
    rows, columns = (read_sources(side, settings, out) for side in (contents, styles))
    if mask_dir is not None:
        rows, columns = (find_masks(side, mask_dir, settings) for side in (rows, columns))
    if blend_styles is not None:
        columns = blended_columns(blend_styles, columns, out)
    return rows, columns


def draw_blends(styles: Iterable[Source], max_pixels: int) -> None:
    """A picture of each blend, for contact sheet and gallery."""
    from nst_lightning.report.swatch import draw_swatch

    for style in styles:
        if style.blend and not style.problem:
            parts = [(part.path, part.share) for part in style.blend]
            draw_swatch(style.path, parts, max_pixels=max_pixels)
