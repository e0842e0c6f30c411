"""Reads contents, styles and masks once, brings them to size, and makes targets and starts."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.grid.sources import Shape, StylePart, shape_at
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.imaging.mask import Mask
from nst_lightning.imaging.reading import LoadedImage
from nst_lightning.imaging.resize import resize
from nst_lightning.losses.style import style_kind
from nst_lightning.losses.style_kind import StyleKind
from nst_lightning.run.copying import to_device
from nst_lightning.run.mesh_views import ViewedMesh, ViewSets, view_mesh
from nst_lightning.run.placement import Placement, Room, place
from nst_lightning.run.tensor_cache import TensorCache
from nst_lightning.settings import BatchSettings, Pass, Scale
from nst_lightning.settings.sizes import ShorterSide, fit
from nst_lightning.store.fingerprint import INITS, pair_seed
from nst_lightning.store.job import Job
from nst_lightning.transfer.keep_colours import content_colours, style_colours
from nst_lightning.transfer.start import starting_image
from nst_lightning.transfer.targets import (
    StyleDescription,
    Targets,
    assemble_targets,
    content_targets,
    describe_style,
    held_colours,
    make_parts,
    stack_targets,
    with_guide,
)
from nst_lightning.transfer.walk import make_walk
from nst_lightning.vgg.network import VGG, Walk

CACHE_BYTES = 2 << 30
"""Targets kept for reuse: at 512 px a content takes 11 MB and a style 3 MB."""


class Inputs:
    """What the images of a case are made from.

    Args:
        network: the feature extractor.
        settings: with what `auto` means on this device.
        device: where the targets go.
        dtype: of the targets.
        images: where images and masks come from; by default their files.
        processes: how many make an image together.
    """

    def __init__(
        self,
        network: VGG,
        settings: BatchSettings,
        device: torch.device,
        dtype: torch.dtype,
        images: ImageReader | None = None,
        processes: int = 1,
    ) -> None:
        self.network = network
        self.settings = settings
        self.device = device
        self.processes = processes
        self.dtype = dtype
        self.images = images or ImageReader(settings.max_pixels)
        self.cache = TensorCache(CACHE_BYTES)
        self.view_sets: dict[Path, ViewSets] = {}
        """Of each mesh."""
        self.ahead: dict[tuple[Path, Shape], Future[LoadedImage]] = {}

    def content(self, job: Job, scale: Pass) -> LoadedImage:
        """Returns the photograph at one of the scales; of a mesh, its texels."""
        return self._content_and_features(job, scale)[0]

    def viewed(self, job: Job, scale: Pass) -> ViewedMesh | None:
        """Returns the mesh of a job at one of the scales; None where it has none."""
        path, model = job.pair.content.path, job.pair.content.model
        if model is None:
            return None

        def make() -> ViewedMesh:
            viewed = view_mesh(path, self.settings, scale, self.view_sets.get(path))
            self.view_sets[path] = viewed.view_sets
            return viewed

        return self.cache.get(("mesh", path, scale.size, scale.view_set), make)

    def brought_to(self, image: Tensor, job: Job, before: Pass, scale: Pass) -> Tensor:
        """Returns images (B, 3, H, W) of the scale before as a start at this one."""
        now = self.viewed(job, scale)
        if now is None:
            height, width = self._content_size(job, scale)
            return resize(image, height, width, how=self.settings.resampling)
        then = cast(ViewedMesh, self.viewed(job, before))
        return then.brought_to(now, image, self.settings.resampling)

    def targets(self, jobs: Sequence[Job], scale: Pass) -> Targets:
        """Returns what the losses of a batch compare its images with."""
        height, width = self._content_size(jobs[0], scale)
        kind = style_kind(self.settings, height * width)
        return stack_targets([self._targets(job, scale, kind) for job in jobs], kind)

    def start(self, job: Job, scale: Pass) -> Tensor:
        """Returns where an image starts at one of the scales, (1, 3, H, W) in [0, 1]."""
        content = self.content(job, scale).rgb
        if self.settings.init not in INITS:
            height, width = content.shape[-2:]
            how = self.settings.resampling
            return self.images.resized(Path(self.settings.init), height, width, how=how).rgb
        style = content
        if self.settings.init == "style":
            first = max(job.pair.style.parts, key=lambda part: part.share)
            style = self._style_image(job, first, scale, 1.0)
        seed = pair_seed(self.settings.seed, job.content_sha256, job.style_sha256)
        transferred = content_colours(content, self.settings.preserve_color)
        return starting_image(transferred, style, self.settings, seed)

    def placement(self, shape: Shape, batch: int = 1) -> Placement:
        """Returns how a batch of images of (height, width) is computed on this device."""
        height, width = shape
        room = Room.on(self.device, self.settings)
        return place(self.settings, room, -(-height // self.processes), width, batch)

    def _walk(self, image: Tensor) -> Walk:
        """Returns how an image (1, 3, H, W) that a target is made from goes through the network."""
        height, width = image.shape[-2:]
        return make_walk(self.settings, self.placement((height, width)).tile)

    def read_ahead(self, reader: Executor, jobs: Sequence[Job], following: Sequence[Job]) -> None:
        """Begins to read what the batch after this one needs and nothing before it has read."""
        now, later = self._files(jobs), self._files(following)
        self.ahead = {key: reading for key, reading in self.ahead.items() if key in now | later}
        for key in later - now - self.ahead.keys():
            if not any((side, *key) in self.cache for side in ("content", "style")):
                self.ahead[key] = reader.submit(self._decode, *key)

    def _content_and_features(self, job: Job, scale: Pass) -> tuple[LoadedImage, dict[str, Tensor]]:
        """Returns the photograph at one of the scales, and its features."""

        def make() -> tuple[LoadedImage, dict[str, Tensor]]:
            viewed = self.viewed(job, scale)
            if viewed is None:
                loaded = self._read(job.pair.content.path, self._content_size(job, scale))
            else:
                loaded = LoadedImage(viewed.texels, None)
            image = content_colours(loaded.rgb, self.settings.preserve_color)
            image = image if viewed is None else viewed.rendering.see(image)
            image = to_device(image, self.device, self.dtype)
            return loaded, content_targets(self._network(), image, self.settings, self._walk(image))

        key = ("content", job.pair.content.path, self._content_size(job, scale))
        views = () if job.pair.content.model is None else (scale.view_set,)
        return self.cache.get((*key, *views), make)

    def _targets(self, job: Job, scale: Pass, kind: StyleKind) -> Targets:
        """Returns what the losses of one pair compare its image with."""
        loaded, features = self._content_and_features(job, scale)
        path = job.pair.content.mask
        mask = None if path is None else self._mask(path, loaded.rgb.shape)

        def look(
            one: StylePart, size: float
        ) -> tuple[Collection[str] | None, Callable[[str], StyleDescription]]:
            # Masks of styles say something only about regions of the content.
            own = self.images.colours(one.mask) if mask and one.mask else None
            return own, partial(self._describe, job, one, scale, size, kind)

        parts = make_parts(job.pair.style.parts, self.settings.style_scale, look)
        targets, viewed = assemble_targets(features, mask, parts, kind), self.viewed(job, scale)
        return targets if viewed is None else with_guide(targets, viewed.rendering.coverage)

    def _describe(
        self, job: Job, part: StylePart, scale: Pass, size: float, kind: StyleKind, region: str
    ) -> StyleDescription:
        """Returns what the style loss keeps of a style at one size, or of one of its regions."""

        def make() -> StyleDescription:
            image = self._style_image(job, part, scale, size)
            image = to_device(image, self.device, self.dtype)
            if min(image.shape[-2:]) < self.network.minimum_side:
                raise UserError(
                    f"{part.path}: at {image.shape[-1]}×{image.shape[-2]} pixels the painting is "
                    f"too small for layer {self.network.sequence[-1]}; choose a larger --size or "
                    "--style-scale, or shallower layers."
                )
            guide = self._mask(part.mask, image.shape).of(region) if part.mask and region else None
            return describe_style(
                self._network(), image, self.settings, kind, guide, self._walk(image)
            )

        # A style in the colours of its content is another style for each.
        content = job.pair.content.path, scale.view_set
        of = () if self.settings.preserve_color == "none" else content
        shape = self._style_size(job, part, scale, size)
        which = (part.mask, region) if region else ()
        return self.cache.get(("style", part.path, shape, *which, *of), make)

    def _mask(self, path: Path, shape: Sequence[int]) -> Mask:
        """Returns the regions of an image of shape (…, height, width)."""
        height, width = shape[-2:]

        def make() -> Mask:
            return self.images.mask(path).at(height, width)

        return self.cache.get(("mask", path, height, width), make)

    def _style_image(self, job: Job, part: StylePart, scale: Pass, size: float) -> Tensor:
        style = self._read(part.path, self._style_size(job, part, scale, size)).rgb
        if self.settings.preserve_color == "none":
            return style
        content, s, viewed = self.content(job, scale).rgb, self.settings, self.viewed(job, scale)
        if viewed is not None:
            content = held_colours(viewed.rendering.see(content), viewed.rendering.coverage)
        return style_colours(style, content, s.preserve_color, s.color_variant)

    def _content_size(self, job: Job, scale: Scale) -> Shape:
        """Returns the (height, width) that a photograph is brought to, or of all views."""
        return shape_at(job.pair.content, scale, self.settings)

    def _style_size(self, job: Job, part: StylePart, scale: Scale, size: float) -> Shape:
        """Returns the (height, width) that a painting is brought to."""
        assert part.shape is not None
        own, s, content = part.shape, self.settings, self._content_size(job, scale)
        if job.pair.content.model is not None:
            content = scale.longest, scale.longest  # strokes have their size in each view
        if s.style_fit == "content":
            return times(size, content[0]), times(size, content[1])
        asked = s.style_size_at(scale, job.pair.content.shape)
        if isinstance(asked, ShorterSide):
            shorter, wanted, result = True, asked.pixels, min(content)
        else:
            shorter, wanted, result = False, asked, max(content)

        def fitted(side: int, upscale: bool = False) -> Shape:
            side = times(size, side)
            return fit(*own, ShorterSide(side) if shorter else side, upscale)

        shape = fitted(wanted)
        if s.style_upscale:
            # Both keep the aspect, so that the larger one is larger on both sides.
            shape = max(shape, fitted(min(wanted, result), upscale=True))
        return shape

    def _network(self) -> VGG:
        """Returns the network on this device: a finished fit leaves it on the CPU."""
        return self.network.to(self.device, self.dtype)

    def _files(self, jobs: Sequence[Job]) -> set[tuple[Path, Shape]]:
        """Returns the files that a batch reads, each with its size."""
        return {
            key
            for job in jobs
            for scale in self.settings.scales
            for key in (
                *(
                    [(job.pair.content.path, self._content_size(job, scale))]
                    if job.pair.content.model is None
                    else []
                ),
                *(
                    (part.path, self._style_size(job, part, scale, size))
                    for part in job.pair.style.parts
                    for size in self.settings.style_scale
                ),
            )
        }

    def _read(self, path: Path, shape: Shape) -> LoadedImage:
        reading = self.ahead.pop((path, shape), None)
        return reading.result() if reading else self._decode(path, shape)

    def _decode(self, path: Path, shape: Shape) -> LoadedImage:
        return self.images.resized(path, *shape, how=self.settings.resampling)


def times(factor: float, side: int) -> int:
    """Returns a side in whole pixels, at least one."""
    return max(1, round(factor * side))
