"""Makes segments of films on one device, and puts films together."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from nst_lightning.errors import OutputError, UserError
from nst_lightning.grid.sources import Film, shape_at
from nst_lightning.run.case_records import CaseRecords
from nst_lightning.run.devices import choose_device
from nst_lightning.run.display import Display, Losses
from nst_lightning.run.film_frames import FrameMaker
from nst_lightning.run.film_plan import Segment, work_of
from nst_lightning.run.film_progress import write_note
from nst_lightning.run.film_result import (
    film_facts,
    found_made,
    write_film_result,
    write_preview,
)
from nst_lightning.run.frame_files import frames_folder
from nst_lightning.run.outcome import explain
from nst_lightning.run.task import CaseSettings, RunOptions, Task
from nst_lightning.stop import StopFlag
from nst_lightning.store.job import Job
from nst_lightning.store.records import Record
from nst_lightning.vgg.weights import Weights


class FilmWorker:
    """Makes the films of one case.

    Args:
        weights: of the network that the settings ask for.
        case: its settings.
        options: of the run.
        display: is told of every step.
        stop: looked at after every step.
    """

    def __init__(
        self,
        weights: Weights,
        case: CaseSettings,
        options: RunOptions,
        display: Display,
        stop: StopFlag,
    ) -> None:
        self.case, self.options = case, options
        self.display, self.stop = display, stop
        device = choose_device(case.resolved.accelerator)
        self.records = CaseRecords(case, options.out, weights, device)
        self.steps = 0
        """Of the frames of a segment that are there."""
        self.shown = time.monotonic()
        """When the last preview was written."""
        self.frames = FrameMaker(
            case.resolved, weights, device, options.out, self._watch, check=stop.check
        )

    def run(self, task: Task, finished: Callable[[Record], None]) -> None:
        """Does a task, and hands on the record of a film that is put together or has failed.

        Several runs may make the same film. The first one that puts it together removes its frames,
        and what the others do then fails: they find it made.

        Raises:
            OutputError: the output folder can no longer be written.
            Interrupted: the stop flag was raised; the frames that are finished are on disk.
        """
        (job,) = task.jobs
        out, segment = self.options.out, task.segment
        record = found_made(out, job)
        if record is None:
            try:
                record = self.make(job, segment) if segment else self.put_together(job)
            except OutputError:
                record = found_made(out, job)
                if record is None:
                    raise
        if record is None or record.status == "failed":
            record = found_made(out, job) or record
        if record:
            finished(record)

    def make(self, job: Job, segment: Segment) -> Record | None:
        """Makes the frames of a segment.

        Returns:
            A record that says why they cannot be made; None where they are made.

        Raises:
            OutputError: the output folder can no longer be written.
            Interrupted: the stop flag was raised; the frames that are finished are on disk.
        """
        settings = self.case.resolved
        weights = settings.term_weights | {"temporal": settings.temporal_weight}
        self.display.batch([job.pair.extras.as_posix()], work_of(segment, settings), weights)
        self.steps = 0

        def finished(steps: int) -> None:
            self.steps += steps
            self._preview(job, segment)

        self.frames.finished = finished
        out, film = self.options.out, cast(Film, job.pair.content.film)
        try:
            write_note(frames_folder(out, job), job.pair.file, film.clip.frames)
            self.frames.make(job, segment)
        except OSError as error:
            raise OutputError.at(out / job.pair.output, error) from None
        except Exception as error:
            return self.records.make(job, "failed", reason=explain(error))
        return None

    def put_together(self, job: Job) -> Record:
        """Writes the film of a pair whose frames are all there, and returns its record.

        Raises:
            OutputError: the output folder can no longer be written.
        """
        try:
            content, settings = job.pair.content, self.case.resolved
            where = self.records.where_made(shape_at(content, settings.scales[-1], settings))
            facts = film_facts(self.options.out, job, self.case)
            record = self.records.make(job, "done", **facts, **where)
            record, notes = write_film_result(job, self.case, self.options, record)
        except OSError as error:
            raise OutputError.at(self.options.out / job.pair.output, error) from None
        except Exception as error:
            return self.records.make(job, "failed", reason=explain(error))
        for note in notes:
            self.display.note(note)
        return record

    def _watch(self, step: int, losses: Losses) -> None:
        self.display.step(self.steps + step, 1, losses)

    def _preview(self, job: Job, segment: Segment) -> None:
        """Writes a preview, where it is time for one; the work does not depend on it."""
        every = self.case.resolved.preview_every
        if every and time.monotonic() - self.shown > every:
            with suppress(OSError, UserError):
                write_preview(self.options.out, job, self.case, segment)
            self.shown = time.monotonic()
