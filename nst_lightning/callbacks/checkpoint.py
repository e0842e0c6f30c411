"""Saves the state of images in progress: every so often, and when the run is to stop."""

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import lightning as L

from nst_lightning.callbacks.saved_state import BatchProgress
from nst_lightning.stop import StopFlag
from nst_lightning.transfer.module import StyleTransfer


class Checkpoint(L.Callback):
    """Saves states during a fit. It must be the last callback, so that the others have seen the
    step.

    A scale's last step is not saved: what it ends is better finished than kept. A step of an image
    in tiles, which may take minutes, is broken off after a tile: the state is that of the step
    before, which stands until the optimiser takes the next.

    Args:
        path: where the state goes.
        every: seconds between two states; 0 saves only when the run is to stop.
        progress: returns the progress of the batch, which the state is to hold too.
        stop: ends the fit once it is raised and the state is saved.
        before_save: called before a state is saved.
        failed: called where it cannot be written; the fit goes on.
    """

    def __init__(
        self,
        path: Path,
        every: float,
        progress: Callable[[], BatchProgress],
        stop: StopFlag,
        before_save: Callable[[], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self.path = path
        self.every = every
        self.progress = progress
        self.stop = stop
        self.before_save = before_save
        self.failed = failed
        self.saved = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Takes SIGTERM from Lightning where several processes fit together: its handler sends
        something to the others, whatever they wait for at that moment, and all would hang."""
        model = cast(StyleTransfer, module)
        if model.band:
            signal.signal(signal.SIGTERM, lambda number, frame: self.stop.raised(number))
        elif model.walk.side:
            seen = model.walk.watch

            def watch(share: float) -> None:
                if seen:
                    seen(share)
                # Before the first step there is nothing to go on from.
                if self.stop.signum is not None and trainer.global_step > 0:
                    self._save(trainer)
                    self.stop.check()

            model.walk = replace(model.walk, watch=watch)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index + 1 == cast(StyleTransfer, module).steps:
            return
        model = cast(StyleTransfer, module)
        stopping = model.agreed(self.stop.signum is not None)
        due = model.agreed(self.every > 0 and time.monotonic() - self.saved >= self.every)
        if stopping or due:
            self._save(trainer)
        if stopping:
            if self.stop.signum is None:  # another process was told
                self.stop.raised(signal.SIGTERM)
            self.stop.check()

    def _save(self, trainer: L.Trainer) -> None:
        try:
            self.before_save()
            trainer.save_checkpoint(self.path)
        except OSError as error:  # the image matters more
            self.failed(error)
        self.saved = time.monotonic()

    def on_save_checkpoint(
        self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["run"] = vars(self.progress())
