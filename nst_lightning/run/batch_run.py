"""One batch while it is made: how far it has come, what is recorded of it, what becomes of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import lightning as L
import torch
from torch import Tensor

from nst_lightning.callbacks.film import Film, frame_steps
from nst_lightning.callbacks.history import History
from nst_lightning.callbacks.image_loggers import ImageLoggers
from nst_lightning.callbacks.saved_state import BatchProgress, SavedState
from nst_lightning.imaging.levels import to_levels
from nst_lightning.run.mesh_views import ViewedMesh
from nst_lightning.run.outcome import Stylised
from nst_lightning.settings import BatchSettings, Pass, finite
from nst_lightning.store.job import Job
from nst_lightning.transfer.keep_colours import content_colours
from nst_lightning.transfer.module import StyleTransfer


class BatchRun:
    """A batch over all its scales.

    Args:
        jobs: of one shape.
        settings: with what each `auto` means on this device.
        state: in which the batch was left by an earlier run, if it was begun.
        make_loggers: returns the loggers of the images, where any are asked for; gets what returns
            the steps of the finished scales.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        settings: BatchSettings,
        state: SavedState | None,
        make_loggers: Callable[[Callable[[], int]], ImageLoggers] | None = None,
    ) -> None:
        self.jobs = jobs
        self.settings = settings
        self.history = History()
        steps = frame_steps(settings.total_steps, settings.save_every, settings.save_first)
        self.film = Film(steps)
        self.loggers = [make_loggers(self.offset)] if make_loggers else []
        self._progress = BatchProgress(torch.zeros(len(jobs)).long())
        if state:
            self._progress = BatchProgress(**state["run"])
            step = self._progress.offset + state["global_step"]
            self._progress.resumed = (*self._progress.resumed, step)
        self.started = time.monotonic() - self._progress.seconds

    def progress(self) -> BatchProgress:
        """Returns how far the batch has come by now."""
        return replace(self._progress, seconds=time.monotonic() - self.started)

    def offset(self) -> int:
        """Returns the steps of the finished scales."""
        return self._progress.offset

    def remaining_passes(self) -> list[Pass]:
        """Returns the scales that are not finished, of a mesh each set of views on its own."""
        sets = 1 if self.jobs[0].pair.content.model is None else self.settings.view_sets
        return self.settings.passes(sets)[self._progress.scale :]

    def recorders(self) -> list[L.Callback]:
        """Returns the callbacks that record what the settings ask for, the same for every scale."""
        history = [self.history] if self.settings.curves else []
        film = [self.film] if self.settings.animate != "none" else []
        return [*history, *film, *self.loggers]

    def close(self) -> None:
        """Closes what is open still where the batch could not be finished."""
        for loggers in self.loggers:
            loggers.close()

    def finish_pass(self, model: StyleTransfer, finished: Pass) -> bool:
        """Takes note of a pass that is over.

        Returns:
            Whether the batch can go on to the next one.

        Raises:
            RuntimeError: some of several images diverged before the last one; each pair is to be
                made alone.
        """
        progress = self._progress
        stopped = model.stopped_at.cpu()
        progress.steps += torch.where(stopped > 0, stopped, finished.steps)
        if model.float32_from and progress.float32_from is None:
            progress.float32_from = progress.offset + model.float32_from
        progress.scale += 1
        if (model.failed_at > 0).any():
            if len(self.jobs) > 1 and self.remaining_passes():
                raise RuntimeError("one of several images diverged: each is to go on alone")
            return False
        progress.offset += finished.steps
        return True

    @torch.no_grad()
    def results(
        self,
        model: StyleTransfer,
        alphas: Sequence[Tensor | None],
        device: torch.device,
        dtype: torch.dtype,
        viewed: ViewedMesh | None = None,
    ) -> list[Stylised]:
        """Measures and returns the finished images.

        Args:
            model: of the last scale.
            alphas: of the contents at that scale, (1, 1, H, W) each.
            device: where the losses are computed.
            dtype: what the losses are computed in.
            viewed: the mesh at that scale, where the images are textures of one.
        """
        settings = self.settings
        images, diverged = model.result().cpu(), model.failed_at.tolist()
        # Losses are those of what the file holds, before `finish` and lossy compression.
        levels = to_levels(images, settings.bit_depth, dither=settings.dither).to(dtype)
        image = (levels / (2**settings.bit_depth - 1)).to(device)
        saved = content_colours(image, settings.preserve_color)
        model = model.to(device)
        losses = {name: v.tolist() for name, v in model.evaluate(model.see(saved)).items()}
        for loggers in self.loggers:
            loggers.finish(losses)
        progress = self.progress()
        weights = {name: weight for name, weight in settings.term_weights.items() if weight > 0}
        return [
            Stylised(
                image=images[i],
                alpha=alphas[i],
                losses={name: finite(values[i]) for name, values in losses.items()},
                unweighted={
                    name: finite(values[i] / weights[name])
                    for name, values in losses.items()
                    if name in weights
                },
                history=self.history.of(i),
                frames=self.film.of(i),
                diverged_at=progress.offset + diverged[i] if diverged[i] else 0,
                float32_from=progress.float32_from,
                resumed=progress.resumed,
                steps=int(progress.steps[i]),
                seconds=round(progress.seconds / len(self.jobs), 3),
                viewed=viewed,
            )
            for i in range(len(self.jobs))
        ]


def batch_name(jobs: Sequence[Job]) -> str:
    """Returns what a batch is called in a sentence."""
    first = jobs[0].pair.extras.as_posix()
    return f"{first} and {len(jobs) - 1} more" if len(jobs) > 1 else first
