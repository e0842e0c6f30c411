"""A long shot of a film, cut into segments for several workers."""

from pathlib import Path

from PIL import Image

from nst_lightning.run.film_plan import FADED, WARM_UP
from tests.clips import make_film, packets, pan, texture
from tests.integration.conftest import Nst

FRAMES = 2 * (FADED + WARM_UP) + 6
"""For three segments, the last of which begins in the midst of the shot, at a rough frame."""


def test_two_workers_make_the_film_of_one(nst: Nst, tmp_path: Path):
    clip = make_film(tmp_path / "long.mp4", pan(FRAMES, 16, step=1))
    style = tmp_path / "noise.png"
    Image.fromarray(texture(48, 5)).save(style)
    words = (
        "video", clip, style, "--size", 16, "--steps", 3, "--frame-steps", 1, "--segment", 1,
        "--weights", "random", "--content-layers", "relu1_1", "--style-layers", "relu1_1",
        "--accelerator", "cpu",
    )  # fmt: skip
    for workers in (1, 2):
        run = nst(*words, "-o", tmp_path / f"{workers}.mp4", "--devices", workers)
        assert run.returncode == 0, run.stderr
    assert packets(tmp_path / "1.mp4") == packets(tmp_path / "2.mp4")
