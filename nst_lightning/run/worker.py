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

from nst_lightning.callbacks.checkpoint import Checkpoint
from nst_lightning.callbacks.film import Film, frame_steps
from nst_lightning.callbacks.history import History
from nst_lightning.callbacks.progress import Progress
from nst_lightning.callbacks.snapshots import Snapshots
from nst_lightning.drawing.curves import draw_curves
from nst_lightning.drawing.films import write_film
from nst_lightning.drawing.loss_history import write_history
from nst_lightning.errors import OutputError, UserError
from nst_lightning.files import write_text
from nst_lightning.imaging.quantise import to_levels
from nst_lightning.imaging.resize import resize
from nst_lightning.imaging.write import to_uint8, write_png
from nst_lightning.layout import CURVES, HISTORY, LAST_GOOD, film_name, settings_beside
from nst_lightning.run.checkpoints import Checkpoints, Files, State
from nst_lightning.run.display import Display, Losses
from nst_lightning.run.inputs import Inputs
from nst_lightning.run.memory import keep_freed_memory
from nst_lightning.run.result_file import finished_picture, write_result
from nst_lightning.settings import BatchSettings, Scale, dump_yaml, finite
from nst_lightning.stop import StopFlag
from nst_lightning.store.ledger import Record
from nst_lightning.store.output import RECORD_KEY, Job, encode
from nst_lightning.store.records import make_record
from nst_lightning.transfer.colour import content_colours
from nst_lightning.transfer.module import StyleTransfer, build_network
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
        self.checkpoints = Checkpoints(out)
        self.writing: list[Future[None]] = []
        self.saving: list[Job] = []
        for name in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.device = self._trainer([]).strategy.root_device
        self.network = network.to(self.device)
        self.dtype = torch.float64 if settings.precision == "64-true" else torch.float32
        self.inputs = Inputs(self.network, settings, self.device, self.dtype)

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

        with ThreadPoolExecutor(1) as self.writer, ThreadPoolExecutor(1) as reader:
            for jobs, following in itertools.pairwise([*batches, []]):
                self.stop.check()
                self.inputs.read_ahead(reader, jobs, following)
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
        contents = [self.inputs.content(job, scale) for job in jobs]
        content = torch.cat([picture.rgb for picture in contents])
        origin: Tensor | None = None
        if image is None or self.settings.weighting == "start":
            origin = torch.cat([self.inputs.start(job, scale) for job in jobs])
        image = cast(Tensor, origin if image is None else image)
        model = StyleTransfer(
            content,
            content,
            self.settings.at(scale),
            init=resize(image, *content.shape[-2:]),
            origin=origin,
            network=self.network,
            targets=self.inputs.targets(jobs, scale),
            steps=scale.steps,
            recompute=self.settings.recompute,
            compile=self.settings.compile,
        )
        return model.to(self.dtype), [picture.alpha for picture in contents]

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
            path = self.out / job.pair.extras / LAST_GOOD
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
            write_text(settings_beside(path), dump_yaml(self.asked))
        if made["failed_at"]:
            write_png(path, picture, alpha, {RECORD_KEY: encode(record)})
        else:
            write_result(path, picture, alpha, job.pair.content.path, self.settings, record)
        return record | {"bytes": path.stat().st_size}

    def _write_course(self, job: Job, made: Made) -> None:
        """The curves and the film, where asked for."""
        folder = self.out / job.pair.extras
        if made["history"]:
            write_history(folder / HISTORY, made["history"])
            draw_curves(folder / CURVES, {job.pair.label: made["history"]}, job.pair.label)
        if made["frames"]:
            stopped = made["steps"] < self.settings.total_steps
            seen = [*made["frames"], *([to_uint8(made["picture"])] if stopped else [])]
            frames = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in seen]
            write_film(folder / film_name(self.settings.animate), frames)

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
