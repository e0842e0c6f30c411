"""Everything that is written of a pair once it is made, and its record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from nst_lightning.drawing.curves import draw_curves
from nst_lightning.drawing.films import write_film
from nst_lightning.drawing.loss_history import write_history
from nst_lightning.errors import OutputError
from nst_lightning.files import check_inside, write_text
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.metadata import Metadata
from nst_lightning.imaging.writing import write_image
from nst_lightning.layout import CURVES, HISTORY, LAST_GOOD, film_name, settings_beside
from nst_lightning.run.case_records import CaseRecords
from nst_lightning.run.mesh_result import SIDE, write_mesh_result
from nst_lightning.run.outcome import Failure, Outcome, Stylised, explain, explain_divergence
from nst_lightning.run.result_file import finish_image, write_result
from nst_lightning.run.task import CaseSettings, RunOptions
from nst_lightning.settings import dump_yaml
from nst_lightning.store.job import Job
from nst_lightning.store.output import RECORD_KEY
from nst_lightning.store.records import Record
from nst_lightning.vgg.weights import Weights


class ResultWriter:
    """Writes the files of the pairs of a case.

    Args:
        case: its settings.
        options: of the run.
        weights: of the network, for the records.
        device: that the images are made on, for the records.
    """

    def __init__(
        self, case: CaseSettings, options: RunOptions, weights: Weights, device: torch.device
    ) -> None:
        self.case = case
        self.options = options
        self.records = CaseRecords(case, options.out, weights, device)
        self.images = ImageReader(case.resolved.max_pixels)

    def write(self, job: Job, outcome: Outcome) -> Record:
        """Writes what was made of a pair and returns its record, which says that it failed where
        there is nothing to write or it cannot be drawn.

        Raises:
            OutputError: the output folder can no longer be written.
        """
        if isinstance(outcome, Failure):
            return self.records.make(job, status="failed", reason=outcome.reason)
        try:
            if outcome.diverged_at:
                return self._write_diverged(job, outcome)
            return self._write_done(job, outcome)
        except OSError as error:
            raise OutputError.at(self.options.out / job.pair.output, error) from None
        except Exception as error:
            return self.records.make(job, status="failed", reason=explain(error))

    def _write_done(self, job: Job, made: Stylised) -> Record:
        """Writes the files of a finished image, the image with its record inside last."""
        settings, content = self.case.resolved, job.pair.content.path
        path = self.options.out / job.pair.output
        if made.viewed is not None:
            record = self.records.make(
                job, status="done", **self._facts(made, (2 * SIDE, 2 * SIDE))
            )
            self._write_beside(job, made, path)
            return write_mesh_result(path, made.image, made.viewed, settings, record)
        image, alpha = finish_image(made.image, made.alpha, content, settings, self.images)
        record = self.records.make(job, status="done", **self._facts(made, image.shape[-2:]))
        self._write_beside(job, made, path)
        write_result(path, image, alpha, content, settings, record)
        return record.with_facts(bytes=path.stat().st_size)

    def _write_diverged(self, job: Job, made: Stylised) -> Record:
        """Writes the files of an image that diverged, its last good state among them."""
        path = self.options.out / job.pair.extras / LAST_GOOD
        where = path.relative_to(self.options.out).as_posix()
        reason = f"{explain_divergence(made)} (the last good image is {where})"
        shown = made.shown()
        facts = self._facts(made, shown.shape[-2:])
        record = self.records.make(job, status="failed", reason=reason, **facts)
        self._write_beside(job, made, path)
        write_image(path, shown, made.alpha, Metadata({RECORD_KEY: record.text()}))
        return record.with_facts(bytes=path.stat().st_size)

    def _write_beside(self, job: Job, made: Stylised, path: Path) -> None:
        """Writes the curves, the film and the settings, where asked for.

        Args:
            path: the image's, beside which the settings go.
        """
        folder = self.options.out / job.pair.extras
        check_inside(self.options.out, path.parent)
        if made.history or made.frames:
            check_inside(self.options.out, folder)
        if made.history:
            write_history(folder / HISTORY, made.history)
            draw_curves(folder / CURVES, {job.pair.label: made.history}, job.pair.label)
        if made.frames:
            stopped_early = made.steps < self.case.resolved.total_steps
            shown = [*made.frames, *([to_levels(made.shown())] if stopped_early else [])]
            frames = [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in shown]
            write_film(folder / film_name(self.case.resolved.animate), frames)
        if self.options.write_settings:
            write_text(settings_beside(path), dump_yaml(self.case.asked))

    def _facts(self, made: Stylised, shape: Sequence[int]) -> dict[str, Any]:
        """Returns what the record says of how an image of (height, width) was made."""
        return {
            "losses": made.losses,
            "unweighted": made.unweighted,
            "steps": made.steps,
            **({"float32_from": made.float32_from} if made.float32_from else {}),
            **({"resumed": list(made.resumed)} if made.resumed else {}),
            "seconds": made.seconds,
            **self.records.where_made(shape),
        }
