"""Makes the frames of films one after the other, each held to those before it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import lightning as L
import torch
from torch import Tensor

from nst_lightning.callbacks.progress import Progress
from nst_lightning.errors import UserError
from nst_lightning.files import check_inside
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Film, Shape, shape_at
from nst_lightning.imaging.in_memory import ImagesInMemory
from nst_lightning.imaging.reading import LoadedImage
from nst_lightning.imaging.resize import resize
from nst_lightning.layout import FLOWS, frame_name
from nst_lightning.run.batch_run import BatchRun
from nst_lightning.run.devices import check_range
from nst_lightning.run.display import Losses
from nst_lightning.run.film_plan import Segment, later_steps, rough_shape
from nst_lightning.run.frame_files import (
    age_of,
    frames_folder,
    read_facts,
    read_frame,
    segment_folder,
    to_tensor,
    write_frame,
)
from nst_lightning.run.inputs import Inputs
from nst_lightning.run.make_batch import make_batch
from nst_lightning.run.outcome import explain_divergence
from nst_lightning.settings import BatchSettings
from nst_lightning.store.job import Job
from nst_lightning.transfer.module import build_network
from nst_lightning.vgg.weights import Weights
from nst_lightning.video.clip_reading import read_frames
from nst_lightning.video.continuing import continued
from nst_lightning.video.flow import flow_between
from nst_lightning.video.flow_cache import FlowCache
from nst_lightning.video.temporal_target import (
    BACK,
    Known,
    Reference,
    reference_frames,
    temporal_target,
)
from nst_lightning.video.warping import inside

SETTLED = 0.01
"""A frame that others came before is done where its loss falls by less in ten steps: those of a pan
fell by half in 20 steps, by 5 % in the next ten and by 1 % in each ten after them. With 0.02 its
newly seen areas were painted by a tenth less, in a sixth less time."""

GENTLER = 0.1
"""Adam's learning rate in a frame that others came before, by that of the first: with the whole
rate its first step moves every pixel by as much, 10 levels with `anishathalye`, and a pan then
changed ten times as much (mean square) as its clip."""

LONGEST = 0.02
"""Root mean square by which no step of L-BFGS displaces a frame that others came before, where the
settings let it go any way: it has no line search, and with `gatys-paper` the sixth frame of a pan
was thrown into another picture."""

ENTERED = 0.15
"""How much of what enters at the border begins as the photograph, the rest as the painting
continued: with 1 a pan's border was painted two thirds as much as the rest; with 0, over 28 frames,
what lay further in was repeated."""

FLOW_BYTES = 1 << 30
"""Of how things move, which is remembered for other styles: at 512 px a flow takes 0.6 MB."""


@dataclass(frozen=True)
class Seen:
    """A frame of the clip, and what was made of it, (1, 3, H, W) in [0, 1] each.

    age: see `Known`.
    curvature: the inverse of it at the end, as far as it is known; the next frame begins with it,
        for it starts near its end, and a longer first step would lead away.
    """

    frame: Tensor
    result: Tensor
    age: Tensor
    curvature: float | None


@dataclass(frozen=True)
class Held:
    """What is known of a frame before it is made.

    start: where it starts, (1, 3, H, W) in [0, 1]; by default as an image does.
    known: what the frames before say of it.
    curvature: see `Seen`.
    """

    start: Tensor | None
    known: Known | None = None
    curvature: float | None = None


@dataclass(frozen=True)
class Chain:
    """How the frames of a segment are made, or its rough ones.

    folder: where they go.
    shape: their (height, width).
    first: the settings of the first one.
    later: those of all others.
    shown: whether they are the segment's own, whose steps are counted.
    """

    folder: Path
    shape: Shape
    first: BatchSettings
    later: BatchSettings
    shown: bool = True


class FrameMaker:
    """Makes the frames of pairs whose contents are films.

    A frame whose file is there is not made again, whoever made it.

    Args:
        settings: with what each `auto` means on this device.
        weights: of the network.
        device: that the frames are made on.
        out: the output folder.
        watch: is told of every step of a frame, with the losses; of rough ones that it is step 0.
        finished: is told of every frame of a segment that is there, and of the steps that it was
            to take.
        check: is called after every step; what it raises ends the work.
    """

    def __init__(
        self,
        settings: BatchSettings,
        weights: Weights,
        device: torch.device,
        out: Path,
        watch: Callable[[int, Losses], None] = lambda step, losses: None,
        finished: Callable[[int], None] = lambda steps: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        check_range(settings, weights)
        self.settings = settings
        self.device = device
        self.out = out
        self.watch, self.finished, self.check = watch, finished, check
        self.dtype = torch.float64 if settings.precision == "64-true" else torch.float32
        self.network = build_network(settings, weights).to(device)
        self.images = ImagesInMemory(settings.max_pixels)
        self.inputs: dict[str, Inputs] = {}
        """By the settings that they are for, as JSON."""
        self.flows = FlowCache(out / FLOWS, FLOW_BYTES)

    def make(self, job: Job, segment: Segment) -> None:
        """Makes the frames of a segment that are not there.

        A segment that begins within a shot starts from a rough frame, a quarter of the size, to
        which all frames of the shot before it have led: so it agrees with the segment before.

        Raises:
            UserError: the film can no longer be read, or a loss was no finite number.
            OSError: a frame cannot be written.
        """
        shape = shape_at(job.pair.content, self.settings.scales[-1], self.settings)
        chain = Chain(segment_folder(self.out, job, segment), shape, *self._settings_at(shape))
        start = None
        if segment.begin > segment.shot[0]:
            small = rough_shape(job.pair.content, self.settings)
            folder = frames_folder(self.out, job) / f"rough-{segment.shot[0]:06d}"
            rough = Chain(folder, small, *self._settings_at(small, only_last=True), shown=False)
            self._follow(job, rough, segment.shot[0], segment.begin + 1)
            before = cast(Tensor, read_frame(folder / frame_name(segment.begin), small))
            start = resize(before, *shape, how=self.settings.resampling)
            last = self._settings_at(shape, only_last=True)
            chain = replace(chain, first=last[0])
        self._follow(job, chain, segment.begin, segment.stop, start)

    def _settings_at(
        self, shape: Shape, *, only_last: bool = False
    ) -> tuple[BatchSettings, BatchSettings]:
        """Returns the settings of a first frame and of later ones, for frames that have their
        (height, width) already.

        Args:
            shape: of the frames.
            only_last: whether the first is made at one scale alone.
        """
        s = self.settings
        whole = s.scales[-1].model_copy(update={"size": max(shape)})
        scales = [whole] if only_last else [*s.scales[:-1], whole]
        later = whole.model_copy(update={"steps": later_steps(s)})
        first = s.model_copy(update={"scales": scales, "upscale": False})
        gentler = GENTLER if s.optimizer == "adam" else 1.0
        changes = {
            "scales": [later],
            "stop_below": SETTLED if s.stop_below is None else s.stop_below,
            "learning_rate": gentler * s.resolved_learning_rate,
            "longest_step": LONGEST if s.longest_step is None else s.longest_step,
        }
        return first, first.model_copy(update=changes)

    def _follow(
        self,
        job: Job,
        chain: Chain,
        begin: int,
        stop: int,
        start: Tensor | None = None,
    ) -> None:
        """Makes the frames begin … stop − 1 that are not there, one after the other.

        Args:
            job: the pair.
            chain: how.
            begin: the first frame, which is made by itself.
            stop: the one after the last.
            start: where the first one begins, (1, 3, H, W); by default as an image does.
        """
        film = cast(Film, job.pair.content.film)
        seen: dict[int, Seen] = {}
        for number, levels in enumerate(read_frames(film.clip, begin, stop), begin):
            self.check()
            frame = to_tensor(levels, chain.shape)
            settings = chain.later if seen else chain.first
            path = chain.folder / frame_name(number)
            result = read_frame(path, chain.shape)
            if result is None:
                held = Held(start) if not seen else self._held(job, number, frame, begin, seen)
                result = self._make(job, chain, number, frame, held)
            if chain.shown:
                self.finished(settings.total_steps)
            facts = read_facts(path)
            age = age_of(facts, chain.shape)
            seen[number] = Seen(frame, result, age, facts.get("curvature"))
            seen = {k: one for k, one in seen.items() if k == begin or k > number - max(BACK)}

    def _held(
        self, job: Job, number: int, frame: Tensor, begin: int, seen: Mapping[int, Seen]
    ) -> Held:
        """Returns what earlier frames say of one, and where it starts: at that; at the photograph
        where something has moved away, of which a ghost would stay; and elsewhere at the frame
        before, along the motion, which is continued, with some of the photograph, where something
        enters.
        """

        def reference(k: int) -> Reference:
            one = seen[k]
            back = self._flow(job, number, k, frame, one.frame)
            return Reference(
                one.frame, one.result, back, self._flow(job, k, number, one.frame, frame)
            )

        nearest, *others = reference_frames(number, begin)
        closest = reference(nearest)
        first = reference(begin) if others else closest
        before = seen[number - 1]
        known = temporal_target(frame, first, closest, map(reference, others), before.age)
        moved = continued(closest.result, closest.backward).clamp(0, 1)
        start = torch.where(known.temporal.weight > 0, known.temporal.image, moved)
        entering = 1 - inside(closest.backward)
        start = torch.lerp(start, frame, known.new * (1 - (1 - ENTERED) * entering))
        return Held(start, known, before.curvature)

    def _flow(self, job: Job, number: int, other: int, one: Tensor, two: Tensor) -> Tensor:
        """Returns how things move from one frame to another."""
        height, width = one.shape[-2:]
        key = f"{job.content_sha256}-{width}x{height}-{number}-{other}"
        return self.flows.get(key, lambda: flow_between(one, two))

    def _make(
        self,
        job: Job,
        chain: Chain,
        number: int,
        frame: Tensor,
        held: Held,
    ) -> Tensor:
        """Makes one frame, writes it, and returns it as its file has it, (1, 3, H, W).

        Args:
            job: the pair.
            chain: that it is of.
            number: of the frame.
            frame: of the clip, (1, 3, H, W) in [0, 1].
            held: what is known of it.
        """
        began = time.monotonic()
        known = held.known
        settings = chain.later if known else chain.first
        path = chain.folder / frame_name(number)
        inputs = self._inputs(settings)
        single = frame_job(job, number, (frame.shape[-2], frame.shape[-1]))
        self.images.images = {single.pair.content.path: LoadedImage(frame, None)}
        batch = BatchRun([single], settings, None)

        def report(step: int, losses: Losses) -> None:
            self.watch(step if chain.shown else 0, losses)
            self.check()

        def callbacks() -> list[L.Callback]:
            return [Progress(report, batch.progress().offset)]

        curvature = None if held.curvature is None else torch.tensor([held.curvature])
        (made,) = make_batch(
            inputs,
            batch,
            callbacks,
            image=held.start,
            curvature=None if curvature is None else curvature.to(self.device, self.dtype),
            temporal=known.temporal if known else None,
        )
        inputs.cache.forget(single.pair.content.path)
        if made.diverged_at:
            raise UserError(f"frame {number + 1}: {explain_divergence(made)}")
        facts = {
            "losses": made.losses,
            "unweighted": made.unweighted,
            "steps": made.steps,
            "seconds": round(time.monotonic() - began, 3),
            "curvature": made.curvature,
        }
        bits = cast(Film, job.pair.content.film).clip.image_bits
        check_inside(self.out, path.parent)
        return write_frame(path, made.image, known.age if known else None, facts, bits)

    def _inputs(self, settings: BatchSettings) -> Inputs:
        """Returns what frames with these settings are made from."""
        key = settings.model_dump_json()
        if key not in self.inputs:
            self.inputs[key] = Inputs(self.network, settings, self.device, self.dtype, self.images)
        return self.inputs[key]


def frame_job(job: Job, number: int, shape: Shape) -> Job:
    """Returns a frame of a film as a pair of its own."""
    content, film = job.pair.content, cast(Film, job.pair.content.film)
    mask = film.masks[number] if film.masks else None
    path = content.path / frame_name(number)
    source = replace(content, path=path, shape=shape, mask=mask, film=None)
    return replace(job, pair=Pair(source, job.pair.style, job.pair.file))
