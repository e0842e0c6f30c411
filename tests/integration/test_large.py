"""Images in tiles, from the command line."""

import json
from pathlib import Path

import pytest

from tests.integration.conftest import Nst, pixels, records

QUICK = ("--size", 80, "--steps", 6, "--scales", 1)


def test_tiles_make_the_image_that_the_whole_makes(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    words = ("grid", contents, styles / "brush.jpg", *QUICK, "--precision", "64-true")
    whole, tiles = tmp_path / "whole", tmp_path / "tiles"
    assert nst(*words, "--tile", "none", "-o", whole).returncode == 0
    run = nst(*words, "--tile", 32, "--history", "host", "-o", tiles)
    assert run.returncode == 0, run.stderr
    for name, record in records(whole).items():
        own = records(tiles)[name]
        assert own["losses"]["total"] == pytest.approx(record["losses"]["total"], rel=1e-9)
        assert own["fingerprint"] == record["fingerprint"]
        assert (pixels(tiles / name) == pixels(whole / name)).all()
    # How it is computed decides nothing: what one made, the other leaves alone.
    run = nst(*words, "--tile", 64, "-o", whole, "--json")
    assert json.loads(run.stdout)["skipped"] == 2


def test_what_needs_the_whole_image_says_so(nst: Nst, contents: Path, styles: Path, tmp_path: Path):
    for more, said in (
        (("--style-loss", "sliced-wasserstein"), "sorts the features of the whole image"),
        (("--normalize-gradients",), "needs the gradient of the whole image"),
        (("--compile",), "leave it out"),
    ):
        run = nst("grid", contents, styles, "-o", tmp_path / "out", "--tile", 64, *more)
        assert run.returncode == 2
        assert said in run.stderr
        assert "Traceback" not in run.stderr
    run = nst("grid", contents, styles, "-o", tmp_path / "out", "--tile", 40)
    assert run.returncode == 2
    assert "multiple of 16" in run.stderr


def test_a_plan_says_what_fits_and_what_would(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    words = (
        "grid",
        contents / "cat.png",
        styles / "brush.jpg",
        "-o",
        tmp_path / "out",
        "--upscale",
    )
    plan = json.loads(nst(*words, "--size", 512, "--tile", 128, "--dry-run", "--json").stdout)
    assert plan["tiles"] == [128]
    assert plan["host_gib"] == 0
    assert 0 < plan["gib"] < 2
    run = nst(*words, "--size", 90_000, "--dry-run")
    assert "\n0 images to make, 0 finished, 1 unreadable" in run.stdout
    assert "cannot be made" in run.stdout
    assert "GiB in tiles of 256" in run.stdout
    assert "choose a smaller --size" in run.stdout
    run = nst(*words, "--size", 90_000)
    assert run.returncode == 1
    assert "choose a smaller --size" in run.stderr
