"""Where images and masks come from, by path. Imports no torch until one is read."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nst_lightning.imaging.metadata import image_size

if TYPE_CHECKING:
    from nst_lightning.imaging.mask import Mask
    from nst_lightning.imaging.reading import LoadedImage

MASKS = 4096
"""Masks whose regions are remembered."""


class ImageReader:
    """Reads images and masks from their files; what it is asked for may be in memory instead, see
    `ImagesInMemory`.

    All methods raise UserError where an image cannot be read.

    Args:
        max_pixels: more pixels are refused.
    """

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels = max_pixels
        self.colours = lru_cache(MASKS)(self._colours)
        """Returns the colours of a mask's regions, which it remembers: there are many pairs."""

    def size(self, path: Path) -> tuple[int, int]:
        """Returns an image's upright (height, width); a file's header says it."""
        return image_size(path, max_pixels=self.max_pixels)

    def image(self, path: Path) -> "LoadedImage":
        """Returns an image as it is to be looked at; see `read_image`."""
        from nst_lightning.imaging.reading import read_image

        return read_image(path, max_pixels=self.max_pixels)

    def resized(
        self, path: Path, height: int, width: int, *, how: str = "bicubic"
    ) -> "LoadedImage":
        """Returns an image at a size; a large file is brought to it while it is read, see
        `read_resized`."""
        from nst_lightning.imaging.reading import read_resized

        return read_resized(path, (height, width), how=how, max_pixels=self.max_pixels)

    def mask(self, path: Path) -> "Mask":
        """Returns the regions that an image shows; see `read_mask`."""
        from nst_lightning.imaging.mask import read_mask

        return read_mask(path, max_pixels=self.max_pixels)

    def _colours(self, path: Path) -> tuple[str, ...]:
        return self.mask(path).colours
