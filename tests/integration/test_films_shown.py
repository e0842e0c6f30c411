"""What becomes of a folder of films: measured, shown, packed, cleaned."""

import csv
import json
import re
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from tests.clips import disc, make_film, pan, texture

from .conftest import Nst

QUICK = ("--size", 48, "--steps", 3, "--frame-steps", 1, "--weights", "random")
LAYERS = ("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1")
FAST = (*QUICK, *LAYERS, "--accelerator", "cpu", "--keep-frames")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A film, a folder of frames and a painting."""
    (tmp_path / "clips" / "numbered").mkdir(parents=True)
    make_film(tmp_path / "clips" / "pan.mp4", pan(6, 48))
    for number, frame in enumerate(disc(5, 48)):
        Image.fromarray(frame).save(tmp_path / "clips" / "numbered" / f"{number:03d}.png")
    Image.fromarray(texture(64, 7)).save(tmp_path / "paint.png")
    return tmp_path


def test_films_are_measured_shown_packed_and_cleaned(nst: Nst, inputs: Path):
    out = inputs / "out"
    run = nst("video", inputs / "clips", inputs / "paint.png", "-o", out, *FAST)
    assert run.returncode == 0, run.stderr
    assert not (out / ".nst" / "flows").exists()
    assert not (out / ".nst" / "frames").exists()
    assert "2 of 2 done" in nst("status", out).stdout

    run = nst("evaluate", out, "--no-lpips", "--weights", "random", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    outcome = json.loads(run.stdout)
    assert (outcome["results"], outcome["warnings"]) == (2, [])
    with (out / "evaluation.csv").open(newline="") as file:
        rows = {row["output"]: row for row in csv.DictReader(file)}
    mean = sum(float(row["e_warp"]) for row in rows.values()) / 2
    assert outcome["means"][0]["e_warp"] == pytest.approx(mean, rel=1e-4)
    for row in rows.values():
        assert float(row["e_warp"]) > float(row["e_warp_input"]) > 0
        assert -1 < float(row["ssim"]) < 1
    again = nst("evaluate", out, "--no-lpips", "--weights", "random", "--json")
    assert json.loads(again.stdout)["measured"] == 0

    assert nst("report", out).returncode == 0
    text = (out / "index.html").read_text()
    found = re.search(r'id="data">(.*?)</script', text, re.DOTALL)
    assert found
    page = json.loads(found[1])
    labels = [metric["name"] for metric in page["metrics"]]
    for result in page["results"]:
        assert (result["state"], result["film"]) == ("done", True)
        shown = result["metrics"][labels.index("e_warp")]
        assert shown == float(rows[result["href"]]["e_warp"])

    assert nst("archive", out, "-o", inputs / "all.tar.gz").returncode == 0
    with tarfile.open(inputs / "all.tar.gz") as tar:
        packed = set(tar.getnames())
    assert {"out/pan/paint.mp4", "out/pan/paint/frames/000006.png"} <= packed
    assert not any(".nst" in name for name in packed)

    (out / "pan" / "paint" / "frames" / "notes.txt").write_text("mine")
    assert "1 files that nst-batch did not make stay" in nst("clean", out, "--yes").stdout
    assert [path for path in out.rglob("*") if path.is_file()] == [
        out / "pan" / "paint" / "frames" / "notes.txt"
    ]


def test_what_an_unfinished_film_leaves_is_counted_and_cleaned(nst: Nst, inputs: Path):
    out = inputs / "out"
    run = nst("video", inputs / "clips", inputs / "paint.png", "-o", out, *FAST)
    assert run.returncode == 0, run.stderr
    # As if it had been killed before the first film was whole.
    (out / "manifest.jsonl").unlink()
    (out / "numbered" / "paint.mp4").unlink()
    (out / "numbered" / "paint.yaml").unlink()
    folder = out / ".nst" / "frames" / ("0" * 32)
    (folder / "000000").mkdir(parents=True)
    (folder / "000000" / "000000.png").write_bytes(b"")
    (folder / "film.json").write_text('{"output": "numbered/paint.mp4", "frames": 5}')
    (out / "numbered" / "paint" / "preview.mp4").write_bytes(b"")
    assert "waiting: numbered/paint.mp4: 1 of 5 frames are made" in nst("status", out).stdout
    listed = nst("clean", out, "--yes").stdout
    assert "preview.mp4" in listed
    assert "film.json" in listed
    left = {path for path in out.rglob("*") if path.is_file()}
    assert left == {out / "pan" / "paint.mp4", out / "pan" / "paint.yaml"}


def test_one_film_leaves_no_state_behind(nst: Nst, inputs: Path):
    made = inputs / "one" / "film.mp4"
    run = nst("video", inputs / "clips" / "pan.mp4", inputs / "paint.png", "-o", made, *FAST[:-1])
    assert run.returncode == 0, run.stderr
    assert {path.name for path in made.parent.iterdir()} == {"film", "film.mp4"}
