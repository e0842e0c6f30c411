"""One batch of pairs on one device: the only place that builds a Trainer."""

import itertools
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException
from PIL import Image
from torch import Tensor

from nst_lightning.batch.cache import TensorCache
from nst_lightning.batch.checkpoint import Checkpoints, Files, State
from nst_lightning.batch.display import Display, Losses
from nst_lightning.batch.fingerprint import pair_seed
from nst_lightning.batch.finishing import finished_picture, write_result
from nst_lightning.batch.ledger import Record
from nst_lightning.batch.masks import regions
from nst_lightning.batch.memory import keep_freed_memory
from nst_lightning.batch.output import RECORD_KEY, Job, encode
from nst_lightning.batch.plan import Shape, StylePart, shapes
from nst_lightning.batch.record import make_record
from nst_lightning.callbacks.checkpoint import Checkpoint
from nst_lightning.callbacks.film import Film, frame_steps
from nst_lightning.callbacks.history import History
from nst_lightning.callbacks.progress import Progress
from nst_lightning.callbacks.snapshots import Snapshots
from nst_lightning.errors import OutputError, UserError
from nst_lightning.imaging.atomic import write_text
from nst_lightning.imaging.colour_transfer import content_colours, style_colours
from nst_lightning.imaging.header import fit
from nst_lightning.imaging.mask import Mask, read_mask
from nst_lightning.imaging.quantise import to_levels
from nst_lightning.imaging.read import Picture, read_picture
from nst_lightning.imaging.resize import resize
from nst_lightning.imaging.write import to_uint8, write_png
from nst_lightning.losses.style import StyleKind, style_kind
from nst_lightning.report.curves import draw_curves
from nst_lightning.report.film import write_film
from nst_lightning.report.history_file import write_history
from nst_lightning.settings import BatchSettings, Scale, dump_yaml, finite
from nst_lightning.stop import StopFlag
from nst_lightning.targets import (
    Described,
    Part,
    Targets,
    assemble,
    content_targets,
    describe_style,
    stack,
)
from nst_lightning.transfer import StyleTransfer, build_network, starting_image
from nst_lightning.vgg.network import VGG
from nst_lightning.vgg.weights import Weights

Made = dict[str, Any]
"""What became of a pair: see `Worker._make`; or a `problem`."""


@dataclass
class Course:
    """How far a batch has come."""

    steps: Tensor
    """That each picture made in the scales behind it, (B,)."""
    scale: int = 0
    """The one that it is at, from 0."""
    offset: int = 0
    """Steps of the scales behind it, made or saved."""
    float32_from: int | None = None
    seconds: float = 0.0
    """Spent on it by earlier runs."""
    resumed: tuple[int, ...] = ()
    """After which steps it was interrupted."""


LONGEST_QUEUE = 64
"""Snapshots that may wait to be written, so that a slow disk does not fill the memory."""

CACHE_BYTES = 2 << 30
"""Targets kept for reuse: at 512 px a content takes 11 MB and a style 3 MB."""


class Worker:
    """Makes the pictures of batches, one after the other.

    Args:
        network: the extractor that the settings ask for.
        weights_checksum: its identity, for the records.
        asked: the settings as they were given, for the records.
        settings: the settings with what `auto` means on this device.
        out: the output folder.
        display: hears of every step.
        stop: looked at after every step.
        parameters: leave a YAML file of the complete settings beside each picture.
    """

    def __init__(
        self,
        network: VGG,
        weights_checksum: str,
        asked: BatchSettings,
        settings: BatchSettings,
        out: Path,
        display: Display,
        stop: StopFlag,
        *,
        parameters: bool = True,
    ) -> None:
        self.asked = asked
        self.settings = settings
        self.weights_checksum = weights_checksum
        self.out = out
        self.display = display
        self.stop = stop
        self.parameters = parameters
        self.cache = TensorCache(CACHE_BYTES)
        self.checkpoints = Checkpoints(out)
        self.writing: list[Future[None]] = []
        self.saving: list[Job] = []
        self.ahead: dict[tuple[Path, int | Shape], Future[Picture]] = {}
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.device = self._trainer([]).strategy.root_device
        self.network = network.to(self.device)
        self.dtype = torch.float64 if settings.precision == "64-true" else torch.float32

    def run(self, batches: Iterable[Sequence[Job]], finished: Callable[[Record], None]) -> None:
        """Make the pictures of all batches.

        While one batch is optimised, the files of the one before are written and the pictures of
        the next are read. One bad pair does not cost the others: where a batch fails as a whole,
        its pairs are tried in halves if memory ran out, and else one by one.

        Args:
            batches: each of one shape.
            finished: gets each pair's record once its file is on disk, from another thread.

        Raises:
            OutputError: the output folder can no longer be written.
            Interrupted: the stop flag was raised; what is finished is on disk by then.
        """

        def save(made: Sequence[tuple[Job, Made]]) -> None:
            for job, facts in made:
                finished(self._save(job, facts))

        with ThreadPoolExecutor(1) as self.writer, ThreadPoolExecutor(1) as self.reader:
            for jobs, following in itertools.pairwise([*batches, []]):
                self.stop.check()
                self._read_ahead(jobs, following)
                for made in self._attempt(jobs):
                    self._settle()
                    self.writing = [self.writer.submit(save, made)]
                    self.saving = [job for job, _ in made]
            self._settle()

    def _settle(self) -> None:
        """Wait for the files that are being written, and raise what went wrong."""
        for one in self.writing:
            one.result()
        self.checkpoints.drop(self.saving)
        self.writing, self.saving = [], []

    def _write_snapshot(self, path: Path, rgb: Tensor) -> None:
        """Have a snapshot written while the optimisation goes on."""

        def write() -> None:
            try:
                write_png(path, rgb)
            except OSError as error:
                raise OutputError.at(path, error) from None

        if len(self.writing) > LONGEST_QUEUE:
            self._settle()
        self.writing.append(self.writer.submit(write))

    def _attempt(self, jobs: Sequence[Job]) -> Iterator[list[tuple[Job, Made]]]:
        """What becomes of each pair of a batch, in as few parts as it takes."""
        names = [job.pair.extras.as_posix() for job in jobs]
        self.display.batch(names, self.settings.total_steps, self.settings.term_weights)
        state, torn = self.checkpoints.load(jobs)
        if torn:
            self.display.note(f"{name_of(jobs)}: its saved state cannot be read; it begins anew")
        problem: Exception
        try:
            yield list(zip(jobs, self._make(jobs, state), strict=True))
            return
        except OutputError:
            raise
        except Exception as error:
            problem = error
        # Outside the handler, whose traceback would hold on to the batch's tensors.
        if state is not None and not is_out_of_memory(problem):
            self.checkpoints.drop(jobs)  # should it be to blame, they begin anew
            yield from self._attempt(jobs)
            return
        if len(jobs) == 1:
            yield [(jobs[0], {"problem": reason(problem)})]
            return
        size = len(jobs) // 2 if is_out_of_memory(problem) else 1
        del problem
        for start in range(0, len(jobs), size):
            yield from self._attempt(jobs[start : start + size])

    def _make(self, jobs: Sequence[Job], state: State | None) -> list[Made]:
        """All scales of a batch, from the state on in which it was left, where there is one; what
        there is to say of each pair, its `picture` first."""
        s = self.settings
        course = Course(**state["run"]) if state else Course(torch.zeros(len(jobs)).long())
        started = time.monotonic() - course.seconds
        history = History()
        film = Film(frame_steps(s.total_steps, s.save_every, s.save_first))
        watching = [*([history] if s.curves else []), *([film] if s.animate != "none" else [])]
        image: Tensor | None = None

        def run() -> dict[str, Any]:
            return {**vars(course), "seconds": time.monotonic() - started}

        if state:
            step = course.offset + state["global_step"]
            self.display.note(f"{name_of(jobs)}: goes on after step {step}")
            course.resumed = (*course.resumed, step)

        for scale in s.scales[course.scale :]:
            model, alphas = self._model(jobs, scale, image)
            self._fit(model, jobs, course.offset, watching, state, run)
            state, image = None, model.drawn()
            stopped = model.stopped_at.cpu()
            course.steps += torch.where(stopped > 0, stopped, scale.steps)
            if model.float32_from and course.float32_from is None:
                course.float32_from = course.offset + model.float32_from
            course.scale += 1
            if (model.failed_at > 0).any():
                if len(jobs) > 1 and course.scale < len(s.scales):
                    raise RuntimeError("one of several pictures failed: each is to go on alone")
                break
            course.offset += scale.steps
        weights, failed = s.term_weights, model.failed_at.tolist()
        pictures = model.picture().cpu()
        # Losses are those of what the file holds, before `finish` and lossy compression.
        levels = to_levels(pictures, s.bit_depth, dither=s.dither).to(self.dtype)
        with torch.no_grad():
            saved = content_colours((levels / (2**s.bit_depth - 1)).to(self.device), s)
            losses = {k: v.tolist() for k, v in model.to(self.device).evaluate(saved).items()}
        return [
            {
                "picture": pictures[i],
                "alpha": alphas[i],
                "losses": {name: finite(values[i]) for name, values in losses.items()},
                "unweighted": {
                    name: finite(values[i] / weight)
                    for name, values in losses.items()
                    if (weight := weights.get(name, 0.0)) > 0
                },
                "history": history.of(i),
                "frames": film.of(i),
                "failed_at": course.offset + failed[i] if failed[i] else 0,
                "float32_from": course.float32_from,
                "resumed": list(course.resumed),
                "steps": int(course.steps[i]),
                "seconds": round((time.monotonic() - started) / len(jobs), 3),
            }
            for i in range(len(jobs))
        ]

    def _model(
        self, jobs: Sequence[Job], scale: Scale, image: Tensor | None
    ) -> tuple[StyleTransfer, list[Tensor | None]]:
        """The module for one scale, and the contents' alpha."""
        contents = [self._content(job, scale) for job in jobs]
        content = torch.cat([picture.rgb for picture, _ in contents])
        if image is None:
            image = torch.cat(
                [self._start(job, c[0], scale) for job, c in zip(jobs, contents, strict=True)]
            )
        kind = style_kind(self.settings, content.shape[-2] * content.shape[-1])
        targets = stack(
            [self._targets(job, c, scale, kind) for job, c in zip(jobs, contents, strict=True)],
            kind,
        )
        model = StyleTransfer(
            content,
            content,
            self.settings.at(scale),
            init=resize(image, *content.shape[-2:]),
            origin=self._origin(jobs, contents, scale),
            network=self.network,
            targets=targets,
            steps=scale.steps,
            recompute=self.settings.recompute,
            compile=self.settings.compile,
        )
        return model.to(self.dtype), [picture.alpha for picture, _ in contents]

    def _origin(
        self, jobs: Sequence[Job], contents: Sequence[tuple[Picture, Any]], scale: Scale
    ) -> Tensor | None:
        """The start as it would be at this scale, in which `weighting` start measures."""
        if self.settings.weighting != "start":
            return None
        starts = [self._start(job, c[0], scale) for job, c in zip(jobs, contents, strict=True)]
        return torch.cat(starts)

    def _content(self, job: Job, scale: Scale) -> tuple[Picture, dict[str, Tensor]]:
        def make() -> tuple[Picture, dict[str, Tensor]]:
            picture = self._read(job.pair.content.path, self._content_size(job, scale))
            image = content_colours(picture.rgb, self.settings).to(self.device, self.dtype)
            return picture, content_targets(self._network(), image, self.settings)

        key = ("content", job.pair.content.path, self._content_size(job, scale))
        return self.cache.get(key, make)

    def _targets(
        self, job: Job, content: tuple[Picture, dict[str, Tensor]], scale: Scale, kind: StyleKind
    ) -> Targets:
        """What one picture is drawn to."""
        picture, features = content
        path = job.pair.content.mask
        mask = None if path is None else self._mask(path, picture.rgb.shape)

        def part(one: StylePart, size: float) -> Part:
            def describe(region: str) -> Described:
                own = "" if one.region or one.mask is None else region
                return self._describe(job, one, scale, size, kind, own)

            served = [one.region] if one.region else None
            if mask and one.mask and not one.region:
                served = list(regions(one.mask, self.settings.max_pixels))
            return Part(one.share / len(self.settings.style_scale), served, describe)

        sizes = self.settings.style_scale
        parts = [part(one, size) for one in job.pair.style.parts for size in sizes]
        return assemble(features, mask, parts, kind)

    def _describe(
        self, job: Job, part: StylePart, scale: Scale, size: float, kind: StyleKind, region: str
    ) -> Described:
        """What the style loss keeps of a style at one size, or of one of its regions."""

        def make() -> Described:
            image = self._style_image(job, part.path, scale, size).to(self.device, self.dtype)
            if min(image.shape[-2:]) < self.network.minimum_side:
                raise UserError(
                    f"{part.path}: at {image.shape[-1]}×{image.shape[-2]} pixels the painting is "
                    f"too small for layer {self.network.sequence[-1]}; choose a larger --size or "
                    "--style-scale, or shallower layers."
                )
            guide = self._mask(part.mask, image.shape).of(region) if part.mask and region else None
            return describe_style(self._network(), image, self.settings, kind, guide)

        # A style in the colours of its content is another style for each.
        of = () if self.settings.preserve_color == "none" else (job.pair.content.path,)
        shape = self._style_shape(job, scale, size)
        which = (part.mask, region) if region else ()
        return self.cache.get(("style", part.path, shape, *which, *of), make)

    def _mask(self, path: Path, shape: Sequence[int]) -> Mask:
        """The regions of a picture of (…, height, width)."""
        height, width = shape[-2:]

        def make() -> Mask:
            return read_mask(path, max_pixels=self.settings.max_pixels).at(height, width)

        return self.cache.get(("mask", path, height, width), make)

    def _style_image(self, job: Job, path: Path, scale: Scale, size: float) -> Tensor:
        style = self._read(path, self._style_shape(job, scale, size)).rgb
        if self.settings.preserve_color == "none":
            return style
        content, _ = self._content(job, scale)
        return style_colours(style, content.rgb, self.settings)

    def _content_size(self, job: Job, scale: Scale) -> int | Shape:
        """Longest side of the content, or its (height, width)."""
        target = scale.target
        if isinstance(target, float):
            return shapes(job.pair.content, [target], self.settings.upscale)[0]
        return target

    def _style_shape(self, job: Job, scale: Scale, size: float) -> int | Shape:
        """Longest side of the style, or its (height, width)."""
        if self.settings.style_fit == "keep":
            longest = self.settings.style_size_at(scale, job.pair.content.shape)
            return max(1, round(size * longest))
        height, width = shapes(job.pair.content, [scale.target], self.settings.upscale)[0]
        return max(1, round(size * height)), max(1, round(size * width))

    def _start(self, job: Job, picture: Picture, scale: Scale) -> Tensor:
        style = picture.rgb
        if self.settings.init == "style":
            first = max(job.pair.style.parts, key=lambda part: part.share)
            style = self._style_image(job, first.path, scale, 1.0)
        seed = pair_seed(self.settings.seed, job.content_sha256, job.style_sha256)
        return starting_image(
            content_colours(picture.rgb, self.settings), style, self.settings, seed
        )

    def _network(self) -> VGG:
        """The extractor on this device: a finished fit leaves it on the CPU."""
        return self.network.to(self.device, self.dtype)

    def _read_ahead(self, jobs: Sequence[Job], following: Sequence[Job]) -> None:
        """Begin to read what the batch after this one needs and nothing before it has read."""
        now, later = self._pictures(jobs), self._pictures(following)
        self.ahead = {key: begun for key, begun in self.ahead.items() if key in now | later}
        for key in later - now - self.ahead.keys():
            if not any((side, *key) in self.cache for side in ("content", "style")):
                self.ahead[key] = self.reader.submit(self._decode, *key)

    def _pictures(self, jobs: Sequence[Job]) -> set[tuple[Path, int | Shape]]:
        """The files that a batch reads, each with its size."""
        return {
            key
            for job in jobs
            for scale in self.settings.scales
            for key in (
                (job.pair.content.path, self._content_size(job, scale)),
                *(
                    (part.path, self._style_shape(job, scale, size))
                    for part in job.pair.style.parts
                    for size in self.settings.style_scale
                ),
            )
        }

    def _read(self, path: Path, size: int | Shape) -> Picture:
        begun = self.ahead.pop((path, size), None)
        return begun.result() if begun else self._decode(path, size)

    def _decode(self, path: Path, size: int | Shape) -> Picture:
        picture = read_picture(path, max_pixels=self.settings.max_pixels)
        height, width = picture.rgb.shape[-2:]
        shape = fit(height, width, size, self.settings.upscale)
        alpha = picture.alpha
        return Picture(
            resize(picture.rgb, *shape), None if alpha is None else resize(alpha, *shape)
        )

    def _fit(
        self,
        model: StyleTransfer,
        jobs: Sequence[Job],
        offset: int,
        watching: Sequence[L.Callback],
        state: State | None,
        run: Callable[[], dict[str, Any]],
    ) -> None:
        def report(step: int, losses: Losses) -> None:
            self.display.step(step, len(jobs), losses)

        def ready() -> None:
            self._settle()  # what a state lies beyond is on disk before it
            self.checkpoints.announce(jobs)

        def failed(error: OSError) -> None:
            self.display.note(
                f"{name_of(jobs)}: its state cannot be saved in {self.checkpoints.folder} "
                f"({error.strerror}); free it, or an interruption costs the work on it."
            )

        snapshots = Snapshots(
            [self.out / job.pair.extras for job in jobs],
            self.settings.save_every,
            self.settings.save_first,
            self.settings.save_at,
            offset,
            self._write_snapshot,
        )
        path = self.checkpoints.path(jobs)
        checkpoint = Checkpoint(path, self.settings.checkpoint_every, run, self.stop, ready, failed)
        callbacks = [*watching, snapshots, Progress(report, offset), checkpoint]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            try:
                self._trainer(callbacks, state).fit(model, ckpt_path=str(path) if state else None)
            except SIGTERMException:
                self.stop.check()
                raise

    def _trainer(self, callbacks: list[L.Callback], state: State | None = None) -> L.Trainer:
        return L.Trainer(
            accelerator=self.settings.accelerator,
            devices=1,
            precision=cast(Any, self.settings.precision),
            max_epochs=1,
            callbacks=callbacks,
            # Slurm, if any, is dealt with in batch/slurm.py: Lightning's own part in it is off.
            plugins=[Files(state), LightningEnvironment()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tempfile.gettempdir(),
        )

    def _save(self, job: Job, made: Made) -> Record:
        """Write what was made of a pair, or say why there is nothing to write.

        Raises:
            OutputError: the output folder can no longer be written.
        """
        if "problem" in made:
            return self._record(job, status="failed", reason=made["problem"])
        try:
            return self._write(job, made)
        except OSError as error:
            raise OutputError.at(self.out / job.pair.output, error) from None
        except Exception as error:
            return self._record(job, status="failed", reason=reason(error))

    def _write(self, job: Job, made: Made) -> Record:
        """The picture with its record inside, and what belongs beside it."""
        float32_from = made["float32_from"]
        picture, alpha = made["picture"], made["alpha"]
        if not made["failed_at"]:
            picture, alpha = finished_picture(picture, alpha, job.pair.content.path, self.settings)
        facts = {
            "losses": made["losses"],
            "unweighted": made["unweighted"],
            "steps": made["steps"],
            **({"float32_from": float32_from} if float32_from else {}),
            **({"resumed": made["resumed"]} if made["resumed"] else {}),
            "seconds": made["seconds"],
            "device": device_name(self.device),
            "resolved": {
                "learning_rate": self.settings.resolved_learning_rate,
                "accelerator": self.device.type,
                "precision": self.settings.precision,
                "width": picture.shape[-1],
                "height": picture.shape[-2],
            },
        }
        path = self.out / job.pair.output
        if made["failed_at"]:
            path = self.out / job.pair.extras / "last-good.png"
            record = self._record(
                job,
                status="failed",
                reason=f"the loss was no longer a finite number at step {made['failed_at']}; try "
                "smaller weights (the last good picture is "
                f"{path.relative_to(self.out).as_posix()})",
                **facts,
            )
        else:
            record = self._record(job, status="done", **facts)
        self._write_course(job, made)
        if self.parameters:
            write_text(path.with_suffix(".yaml"), dump_yaml(self.asked))
        if made["failed_at"]:
            write_png(path, picture, alpha, {RECORD_KEY: encode(record)})
        else:
            write_result(path, picture, alpha, job.pair.content.path, self.settings, record)
        return record | {"bytes": path.stat().st_size}

    def _write_course(self, job: Job, made: Made) -> None:
        """The curves and the film, where asked for."""
        folder = self.out / job.pair.extras
        if made["history"]:
            write_history(folder / "history.csv", made["history"])
            draw_curves(folder / "curves.png", {job.pair.label: made["history"]}, job.pair.label)
        if made["frames"]:
            stopped = made["steps"] < self.settings.total_steps
            seen = [*made["frames"], *([to_uint8(made["picture"])] if stopped else [])]
            frames = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in seen]
            write_film(folder / f"progress.{self.settings.animate}", frames)

    def _record(self, job: Job, **facts: Any) -> Record:
        return make_record(
            job, self.out, self.asked, weights_checksum=self.weights_checksum, **facts
        )


def make_worker(
    weights: Weights,
    asked: BatchSettings,
    settings: BatchSettings,
    out: Path,
    display: Display,
    stop: StopFlag,
    *,
    parameters: bool,
    keep_memory: bool,
) -> Worker:
    """A worker with its network; the other arguments are those of `Worker`.

    Args:
        weights: of the network.
        keep_memory: see `keep_freed_memory`.
    """
    if keep_memory:
        keep_freed_memory()
    network = build_network(settings, weights)
    return Worker(
        network, weights.checksum, asked, settings, out, display, stop, parameters=parameters
    )


def name_of(jobs: Sequence[Job]) -> str:
    """A batch in a sentence."""
    first = jobs[0].pair.extras.as_posix()
    return f"{first} and {len(jobs) - 1} more" if len(jobs) > 1 else first


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device ran out of memory; on the CPU PyTorch says so in words only."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)
    )


def reason(error: Exception) -> str:
    """An exception as one line."""
    if is_out_of_memory(error):
        return (
            "there is not enough memory for it; choose a smaller --size, --recompute, or "
            "--precision bf16-mixed"
        )
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def device_name(device: torch.device) -> str:
    """`cpu` or the accelerator's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
