"""The Trainer of one fit: the only place that builds one."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from nst_lightning.callbacks.saved_state import SavedState
from nst_lightning.run.checkpoint_files import CheckpointFiles
from nst_lightning.settings import BatchSettings
from nst_lightning.transfer.split import SplitStrategy


def make_trainer(
    settings: BatchSettings,
    device: torch.device,
    callbacks: list[L.Callback] | None = None,
    state: SavedState | None = None,
    processes: int = 1,
) -> L.Trainer:
    """Returns a Trainer for one fit, which writes nothing but what the callbacks do.

    Args:
        settings: with what each `auto` means on this device.
        device: on which it runs, of GPUs with its index.
        callbacks: of the fit.
        state: what the fit goes on from, if anything.
        processes: how many fit the images together, of which this is one; each has a device.
    """
    alone: int | list[int] = 1 if device.index is None else [device.index]
    return L.Trainer(
        accelerator=device.type,
        devices=alone if processes == 1 else processes,
        strategy="auto" if processes == 1 else SplitStrategy(),
        precision=cast(Any, settings.precision),
        max_epochs=1,
        callbacks=callbacks,
        # Slurm, if any, is dealt with in slurm.py: Lightning's own part in it is off.
        plugins=[CheckpointFiles(state), LightningEnvironment()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tempfile.gettempdir(),
    )


def fit(
    model: L.LightningModule,
    settings: BatchSettings,
    device: torch.device,
    callbacks: list[L.Callback],
    state: SavedState | None,
    processes: int = 1,
) -> None:
    """Fits a model, from a saved state on where there is one; see `make_trainer`.

    Raises:
        SIGTERMException: the process got that signal and Lightning noticed first.
    """
    with quiet():
        trainer = make_trainer(settings, device, callbacks, state, processes)
        trainer.fit(model, ckpt_path="saved state" if state else None)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what Lightning says of a fit from the screen: the display says what there is to say."""
    rooms = ("lightning.pytorch", "lightning.fabric")
    # A filter, unlike a level, is seen by its own logger alone and taken back by whoever set it,
    # also where fits of several threads overlap.
    names = [name for name in list(logging.root.manager.loggerDict) if name.startswith(rooms)]
    loggers = [logging.getLogger(name) for name in names]

    def errors_only(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    try:
        for logger in loggers:
            logger.addFilter(errors_only)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(errors_only)
