"""The images that results are measured against, each read and seen once if memory allows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.evaluation.feature_extractor import FeatureExtractor, Features, Moments
from nst_lightning.evaluation.style_metrics import colour_histogram, style_root
from nst_lightning.evaluation.subject import Subject
from nst_lightning.grid.sources import Shape
from nst_lightning.imaging.metadata import image_size
from nst_lightning.imaging.reading import load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.losses.style_kind import weighted_mean
from nst_lightning.run.tensor_cache import TensorCache
from nst_lightning.settings.sizes import fit

T = TypeVar("T")

CACHE_BYTES = 2 << 30
"""At 512 px a content takes 16 MB and a style 8 MB."""


class ContentReference(NamedTuple):
    """A content at the size of its result."""

    image: Tensor
    """(1, 3, H, W)."""
    features: Features | None
    """None where it is too small for the network."""


class StyleStatistics(NamedTuple):
    """What shares of several images may blend, all with a leading 1."""

    moments: dict[str, Moments]
    """By layer."""
    colours: Tensor
    """The colour histogram, (1, 512)."""


class StyleReference(NamedTuple):
    """A style: one image, or several by shares."""

    statistics: StyleStatistics
    roots: dict[str, Tensor]
    """By layer: Σ*^½, (1, C, C) in float64."""


def style_statistics(extractor: FeatureExtractor, image: Tensor) -> StyleStatistics:
    """Returns the statistics of one image, (1, 3, h, w) in [0, 1].

    Raises:
        UserError: it is too small for the network.
    """
    return StyleStatistics(extractor.extract(image).moments, colour_histogram(image))


def blend_styles(parts: Sequence[tuple[StyleStatistics, float]]) -> StyleReference:
    """Returns the style of images by shares, of any sum.

    Means, raw second moments (which are Gram matrices) and histograms of a mixture are the shares'
    mean of its parts'.
    """
    total = sum(share for _, share in parts)

    def mix(tensors: Sequence[Tensor]) -> Tensor:
        return weighted_mean(list(tensors), [share / total for _, share in parts])

    blended = {
        layer: (
            mix([one.moments[layer][0] for one, _ in parts]),
            mix([one.moments[layer][1] for one, _ in parts]),
        )
        for layer in parts[0][0].moments
    }
    colours = mix([one.colours for one, _ in parts])
    roots = {layer: style_root(*found) for layer, found in blended.items()}
    return StyleReference(StyleStatistics(blended, colours), roots)


class References:
    """Reads results, contents and styles, and notes what cannot be used.

    Args:
        extractor: takes their features.
        device: where they go.
    """

    def __init__(self, extractor: FeatureExtractor, device: torch.device) -> None:
        self.extractor = extractor
        self.device = device
        self.cache = TensorCache(CACHE_BYTES)
        self.unreadable: set[Path] = set()
        self.warnings: dict[str, None] = {}
        """A sentence for each file that cannot be used."""

    def read_shape(self, subject: Subject) -> Shape | None:
        """Returns (height, width) of a result; None where it cannot be read."""
        path, most = subject.path, subject.max_pixels
        return self.attempt(path, lambda: image_size(path, max_pixels=most))

    def read_result(self, subject: Subject) -> Tensor | None:
        """Returns a result, (1, 3, H, W) on the CPU; None where it cannot be read."""
        path, most = subject.path, subject.max_pixels
        return self.attempt(path, lambda: load_image(path, max_pixels=most))

    def content(self, subject: Subject, shape: Shape) -> ContentReference | None:
        """Returns the content at the size of the result, resized as it was for it; None where it
        cannot be read."""
        path, how = subject.content, subject.resampling

        def make() -> ContentReference:
            image = load_image(path, max_pixels=subject.max_pixels)
            return self.content_of(resize(image, *shape, how=how))

        return self.attempt(path, lambda: self.cache.get(("content", path, shape, how), make))

    def content_of(self, image: Tensor) -> ContentReference:
        """Returns an image (1, 3, H, W) as a content."""
        image = image.to(self.device)
        features = None if self.is_small(image) else self.extractor.extract(image)
        return ContentReference(image, features)

    def style(self, subject: Subject, longest: int) -> StyleReference | None:
        """Returns the style, its longest side that of the result, as the transfer has it by
        default, and resized as it was for it; None where one of its images cannot be read."""
        parts = [(self._style_part(path, subject, longest), share) for path, share in subject.style]
        found = [(one, share) for one, share in parts if one is not None]
        if len(found) < len(parts):
            return None
        key = ("style", subject.style, longest, subject.resampling)
        return self.cache.get(key, lambda: blend_styles(found))

    def features(self, subjects: Sequence[Subject], images: Tensor) -> Features | None:
        """Returns the features of results (B, 3, H, W); None where they are too small."""
        if not self.is_small(images):
            return self.extractor.extract(images)
        for subject in subjects:
            self._warn_too_small(subject.path)
        return None

    def is_small(self, images: Tensor) -> bool:
        """Returns whether images are too small for the network."""
        height, width = images.shape[-2:]
        return bool(min(height, width) < self.extractor.smallest)

    def _warn_too_small(self, path: Path) -> None:
        smallest = self.extractor.smallest
        self.warnings[f"{path}: is below the {smallest} pixels a side that VGG needs."] = None

    def _style_part(self, path: Path, subject: Subject, longest: int) -> StyleStatistics | None:
        how = subject.resampling

        def make() -> StyleStatistics | None:
            image = load_image(path, max_pixels=subject.max_pixels)
            height, width = image.shape[-2:]
            image = resize(image, *fit(height, width, longest, True), how=how)
            if self.is_small(image):
                self._warn_too_small(path)
                return None
            return style_statistics(self.extractor, image.to(self.device))

        return self.attempt(path, lambda: self.cache.get(("part", path, longest, how), make))

    def attempt(self, path: Path, read: Callable[[], T]) -> T | None:
        """Returns what is read from a file; None where it cannot be, which is noted once."""
        if path in self.unreadable:
            return None
        try:
            return read()
        except UserError as error:
            self.unreadable.add(path)
            self.warnings[str(error)] = None
            return None
