"""One batch on the CPU with random weights: what belongs to which image."""

import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nst_lightning.drawing.curves import draw_curves
from nst_lightning.drawing.loss_history import read_history
from nst_lightning.grid.pairs import Grid, Pair
from nst_lightning.grid.sources import read_sources
from nst_lightning.imaging import reading
from nst_lightning.imaging.reading import LoadedImage
from nst_lightning.run import result_writer
from nst_lightning.run.checkpoint_files import CheckpointFiles
from nst_lightning.run.display import Silent
from nst_lightning.run.inputs import Inputs
from nst_lightning.run.outcome import Stylised
from nst_lightning.run.task import CaseSettings, RunOptions
from nst_lightning.run.worker import Worker
from nst_lightning.settings import BatchSettings, build
from nst_lightning.stop import Interrupted, StopFlag
from nst_lightning.store.job import Job
from nst_lightning.store.records import Record
from nst_lightning.transfer.module import StyleTransfer
from nst_lightning.vgg.weights import load_weights

SMALL = {
    "weights": "random",
    "content_layers": "relu2_1",
    "style_layers": "relu1_1,relu2_1",
    "accelerator": "cpu",
    "precision": "32-true",
}


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Two contents, the second half transparent, in one style."""
    for folder, name, seed in (("c", "one", 0), ("c", "two", 1), ("s", "paint", 2)):
        (tmp_path / folder).mkdir(exist_ok=True)
        rough = torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(seed))
        image = Image.fromarray((rough * 255).byte().numpy()).resize((32, 32))
        if name == "two":
            image.putalpha(Image.linear_gradient("L").resize((32, 32)))
        image.save(tmp_path / folder / f"{name}.png")
    settings = build(SMALL)
    contents = read_sources(tmp_path / "c", settings, tmp_path / "out")
    styles = read_sources(tmp_path / "s", settings, tmp_path / "out")
    pairs = Grid(contents, styles)
    return [Job(pair, f"sha-{pair.content.name}", "sha", pair.label) for pair in pairs]


def worker(out: Path, **changes: Any) -> Worker:
    short = {} if "scales" in changes else {"size": 32, "steps": 4}
    settings: BatchSettings = build({**SMALL, **short, **changes})
    weights = load_weights(settings.weights, settings.network)
    case = CaseSettings(settings, settings)
    return Worker(weights, case, RunOptions(out), Silent(), StopFlag())


def make(jobs: Sequence[Job], out: Path, **changes: Any) -> list[Record]:
    records: list[Record] = []
    worker(out, **changes).run([jobs], records.append)
    return records


def test_each_image_of_a_batch_has_its_own_recordings(jobs: list[Job], tmp_path: Path):
    recordings = {"curves": True, "animate": "gif", "save_every": 1}
    together = make(jobs, tmp_path / "both", **recordings)
    alone = [make([job], tmp_path / "alone", **recordings)[0] for job in jobs]
    assert [record.status for record in together] == ["done", "done"]
    totals = []
    for job, one, other in zip(jobs, together, alone, strict=True):
        assert one.fingerprint == other.fingerprint == job.fingerprint
        assert one.losses == pytest.approx(other.losses, rel=0.01)
        for name in ("content", "style"):
            weight = getattr(build(SMALL), f"{name}_weight")
            assert one.unweighted[name] == pytest.approx(one.losses[name] / weight)
        folders = [tmp_path / run / job.pair.extras for run in ("both", "alone")]
        histories = [[row["total"] for row in read_history(f / "history.csv")] for f in folders]
        assert histories[0] == pytest.approx(histories[1], rel=0.01)
        totals.append(histories[0][-1])
        stills = []
        for folder in folders:
            with Image.open(folder / "progress.gif") as film:
                film.seek(film.n_frames - 1)
                stills.append(np.asarray(film.convert("L"), dtype=float))
        assert np.abs(stills[0] - stills[1]).mean() < 6
    assert totals[0] != pytest.approx(totals[1], rel=0.01)
    with Image.open(tmp_path / "both" / jobs[0].pair.output) as first:
        assert first.mode == "RGB"
    with Image.open(tmp_path / "both" / jobs[1].pair.output) as second:
        assert second.mode == "RGBA"
        darkest, lightest = second.getchannel("A").getextrema()
        assert (darkest < 10, lightest > 245) == (True, True)


def test_noise_is_a_pairs_own(jobs: list[Job], tmp_path: Path):
    starts = []
    for folder in ("both", "again"):
        make(jobs, tmp_path / folder, init="noise", steps=1, first_step=1e-6)
        starts.append([Image.open(tmp_path / folder / job.pair.output) for job in jobs])
    pixels = [[image.convert("RGB").tobytes() for image in run] for run in starts]
    assert pixels[0] == pixels[1]
    assert pixels[0][0] != pixels[0][1]


def test_steps_are_counted_over_all_scales(jobs: list[Job], tmp_path: Path):
    scales = [{"size": 24, "steps": 2}, {"size": 32, "steps": 3}]
    (record,) = make(jobs[:1], tmp_path, scales=scales, save_every=1, curves=True)
    folder = tmp_path / jobs[0].pair.extras
    assert record.steps == 5
    assert [Image.open(folder / f"step-{k:04d}.png").width for k in range(1, 6)] == [
        24,
        24,
        *[32] * 3,
    ]
    assert [row["step"] for row in read_history(folder / "history.csv")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("how", ["curvature", "same"])
def test_the_curvature_is_handed_on_from_scale_to_scale(
    how: str, jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    handed: list[Tensor | None] = []
    known = StyleTransfer.configure_optimizers

    def configure(model: StyleTransfer) -> torch.optim.Optimizer:
        handed.append(model.curvature)
        return known(model)

    monkeypatch.setattr(StyleTransfer, "configure_optimizers", configure)
    scales = [{"size": 24, "steps": 8}, {"size": 32, "steps": 2}]
    make(jobs, tmp_path, scales=scales, later_first_step=how)
    first, second = handed
    assert first is None
    if how == "same":
        assert second is None
    else:
        assert second is not None
        assert second.shape == (2,)
        assert bool((second > 0).all())


def test_what_fails_beside_a_image_costs_that_pair_alone(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    drawn = draw_curves

    def broken(path: Path, *rest: Any) -> None:
        if "two" in path.parts:
            raise ValueError("cannot be drawn")
        drawn(path, *rest)

    monkeypatch.setattr(result_writer, "draw_curves", broken)
    first, second = make(jobs, tmp_path, curves=True)
    assert first.status == "done"
    assert second.status == "failed"
    assert second.reason == "ValueError: cannot be drawn"
    assert not (tmp_path / jobs[1].pair.output).exists()


def test_a_batch_too_large_for_the_memory_is_halved(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    four = [*jobs, *(replace(job, pair=renamed(job.pair)) for job in jobs)]
    tried = []
    whole = Worker._make

    def limited(self: Worker, some: Sequence[Job], state: Any) -> list[Stylised]:
        tried.append(len(some))
        if len(some) > 2 or "two" in some[0].pair.label:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return whole(self, some, state)

    monkeypatch.setattr(Worker, "_make", limited)
    records = make(four, tmp_path)
    assert tried == [4, 2, 2]
    assert [record.status for record in records] == ["done"] * 4
    tried.clear()
    (failed,) = make(jobs[1:], tmp_path / "again")
    assert tried == [1]
    assert failed.status == "failed"
    assert "not enough memory" in failed.reason


def renamed(pair: Pair) -> Pair:
    return replace(pair, file=f"again/{pair.file}")


def test_each_image_is_read_once_and_ahead(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read: list[tuple[str, str]] = []
    decode = reading.read_resized

    def counted(path: Path, *given: Any, **named: Any) -> LoadedImage:
        read.append((path.name, threading.current_thread().name))
        return decode(path, *given, **named)

    monkeypatch.setattr(reading, "read_resized", counted)
    records: list[Record] = []
    made = worker(tmp_path)
    made.run([[job] for job in jobs], records.append)
    assert sorted(name for name, _ in read) == ["one.png", "paint.png", "two.png"]
    threads = dict(read)
    assert threads["one.png"] == "MainThread"
    assert threads["two.png"] != "MainThread"
    assert not made.inputs.ahead


def test_a_image_that_stops_early_says_when(jobs: list[Job], tmp_path: Path):
    (record,) = make(jobs[:1], tmp_path, steps=200, stop_below=0.5, curves=True, animate="gif")
    assert record.steps < 200
    folder = tmp_path / jobs[0].pair.extras
    assert len(read_history(folder / "history.csv")) == record.steps


class StopAfter(Silent):
    """Raises a flag after so many steps, as a signal does."""

    def __init__(self, steps: int, stop: StopFlag) -> None:
        self.left, self.flag = steps, stop

    def step(self, step: int, pairs: int, losses: object, worker: int = 0) -> None:
        self.left -= 1
        if self.left == 0:
            self.flag.raised(signal.SIGTERM)


def interrupt(jobs: list[Job], out: Path) -> Path:
    """Begins a batch and stops it after two steps; returns its saved state."""
    one = worker(out)
    one.display = StopAfter(2, one.stop)
    with pytest.raises(Interrupted):
        one.run([jobs], lambda record: None)
    (path,) = (out / ".nst" / "checkpoints").glob("*/state.ckpt")
    return path


RECORDINGS = {
    "curves": True, "animate": "gif", "save_every": 2, "logger": "csv", "log_every": 3,
}  # fmt: skip
TWO_SCALES = [{"size": 24, "steps": 6}, {"size": 32, "steps": 8}]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("interruptions", [[3], [6], [7], [10], [2, 3, 4], [13]])
def test_an_interrupted_batch_goes_on_bit_for_bit(
    jobs: list[Job], tmp_path: Path, interruptions: list[int], optimizer: str
):
    settings = {**RECORDINGS, "scales": TWO_SCALES, "optimizer": optimizer, "init": "noise"}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = make(jobs, whole, **settings)
    for steps in interruptions:
        one = worker(cut, **settings)
        one.display = StopAfter(steps, one.stop)
        records: list[Record] = []
        with pytest.raises(Interrupted):
            one.run([jobs], records.append)
        assert records == []
    found = make(jobs, cut, **settings)
    assert len(found[0].resumed) == len(interruptions)
    for job, before, after in zip(jobs, expected, found, strict=True):
        assert after.losses == before.losses
        assert after.steps == before.steps == 14
        for name in sorted(path.name for path in (whole / job.pair.extras).iterdir()):
            mine, other = ((out / job.pair.extras / name) for out in (cut, whole))
            if name == "history.csv":
                without_time = [
                    [row | {"seconds": 0} for row in read_history(path)] for path in (mine, other)
                ]
                assert without_time[0] == without_time[1]
            elif name != "curves.png":
                assert mine.read_bytes() == other.read_bytes()
        with Image.open(cut / job.pair.output) as a, Image.open(whole / job.pair.output) as b:
            assert a.tobytes() == b.tobytes()
    assert not (cut / ".nst").exists()


class StopInTile(Silent):
    """Raises a flag in the middle of a step, as a signal does."""

    def __init__(self, within: int, stop: StopFlag) -> None:
        self.within, self.flag, self.steps = within, stop, 0

    def part(self, share: float, worker: int = 0) -> None:
        if self.steps + 1 == self.within and 0.4 < share < 0.9:
            self.flag.raised(signal.SIGTERM)

    def step(self, step: int, pairs: int, losses: object, worker: int = 0) -> None:
        self.steps = step


# The first step of a scale is made to its end: there is nothing to go on from before.
@pytest.mark.parametrize(("within", "after"), [(1, 1), (2, 1), (6, 5), (7, 7), (14, 13)])
def test_a_step_in_tiles_is_broken_off_and_made_again_bit_for_bit(
    jobs: list[Job], tmp_path: Path, within: int, after: int
):
    settings = {**RECORDINGS, "scales": TWO_SCALES, "tile": 16, "init": "noise"}
    (expected,) = make(jobs[:1], tmp_path / "whole", **settings)
    one = worker(tmp_path / "cut", **settings)
    one.display = display = StopInTile(within, one.stop)
    with pytest.raises(Interrupted):
        one.run([jobs[:1]], lambda record: None)
    assert display.steps == after
    float_image(tmp_path / "cut", after)
    (found,) = make(jobs[:1], tmp_path / "cut", **settings)
    assert found.losses == expected.losses
    both = [Image.open(tmp_path / name / jobs[0].pair.output) for name in ("whole", "cut")]
    assert both[0].tobytes() == both[1].tobytes()


def float_image(out: Path, step: int) -> torch.Tensor:
    """The float images in the only state of a folder, saved after this step."""
    (path,) = (out / ".nst" / "checkpoints").glob("*/state.ckpt")
    kept = torch.load(path, weights_only=True)
    assert kept["run"]["offset"] + kept["global_step"] == step
    return kept["state_dict"]["image"]


def test_the_float_image_is_the_same_after_an_interruption(jobs: list[Job], tmp_path: Path):
    images = []
    for name, stops in (("once", [9]), ("twice", [4, 5])):
        for steps in stops:
            one = worker(tmp_path / name, scales=[{"size": 32, "steps": 20}])
            one.display = StopAfter(steps, one.stop)
            with pytest.raises(Interrupted):
                one.run([jobs], lambda record: None)
        images.append(float_image(tmp_path / name, 9))
    assert images[0].equal(images[1])


def test_states_are_written_as_time_goes_by(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    saved: list[int] = []
    kept = CheckpointFiles.save_checkpoint

    def save(self: CheckpointFiles, checkpoint: dict[str, Any], path: Any, **rest: Any) -> None:
        saved.append(checkpoint["global_step"])
        kept(self, checkpoint, path, **rest)

    monkeypatch.setattr(CheckpointFiles, "save_checkpoint", save)
    make(jobs, tmp_path, steps=6, checkpoint_every=1e-6)
    assert saved == [1, 2, 3, 4, 5]
    assert not (tmp_path / ".nst").exists()
    make(jobs, tmp_path, steps=6, checkpoint_every=0)
    assert len(saved) == 5


def test_a_state_that_leads_to_nothing_is_dropped(jobs: list[Job], tmp_path: Path):
    path = interrupt(jobs, tmp_path)
    kept = torch.load(path, weights_only=True)
    kept["images"] = {}
    torch.save(kept, path)
    found = make(jobs, tmp_path)
    assert [record.status for record in found] == ["done", "done"]
    assert found[0].resumed == []
    assert not (tmp_path / ".nst").exists()


def test_one_failure_of_several_at_a_coarse_scale_leaves_the_others_whole(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    start = Inputs.start

    def spoil(self: Inputs, job: Job, *rest: Any) -> torch.Tensor:
        image = start(self, job, *rest)
        return image * torch.nan if job is jobs[0] else image

    monkeypatch.setattr(Inputs, "start", spoil)
    found = make(jobs, tmp_path, scales=TWO_SCALES)
    assert [record.status for record in found] == ["failed", "done"]
    with Image.open(tmp_path / jobs[1].pair.output) as image:
        assert max(image.size) == 32


def test_luminance_alone_is_transferred(jobs: list[Job], tmp_path: Path):
    luma = np.array([0.299, 0.587, 0.114])
    found = make(jobs[:1], tmp_path, preserve_color="luminance", steps=8, save_every=4)
    assert found[0].status == "done"
    content = np.asarray(Image.open(jobs[0].pair.content.path).convert("RGB"), float)
    for name in (jobs[0].pair.output, jobs[0].pair.extras / "step-0008.png"):
        made = np.asarray(Image.open(tmp_path / name), float)
        assert np.abs(made @ luma - content @ luma).mean() > 2
        tint, wanted = (p - (p @ luma)[..., None] for p in (made, content))
        strong = np.linalg.norm(tint, axis=2) > 20
        cosine = (
            (tint * wanted).sum(2) / np.linalg.norm(tint, axis=2) / np.linalg.norm(wanted, axis=2)
        )
        assert strong.any()
        assert cosine[strong].min() > 0.98


def test_a_style_in_the_colours_of_its_content_is_made_for_each(jobs: list[Job], tmp_path: Path):
    both = make(jobs, tmp_path / "both", preserve_color="match-linear", steps=2)
    alone = [
        make([job], tmp_path / "alone", preserve_color="match-linear", steps=2)[0] for job in jobs
    ]
    for one, other in zip(both, alone, strict=True):
        assert one.losses["style"] == pytest.approx(other.losses["style"], rel=1e-3)


class Notes(Silent):
    """Remembers what the user is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_a_state_that_cannot_be_written_costs_no_image(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(self: CheckpointFiles, *args: Any, **rest: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckpointFiles, "save_checkpoint", full)
    one = worker(tmp_path, checkpoint_every=1e-6)
    one.display = notes = Notes()
    records: list[Record] = []
    one.run([jobs], records.append)
    assert [record.status for record in records] == ["done", "done"]
    assert "one/paint and 1 more: its state cannot be saved" in notes.said[0]
    assert "No space left on device" in notes.said[0]


def test_the_user_hears_what_becomes_of_a_saved_state(jobs: list[Job], tmp_path: Path):
    for damage in (False, True):
        path = interrupt(jobs, tmp_path)
        if damage:
            path.write_bytes(path.read_bytes()[:-99])
        one = worker(tmp_path)
        one.display = notes = Notes()
        one.run([jobs], lambda record: None)
        assert notes.said == [
            "one/paint and 1 more: its saved state cannot be read; it begins anew"
            if damage
            else "one/paint and 1 more: goes on after step 2"
        ]


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        (("optimizer_states",), "its saved state cannot be read; it begins anew"),
        (("state_dict", "image"), "cannot go on from its saved state; it begins anew"),
        (("run", "seconds"), "cannot go on from its saved state; it begins anew"),
    ],
)
def test_a_state_that_lacks_something_is_told_and_the_images_begin_anew(
    jobs: list[Job], tmp_path: Path, without: tuple[str, ...], sentence: str
):
    path = interrupt(jobs, tmp_path)
    *way, last = without
    state = torch.load(path, weights_only=True)
    part = state
    for name in way:
        part = part[name]
    part[last] = {"of another kind": 1}
    if len(without) == 1:
        del part[last]
    torch.save(state, path)
    one = worker(tmp_path)
    one.display = notes = Notes()
    records: list[Record] = []
    one.run([jobs], records.append)
    assert notes.said[-1].endswith(sentence)
    assert [(record.status, record.resumed) for record in records] == [("done", [])] * 2


def test_a_share_is_of_the_contents_own_size(jobs: list[Job], tmp_path: Path):
    scales = [{"size": 1, "steps": 1}, {"size": "original", "steps": 2}]
    first = {"content_layers": "relu1_1", "style_layers": "relu1_1"}  # the others need more pixels
    (record,) = make(jobs[:1], tmp_path / "share", scales=scales, **first)
    assert record.resolved.width == 32  # and not 1, which is another size than the share 1.0
    whole = [{"size": 1, "steps": 1}, {"size": 32, "steps": 2}]
    (same,) = make(jobs[:1], tmp_path / "pixels", scales=whole, **first)
    assert record.losses == same.losses


@pytest.mark.parametrize("how", [{"bit_depth": 16}, {"dither": True}])
def test_losses_are_those_of_what_the_file_holds(
    jobs: list[Job], tmp_path: Path, how: dict[str, Any]
):
    (plain,) = make(jobs[:1], tmp_path / "plain")
    (other,) = make(jobs[:1], tmp_path / "other", **how)
    assert plain.losses == pytest.approx(other.losses, rel=0.02)
    assert plain.losses != other.losses


def test_detail_changes_the_file_and_not_the_losses(jobs: list[Job], tmp_path: Path):
    small = {"size": 16, "preserve_color": "luminance"}
    (plain,) = make(jobs[1:], tmp_path / "plain", **small)
    (detail,) = make(jobs[1:], tmp_path / "detail", **small, finish="detail")
    assert plain.losses == detail.losses
    assert [r.resolved.width for r in (plain, detail)] == [16, 32]
    with Image.open(tmp_path / "detail" / jobs[1].pair.output) as image:
        assert (image.size, image.mode) == ((32, 32), "RGBA")
        (content,) = [Image.open(jobs[1].pair.content.path)]
        assert image.getchannel("A").tobytes() == content.getchannel("A").tobytes()
