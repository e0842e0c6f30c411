"""Saves the state of pictures in progress: every so often, and when the run is to stop."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning as L

from nst_lightning.stop import StopFlag
from nst_lightning.transfer.module import StyleTransfer


class Checkpoint(L.Callback):
    """Give it to a fit as the last callback, so that the others have seen the step.

    A scale's last step is not saved: what it ends is better finished than kept.

    Args:
        path: where the state goes.
        every: seconds between two states; 0 saves only when the run is to stop.
        run: what else the state is to hold.
        stop: ends the fit once it is raised and the state is saved.
        ready: called before a state is saved.
        failed: called where it cannot be written; the fit goes on.
    """

    def __init__(
        self,
        path: Path,
        every: float,
        run: Callable[[], dict[str, Any]],
        stop: StopFlag,
        ready: Callable[[], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self.path = path
        self.every = every
        self.run = run
        self.stop = stop
        self.ready = ready
        self.failed = failed
        self.saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index + 1 == cast(StyleTransfer, module).steps:
            return
        stopping = self.stop.signum is not None
        due = self.every > 0 and time.monotonic() - self.saved >= self.every
        if stopping or due:
            try:
                self.ready()
                trainer.save_checkpoint(self.path)
            except OSError as error:  # the picture matters more
                self.failed(error)
            self.saved = time.monotonic()
        if stopping:
            self.stop.check()

    def on_save_checkpoint(
        self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["run"] = self.run()
