"""Frames made one after the other, with no files but theirs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nst_lightning.grid.clips import look_through
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source, read_source
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.layout import frame_name
from nst_lightning.run import film_frames
from nst_lightning.run.batch_run import BatchRun
from nst_lightning.run.devices import resolve
from nst_lightning.run.film_frames import FrameMaker
from nst_lightning.run.film_plan import segments_of
from nst_lightning.run.frame_files import age_of, read_facts, read_frame, segment_folder
from nst_lightning.run.inputs import Inputs
from nst_lightning.run.make_batch import make_batch
from nst_lightning.run.outcome import Stylised
from nst_lightning.settings import build
from nst_lightning.store.job import Job
from nst_lightning.vgg.weights import load_weights
from nst_lightning.video.temporal_target import GROWN
from tests.clips import Frame, pan, texture

LAYERS = {"content_layers": "relu1_1", "style_layers": "relu1_1", "weights": "random"}
QUICK = {**LAYERS, "size": 48, "steps": 20, "frame_steps": 10, "precision": "32-true"}
CPU = torch.device("cpu")


def made(frames: list[Frame], folder: Path, **settings: object) -> list[Path]:
    """Makes the frames of a clip; the files, in order."""
    clip, style = folder / "clip", folder / "style.png"
    clip.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(clip / f"{number:03}.png")
    Image.fromarray(texture(48, 5)).save(style)
    s = resolve(build({**QUICK, **settings}), CPU)
    film = look_through(clip, s, folder)
    content = Source(clip, "clip", film.clip.shape, film=film)
    pair = Pair(content, read_source(style, "style", ImageReader(s.max_pixels)), "clip/style.mp4")
    job = Job(pair, "c" * 64, "s" * 64, "f" * 64)
    (segment,) = segments_of(content, s)
    FrameMaker(s, load_weights(*s.network_weights), CPU, folder).make(job, segment)
    return [segment_folder(folder, job, segment) / frame_name(k) for k in range(len(frames))]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_what_stands_still_stays_as_it_was_made(optimizer: str, tmp_path: Path):
    files = made([texture(48)] * 3, tmp_path, optimizer=optimizer)
    first, *others = (np.asarray(Image.open(file)).astype(float) for file in files)
    assert all(np.sqrt(np.square(other - first).mean()) < 2 for other in others)
    assert not any("age" in read_facts(file) for file in files)


def test_what_enters_grows_old(tmp_path: Path):
    files = made(pan(3, 48, step=3), tmp_path)
    ages = [age_of(read_facts(file), (48, 48))[0, 0, 12:-12] for file in files]
    assert (ages[0] == GROWN).all()
    assert (ages[1][:, -2:] == 0).all()
    assert (ages[2][:, -2:] == 0).all()
    assert (ages[2][:, -5:-4] == 1).all()
    assert (ages[2][:, 8:-9] == GROWN).all()
    assert all(read_frame(file, (48, 48)) is not None for file in files)


def test_what_enters_starts_as_strokes_from_further_in(tmp_path: Path):
    still = {"optimizer": "adam", "learning_rate": 1e-9, "steps": 1, "frame_steps": 1}
    files = made(pan(2, 48, step=4), tmp_path, **still)  # every frame stays as it starts
    first, second = (np.asarray(Image.open(file)).astype(float)[12:-12] for file in files)
    entered, taken = second[:, -4:], first[:, -12:-8]
    details = [one - one.mean(axis=1, keepdims=True) for one in (entered, taken)]
    assert np.corrcoef(*(one.ravel() for one in details))[0, 1] > 0.8


def test_no_step_of_a_later_frame_goes_any_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    longest = list[float | None]()

    def noted(inputs: Inputs, batch: BatchRun, *rest: Any, **more: Any) -> list[Stylised]:
        longest.append(batch.settings.longest_step)
        return make_batch(inputs, batch, *rest, **more)

    monkeypatch.setattr(film_frames, "make_batch", noted)
    made(pan(3, 48), tmp_path, longest_step=None)
    assert longest == [None, film_frames.LONGEST, film_frames.LONGEST]
