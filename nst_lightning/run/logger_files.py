"""The loggers of `--logger`, whose files stand in the own folder of each result."""

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import yaml
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from nst_lightning.callbacks.image_loggers import ImageLoggers
from nst_lightning.callbacks.snapshots import Snapshots
from nst_lightning.files import check_inside
from nst_lightning.layout import LOGGER_HYPERPARAMS, LOGGER_TABLE, is_event_file
from nst_lightning.run.outcome import explain
from nst_lightning.settings import BatchSettings
from nst_lightning.store.job import Job

NAMES = ("content_name", "style_name")
"""The hyperparameters that are no settings."""


def make_image_loggers(
    jobs: Sequence[Job],
    settings: BatchSettings,
    out: Path,
    offset: Callable[[], int],
    submit: Callable[[Callable[[], None]], object],
    note: Callable[[str], None],
) -> ImageLoggers:
    """Returns the loggers of a batch, as the settings ask for them.

    Args:
        jobs: of the batch.
        settings: with what each `auto` means on this device.
        out: the output folder.
        offset: returns the steps of earlier scales.
        submit: has a function called in the order in which it gets them.
        note: tells the user something.
    """
    folders = [out / job.pair.extras for job in jobs]

    def open_loggers(after: int) -> list[Logger]:
        return [open_logger(settings.logger, out, folder, after) for folder in folders]

    def failed(error: Exception) -> None:
        reason = getattr(error, "strerror", None) or explain(error)
        note(
            f"{folders[0]}: the logger's files cannot be written ({reason}); "
            f"{'the image goes' if len(jobs) == 1 else 'the images of its batch go'} on without."
        )

    snapshots = Snapshots([], settings.save_every, settings.save_first, settings.save_at)
    return ImageLoggers(
        open_loggers,
        [
            dict(zip(NAMES, (job.pair.content.name, job.pair.style.name), strict=True))
            | settings.model_dump(mode="json")
            for job in jobs
        ],
        settings.log_every,
        offset,
        snapshots.due if settings.logger == "tensorboard" else lambda step: False,
        submit,
        failed,
    )


class Table(ExperimentWriter):
    """The writer of Lightning's CSVLogger, in a folder with other files."""

    def _check_log_dir_exists(self) -> None:
        """Lightning would warn that they are deleted, and delete the table, which is gone."""


class TableLogger(CSVLogger):
    """Lightning's CSVLogger, in a folder with other files."""

    @property
    def experiment(self) -> ExperimentWriter:
        """The writer, made when it is first asked for."""
        if self._experiment is None:
            self._experiment = Table(self.log_dir)
        return cast(ExperimentWriter, self._experiment)


class PlainTensorBoardLogger(TensorBoardLogger):
    """TensorBoard's logger, for a folder whose name is taken as it is."""

    @property
    def log_dir(self) -> str:
        """The folder; Lightning would replace `$HOME` and the like in its name."""
        return self.save_dir


def is_foreign(hyperparams: Path) -> bool:
    """Whether the files of a logger, of which this one has the hyperparameters, are another
    program's; what a kill left torn is our own."""
    if not os.path.lexists(hyperparams):
        return True
    with suppress(OSError, ValueError, yaml.YAMLError):
        known = yaml.safe_load(hyperparams.read_text(encoding="utf-8"))
        return isinstance(known, dict) and not known.keys() >= set(NAMES)
    return False


def open_logger(kind: str, out: Path, folder: Path, after: int) -> Logger:
    """Returns the logger of one image, whose files are to go into a folder.

    What an earlier run logged stays only where this one goes on from it.

    Args:
        kind: csv or tensorboard.
        out: the output folder.
        folder: the image's, in it.
        after: the number of steps that the earlier run made; 0 where this one begins.

    Raises:
        OSError: the folder cannot be written, a link leads out of the output folder, or files of
            another logger are there.
    """
    check_inside(out, folder)
    folder.mkdir(parents=True, exist_ok=True)
    logged = [
        file
        for file in folder.iterdir()
        if file.name in (LOGGER_TABLE, LOGGER_HYPERPARAMS) or is_event_file(file.name)
    ]
    if logged and after == 0 and is_foreign(folder / LOGGER_HYPERPARAMS):
        raise FileExistsError(errno.EEXIST, "files of another logger are there", str(folder))
    for file in logged:
        if after == 0 or not is_event_file(file.name):
            file.unlink()  # a link too, so that nothing is written to where it leads
    if kind == "csv":
        return TableLogger(folder, name=None, version="")
    return PlainTensorBoardLogger(
        folder,
        name=None,
        version="",
        default_hp_metric=False,
        # TensorBoard forgets what was logged after the state that this run goes on from.
        purge_step=after + 1 if after else None,
    )
