"""Makes one film as a call does: in this process, into a file of its own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nst_lightning.errors import UserError
from nst_lightning.grid.clips import read_clips, with_frame_masks
from nst_lightning.grid.pairs import Case, Pair
from nst_lightning.grid.sources import Source
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.run.display import Losses, Silent
from nst_lightning.run.runner import run
from nst_lightning.settings import BatchSettings
from nst_lightning.stop import StopFlag
from nst_lightning.store.output import check_file, check_folder


class StepCounter(Silent):
    """A display that tells a function of each step: its number among those of all segments that are
    not made yet, how many there are, and the losses. What the function raises is kept."""

    def __init__(self, report: Callable[[int, int, Losses], object]) -> None:
        self.report = report
        self.all = self.before = self.steps = 0
        self.raised: Exception | None = None

    def start(self, pairs: int, skipped: int, work: int) -> None:
        self.all = work

    def batch(
        self, names: Sequence[str], steps: int, weights: Mapping[str, float], worker: int = 0
    ) -> None:
        self.before, self.steps = self.before + self.steps, steps

    def step(self, step: int, pairs: int, losses: Losses, worker: int = 0) -> None:
        try:
            self.report(self.before + step, self.all, losses)
        except Exception as error:
            self.raised = error
            raise


def make_film(
    clip: Path,
    style: Source,
    file: Path,
    settings: BatchSettings,
    report: Callable[[int, int, Losses], object],
    masks: Path | None = None,
) -> None:
    """Makes a film in a style, unless it was made before.

    Args:
        clip: a film, or a folder of numbered frames.
        style: the painting, or several.
        file: the result, its suffix that of the container.
        settings: for one device.
        report: is told of every step.
        masks: a folder of the regions of each frame.

    Raises:
        UserError: an input cannot be read, something is in the way, or the film cannot be made.
        Exception: what `report` raises; the frames that are finished stay.
    """
    contents = [only(clip, read_clips(clip, settings, file.parent))]
    if masks is not None:
        contents = with_frame_masks(contents, masks, ImageReader(settings.max_pixels))
    pair = Pair(contents[0], style, file.name)
    if pair.problem:
        raise UserError(pair.problem)
    check_file(file, pair)
    check_folder(file.parent, [])
    display = StepCounter(report)
    summary = run([Case(settings, [pair])], file.parent, display, StopFlag(), ledger=None)
    if display.raised:
        raise display.raised
    for record in summary.failed:
        raise UserError(record.reason)


def only(where: Path, found: Sequence[Source]) -> Source:
    """Returns the one input of a path.

    Raises:
        UserError: the path is a folder that holds several.
    """
    if len(found) > 1:
        raise UserError(f"{where}: holds more than one; name one for one film.")
    return found[0]
