"""Figures of studies: rows of images with a line or two below each. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.imaging.encoding import save_image
from nst_lightning.imaging.metadata import image_size
from nst_lightning.report.panels import Row, draw_page

SIDES = (150, 300)
"""Longest side of an image in a figure: at least, at most."""

LONGEST_SIDE = 6000
"""A figure wider than this gets smaller images."""


def draw_figure(
    path: Path, rows: Sequence[Row], heading: str = "", *, max_pixels: int = MAX_PIXELS
) -> None:
    """Writes a figure as PNG, atomically; what cannot be read becomes a panel that says so.

    Raises:
        OSError: it cannot be written.
    """
    save_image(path, compose(rows, heading, max_pixels=max_pixels), "PNG")


def compose(rows: Sequence[Row], heading: str = "", *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Returns a figure as an RGB image, its panels as large as its largest image within limits."""
    images = [panel.image for row in rows for panel in row.panels if panel.image is not None]
    largest = max((longest_side(image, max_pixels) for image in images), default=0)
    columns = max(len(row.panels) for row in rows)
    side = min(max(SIDES[0], min(SIDES[1], largest)), max(64, LONGEST_SIDE // (columns + 1)))
    return draw_page(rows, side, max_pixels=max_pixels, heading=heading)


def longest_side(image: Path | Image.Image, max_pixels: int) -> int:
    """Returns the longest side of an image in pixels; 0 where it cannot be read."""
    if isinstance(image, Image.Image):
        return max(image.size)
    try:
        return max(image_size(image, max_pixels=max_pixels))
    except UserError:
        return 0
