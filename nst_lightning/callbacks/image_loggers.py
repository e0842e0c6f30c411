"""Gives each image of a batch a logger of its own."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor

from nst_lightning.drawing.loss_history import TERMS
from nst_lightning.imaging.levels import to_levels
from nst_lightning.transfer.module import StyleTransfer


class ImageLoggers(L.Callback):
    """Hands the losses of each image of a batch, over all its scales, to a logger of its own: give
    it to every fit, and call `finish` after the last, or `close`.

    A Trainer's logger would see one value for the whole batch. The device is waited for once for
    each entry, and never in between. An entry has the weighted terms of the step, those of the
    image that the step began with, and the longest side of the image as `size`.

    Args:
        open_loggers: returns one logger per image; gets the number of steps that an earlier run
            made of the batch.
        hyperparams: plain values by name, for each image.
        every: steps between two entries; the first step has one too.
        offset: returns the steps of earlier scales.
        shows: whether the image after a step is handed on, to loggers of TensorBoard.
        submit: calls a function, at once or later, in the order in which it gets them.
        failed: called once where a logger raises; the fit goes on without them.
    """

    def __init__(
        self,
        open_loggers: Callable[[int], Sequence[Logger]],
        hyperparams: Sequence[Mapping[str, Any]],
        every: int = 10,
        offset: Callable[[], int] = lambda: 0,
        shows: Callable[[int], bool] = lambda step: False,
        submit: Callable[[Callable[[], None]], object] = lambda work: work(),
        failed: Callable[[Exception], object] = lambda error: None,
    ) -> None:
        self.open_loggers = open_loggers
        self.hyperparams = hyperparams
        self.every = every
        self.offset = offset
        self.shows = shows
        self.submit = submit
        self.failed = failed
        self.step = self.size = 0
        self.steps: list[int] = []
        self.values: list[Tensor] = []
        """Of each of `steps`: the terms and the size, (B, terms + 1)."""
        self.loggers: Sequence[Logger] = ()
        self.begun = self.over = False

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        model = cast(StyleTransfer, module)
        first = self.step == 0
        self.step = self.offset() + index + 1
        self.size = max(model.image.shape[-2:])
        if first:
            earlier = list(zip(self.steps, self.values, strict=True))
            self._submit(self._open, self.step - 1, earlier)
        if self.step == 1 or self.step % self.every == 0:
            losses = torch.stack([model.losses[term] for term in TERMS], dim=1).cpu()
            self._add(self.step, losses)
        if self.shows(self.step):
            self._submit(self._show, self.step, to_levels(model.shown()).cpu())

    def finish(self, losses: Mapping[str, Sequence[float]]) -> None:
        """Hands on the losses of the finished images, (B,) each, one step beyond the last, which
        ended with them; then closes the loggers."""
        values = [losses[term] for term in TERMS]
        self._add(self.step + 1, torch.tensor(values, dtype=torch.float64).T)
        self._submit(self._close, "success")

    def close(self) -> None:
        """Closes the loggers where they are still open, for the images are not finished."""
        self._submit(self._close, "aborted")

    def state_dict(self) -> dict[str, Any]:
        if not self.steps:
            return {}
        # (B, entries, terms + 1): the images first, as in all that a checkpoint holds.
        return {"steps": self.steps, "values": torch.stack(self.values, dim=1)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = state_dict["steps"]
        self.values = list(state_dict["values"].unbind(1))

    def _add(self, step: int, losses: Tensor) -> None:
        values = torch.cat([losses, losses.new_full((len(losses), 1), self.size)], dim=1)
        self.steps.append(step)
        self.values.append(values)
        self._submit(self._log, step, values)

    def _submit(self, work: Callable[..., None], *args: Any) -> None:
        self.submit(partial(self._attempt, work, *args))

    def _attempt(self, work: Callable[..., None], *args: Any) -> None:
        if self.over:
            return
        try:
            work(*args)
        except Exception as error:  # whatever a logger raises: the image matters more
            self.over = True
            for logger in self.loggers:
                with suppress(Exception):
                    logger.finalize("failed")
            # TensorBoardLogger takes whatever went wrong for a mistake in the value.
            self.failed(error.__cause__ if isinstance(error.__cause__, Exception) else error)

    def _open(self, after: int, earlier: Sequence[tuple[int, Tensor]]) -> None:
        self.loggers = self.open_loggers(after)
        for i, logger in enumerate(self.loggers):
            if isinstance(logger, CSVLogger):  # which begins its file anew
                for step, values in earlier:
                    logger.log_metrics(entry(values[i]), step)

    def _log(self, step: int, values: Tensor) -> None:
        for i, logger in enumerate(self.loggers):
            metrics = entry(values[i])
            if self.begun:
                logger.log_metrics(metrics, step)
            elif isinstance(logger, TensorBoardLogger):  # which is to know what is a metric
                logger.log_hyperparams({**self.hyperparams[i]}, metrics, step)
            else:
                logger.log_hyperparams({**self.hyperparams[i]})
                logger.log_metrics(metrics, step)
            logger.save()
        self.begun = True

    def _show(self, step: int, images: Tensor) -> None:
        for image, logger in zip(images, self.loggers, strict=True):
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("image", image, step)
                logger.save()

    def _close(self, status: str) -> None:
        self.over = True
        for logger in self.loggers:
            logger.finalize(status)


def entry(values: Tensor) -> dict[str, Any]:
    """Returns what is logged of one image after one step, from its terms and its size."""
    *terms, size = values.tolist()
    return {**dict(zip(TERMS, terms, strict=True)), "size": int(size)}
