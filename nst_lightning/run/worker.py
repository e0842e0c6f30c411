"""Makes batches of pairs on one device, one after the other."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from nst_lightning.callbacks.checkpoint import Checkpoint
from nst_lightning.callbacks.progress import Progress
from nst_lightning.callbacks.saved_state import SavedState, without_memory
from nst_lightning.callbacks.snapshots import Snapshots
from nst_lightning.errors import OutputError, UserError
from nst_lightning.files import check_inside
from nst_lightning.imaging.writing import write_image
from nst_lightning.run.batch_run import BatchRun, batch_name
from nst_lightning.run.checkpoints import Checkpoints
from nst_lightning.run.devices import choose_device
from nst_lightning.run.display import Display, Losses
from nst_lightning.run.logger_files import make_image_loggers
from nst_lightning.run.make_batch import make_batch, make_inputs
from nst_lightning.run.outcome import Failure, Outcome, Stylised, explain, is_out_of_memory
from nst_lightning.run.result_writer import ResultWriter
from nst_lightning.run.task import CaseSettings, RunOptions
from nst_lightning.stop import StopFlag
from nst_lightning.store.job import Job
from nst_lightning.store.records import Record
from nst_lightning.vgg.weights import Weights

LONGEST_QUEUE = 64
"""Snapshots, and entries of loggers, that may wait to be written, so that a slow disk does not fill
the memory."""


class Worker:
    """Makes the images of one case.

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
        self.case = case
        self.settings = case.resolved
        self.out = options.out
        self.display = display
        self.stop = stop
        self.checkpoints = Checkpoints(options.out)
        self.processes, self.leads = options.processes, options.rank == 0
        self.device = choose_device(self.settings.accelerator)
        if self.device.type == "cuda" and self.processes > 1:
            self.device = torch.device("cuda", options.rank)
        self.inputs = make_inputs(self.settings, weights, self.device, processes=self.processes)
        self.results = ResultWriter(case, options, weights, self.device)
        self.writing: list[Future[None]] = []
        self.saving: list[Job] = []
        """The jobs whose results are being written."""

    def run(self, batches: Iterable[Sequence[Job]], finished: Callable[[Record], None]) -> None:
        """Makes the images of all batches.

        While one batch is optimised, the files of the one before are written and the inputs of
        the next are read. One bad pair does not cost the others: where a batch fails as a whole,
        its pairs are tried in halves if memory ran out, and else one by one.

        Args:
            batches: each of one shape.
            finished: gets each pair's record once its file is on disk, from another thread.

        Raises:
            OutputError: the output folder can no longer be written.
            Interrupted: the stop flag was raised; what is finished is on disk by then.
        """

        def write(made: Sequence[tuple[Job, Outcome]]) -> None:
            for job, outcome in made if self.leads else ():
                finished(self.results.write(job, outcome))

        with ThreadPoolExecutor(1) as self.writer, ThreadPoolExecutor(1) as reader:
            for jobs, following in itertools.pairwise([*batches, []]):
                self.stop.check()
                self.inputs.read_ahead(reader, jobs, following)
                for made in self._attempt(jobs):
                    self._finish_writing()
                    self.writing = [self.writer.submit(write, made)]
                    self.saving = [job for job, _ in made]
            self._finish_writing()

    def _finish_writing(self) -> None:
        """Waits for the files that are being written, and raises what went wrong."""
        for one in self.writing:
            one.result()
        if self.leads:
            self.checkpoints.drop(self.saving)
        self.writing, self.saving = [], []

    def _write_snapshot(self, path: Path, rgb: Tensor) -> None:
        """Has a snapshot written while the optimisation goes on."""
        if not self.leads:
            return

        def write() -> None:
            try:
                check_inside(self.out, path.parent)
                write_image(path, rgb)
            except OSError as error:
                raise OutputError.at(path, error) from None

        self._write_later(write)

    def _write_later(self, write: Callable[[], None]) -> None:
        """Has something written while the optimisation goes on, in the order of the calls."""
        if len(self.writing) > LONGEST_QUEUE:
            self._finish_writing()
        self.writing.append(self.writer.submit(write))

    def _attempt(self, jobs: Sequence[Job]) -> Iterator[list[tuple[Job, Outcome]]]:
        """Yields what becomes of each pair of a batch, in as few parts as it takes."""
        names = [job.pair.extras.as_posix() for job in jobs]
        self.display.batch(names, self.settings.total_steps, self.settings.term_weights)
        state, unreadable = self.checkpoints.load(jobs)
        if unreadable:
            self.display.note(f"{batch_name(jobs)}: its saved state cannot be read; it begins anew")
        problem: Exception
        try:
            yield list(zip(jobs, self._make(jobs, state), strict=True))
            return
        except OutputError:
            raise
        except Exception as error:
            if self.processes > 1 and not isinstance(error, UserError):
                raise  # the others wait for this process: they end together
            problem = error
        # Outside the handler, whose traceback would hold on to the batch's tensors.
        if state is not None and not is_out_of_memory(problem):
            self.display.note(
                f"{batch_name(jobs)}: cannot go on from its saved state; it begins anew"
            )
            self.checkpoints.drop(jobs)
            yield from self._attempt(jobs)
            return
        if len(jobs) == 1:
            yield [(jobs[0], Failure(explain(problem)))]
            return
        size = len(jobs) // 2 if is_out_of_memory(problem) else 1
        del problem
        for start in range(0, len(jobs), size):
            yield from self._attempt(jobs[start : start + size])

    def _make(self, jobs: Sequence[Job], state: SavedState | None) -> list[Stylised]:
        """Makes a batch at all its scales, from the state on in which it was left, if any."""
        make_loggers = None
        if self.settings.logger != "none":
            make_loggers = partial(
                make_image_loggers, jobs, self.settings, self.out,
                submit=self._write_later, note=self.display.note,
            )  # fmt: skip
        with closing(BatchRun(jobs, self.settings, state, make_loggers)) as batch:
            if state:
                step = batch.progress().resumed[-1]
                self.display.note(f"{batch_name(jobs)}: goes on after step {step}")
                if without_memory(state):
                    self.display.note(
                        f"{batch_name(jobs)}: L-BFGS begins its memory anew, which was too large "
                        "to be saved"
                    )
            try:
                return make_batch(self.inputs, batch, lambda: self._callbacks(batch), state)
            except SIGTERMException:
                self.stop.check()
                raise

    def _callbacks(self, batch: BatchRun) -> list[L.Callback]:
        """Returns what looks on while one scale of a batch is fitted."""
        jobs, offset = batch.jobs, batch.progress().offset

        def report(step: int, losses: Losses) -> None:
            self.display.step(step, len(jobs), losses)

        def before_save() -> None:
            self._finish_writing()  # the snapshots of earlier steps are on disk before the state
            if self.leads:
                self.checkpoints.announce(jobs)

        def failed(error: OSError) -> None:
            self.display.note(
                f"{batch_name(jobs)}: its state cannot be saved in {self.checkpoints.folder} "
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
        checkpoint = Checkpoint(
            self.checkpoints.path(jobs),
            self.settings.checkpoint_every,
            batch.progress,
            self.stop,
            before_save,
            failed,
        )
        return [snapshots, Progress(report, offset, self.display.part), checkpoint]
