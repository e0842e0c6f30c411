"""The pictures that results are measured against, each read and looked at once if memory allows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.evaluation.style import Statistics, Style, make_style, statistics_of
from nst_lightning.evaluation.subject import Subject
from nst_lightning.evaluation.yardstick import Look, Yardstick
from nst_lightning.grid.sources import Shape
from nst_lightning.imaging.header import picture_size
from nst_lightning.imaging.read import load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.run.tensor_cache import TensorCache

T = TypeVar("T")

CACHE_BYTES = 2 << 30
"""At 512 px a content takes 16 MB and a style 8 MB."""


class Content(NamedTuple):
    """A content at the size of its result."""

    image: Tensor
    """(1, 3, H, W)."""
    look: Look | None
    """None where it is too small for the network."""


class Sources:
    """Reads results, contents and styles.

    Args:
        yardstick: looks at them.
        device: where they go.
    """

    def __init__(self, yardstick: Yardstick, device: torch.device) -> None:
        self.yardstick = yardstick
        self.device = device
        self.cache = TensorCache(CACHE_BYTES)
        self.lost: set[Path] = set()
        """Files that cannot be read."""
        self.warnings: dict[str, None] = {}
        """A sentence for each file that cannot be used."""

    def shape(self, subject: Subject) -> Shape | None:
        """(height, width) of a result; None where it cannot be read."""
        path, most = subject.path, subject.max_pixels
        return self._attempt(path, lambda: picture_size(path, max_pixels=most))

    def result(self, subject: Subject) -> Tensor | None:
        """A result, (1, 3, H, W) on the CPU; None where it cannot be read."""
        path, most = subject.path, subject.max_pixels
        return self._attempt(path, lambda: load_image(path, max_pixels=most))

    def content(self, subject: Subject, shape: Shape) -> Content | None:
        """The content at the size of the result; None where it cannot be read."""
        path = subject.content

        def make() -> Content:
            image = resize(load_image(path, max_pixels=subject.max_pixels), *shape).to(self.device)
            return Content(image, None if self.is_small(image) else self.yardstick.look(image))

        return self._attempt(path, lambda: self.cache.get(("content", path, shape), make))

    def style(self, subject: Subject, longest: int) -> Style | None:
        """The style, its longest side that of the result unless it is smaller, as in the transfer;
        None where one of its pictures cannot be read."""
        parts = [(self._part(path, subject, longest), share) for path, share in subject.style]
        found = [(one, share) for one, share in parts if one is not None]
        if len(found) < len(parts):
            return None
        return self.cache.get(("style", subject.style, longest), lambda: make_style(found))

    def look(self, subjects: Sequence[Subject], images: Tensor) -> Look | None:
        """What the network sees in results (B, 3, H, W); None where they are too small for it."""
        if not self.is_small(images):
            return self.yardstick.look(images)
        self.warnings |= dict.fromkeys(self.too_small(subject.path) for subject in subjects)
        return None

    def is_small(self, images: Tensor) -> bool:
        """Whether pictures are too small for the network."""
        height, width = images.shape[-2:]
        return bool(min(height, width) < self.yardstick.smallest)

    def too_small(self, path: Path) -> str:
        """The sentence for such a picture."""
        return f"{path}: is below the {self.yardstick.smallest} pixels a side that VGG needs."

    def _part(self, path: Path, subject: Subject, longest: int) -> Statistics | None:
        def make() -> Statistics | None:
            picture = load_image(path, longest, max_pixels=subject.max_pixels)
            if self.is_small(picture):
                self.warnings[self.too_small(path)] = None
                return None
            return statistics_of(self.yardstick, picture.to(self.device))

        return self._attempt(path, lambda: self.cache.get(("part", path, longest), make))

    def _attempt(self, path: Path, read: Callable[[], T]) -> T | None:
        """What is read from a file; None where it cannot be, which is noted once."""
        if path in self.lost:
            return None
        try:
            return read()
        except UserError as error:
            self.lost.add(path)
            self.warnings[str(error)] = None
            return None
