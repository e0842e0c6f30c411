"""Every study as one command, on real images with the real weights."""

import csv
import json
from pathlib import Path

import yaml
from PIL import Image

from .conftest import EXAMPLES, Nst

CHELSEA = EXAMPLES / "contents" / "chelsea.jpg"
BRUSH = EXAMPLES / "styles" / "brush_flow.jpg"
SMALL = ("--size", 48, "--steps", 12)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_reconstruct(nst: Nst, tmp_path: Path):
    out = tmp_path / "out"
    words = ("reconstruct", CHELSEA, "--layers", "conv_1,conv_1+conv_5", *SMALL, "--out", out)
    done = nst(*words, "--steps", 60)
    assert done.returncode == 0, done.stderr
    assert "step 10/60, loss " in done.stderr
    assert "content 1 × " in done.stderr
    assert "style" not in done.stderr
    rows = table(out / "results.csv")
    assert [(r["layers"], r["seed"]) for r in rows] == [
        (layers, seed) for layers in ("conv_1", "conv_1+conv_5") for seed in "01"
    ]
    assert float(rows[0]["psnr"]) > 18
    assert float(rows[0]["loss"]) < 0.1
    seeds = table(out / "seeds.csv")
    assert len(seeds) == 2
    assert float(seeds[0]["psnr"]) > 15
    with Image.open(out / "chelsea" / "figure.png") as figure:
        assert figure.width > figure.height * 0.5
    settings = yaml.safe_load((out / "chelsea" / "conv_1" / "seed-0.yaml").read_text())
    assert settings["content_layers"] == {"conv_1": 1.0}
    assert settings["style_layers"] == {}
    assert (out / "chelsea" / "curves.png").is_file()
    history = table(out / "chelsea" / "conv_1" / "seed-0" / "history.csv")
    assert [int(row["step"]) for row in history] == list(range(1, 61))
    assert float(history[-1]["total"]) < float(history[0]["total"]) / 100

    again = nst(*words, "--steps", 60, "--json")
    outcome = json.loads(again.stdout)
    assert (outcome["done"], outcome["skipped"]) == ([], 4)


def test_texture_of_any_size(nst: Nst, tmp_path: Path):
    out = tmp_path / "out"
    words = ("texture", BRUSH, "--layers", "conv_1..conv_2", "--size", "70x40", "--steps", 12)
    done = nst(*words, "--style-size", 64, "--seeds", 2, "--out", out, "--animate", "webp")
    assert done.returncode == 0, done.stderr
    folder = out / "brush_flow" / "conv_1..conv_2"
    pixels = []
    for seed in "01":
        with Image.open(folder / f"seed-{seed}.png") as image:
            assert image.size == (70, 40)
            pixels.append(image.tobytes())
        with Image.open(folder / f"seed-{seed}" / "progress.webp") as film:
            assert film.n_frames > 5
    assert pixels[0] != pixels[1]


def test_compare_init(nst: Nst, tmp_path: Path):
    out = tmp_path / "out"
    done = nst("compare-init", CHELSEA, BRUSH, *SMALL, "--out", out)
    assert done.returncode == 0, done.stderr
    assert [row["init"] for row in table(out / "results.csv")] == ["noise", "content", "gray"]
    for init in ("noise", "content", "gray"):
        snapshots = (out / init / "chelsea" / "brush_flow").glob("step-*.png")
        found = sorted(path.name for path in snapshots)
        assert found == [f"step-{step:04d}.png" for step in (1, 2, 5, 10, 12)]
    assert (out / "figure.png").is_file()
    assert (out / "curves.png").is_file()


def test_sweep(nst: Nst, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"base: {{size: 48, steps: 5}}\ncontents: {CHELSEA}\nstyles: {BRUSH}\n"
        "axes: {init: [content, noise]}\n"
        "cases: {low: {style_weight: 1}, high: {style_weight: 500}}\n"
    )
    out = tmp_path / "out"
    done = nst("sweep", file, "--out", out)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert {tuple(line["case"].values()) for line in lines} == {
        (init, case) for init in ("content", "noise") for case in ("low", "high")
    }
    rows = table(out / "results.csv")
    assert len(rows) == 4
    assert float(rows[0]["ssim_content"]) > float(rows[3]["ssim_content"])
    # What it leaves repeats it: everything is there already.
    again = nst("sweep", out / "sweep.yaml", CHELSEA, BRUSH, "--out", out, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["skipped"] == 4
    changed = nst("sweep", file, "--out", out, "--steps", 6)
    assert changed.returncode == 2
    assert "was made with scales 48:5 instead of 48:6" in changed.stderr


def test_the_sweeps_that_come_along_can_be_planned(nst: Nst, tmp_path: Path):
    counts = {}
    for name in ("seed-000", "seed-001", "seed-002", "seed-003", "seed-004-normalized"):
        words = ("sweep", name, CHELSEA, BRUSH, "--dry-run", "--json", "--out", tmp_path)
        done = nst(*words)
        assert done.returncode == 0, done.stderr
        counts[name] = json.loads(done.stdout)["pairs"]
    assert counts["seed-004-normalized"] == 34
    unknown = nst("sweep", "seed-04", CHELSEA, BRUSH)
    assert unknown.returncode == 2
    assert "did you mean 'seed-004'" in unknown.stderr
    nothing = nst("sweep", "seed-000")
    assert nothing.returncode == 2
    assert "names no images" in nothing.stderr
