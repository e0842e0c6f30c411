"""`nst-batch grid`: what it leaves behind, skips, refuses, survives."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from .conftest import EXAMPLES, Nst, pixels, put, records, start

NORMALIZED = "936c2d12aedffd5922304e75b7ac99c641d4b19c96f9d33b31c5bc5807ab3f54"
"""Checksum of the real normalised VGG-19; no stand-in has it."""

QUICK = ("--steps", 4, "--size", 64)


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def images(out: Path) -> dict[str, np.ndarray]:
    return {p.relative_to(out).as_posix(): pixels(p) for p in sorted(out.glob("*/*.png"))}


def test_everything_a_grid_leaves_behind(nst: Nst, contents: Path, styles: Path, tmp_path: Path):
    out = contents / "results"  # inside the content folder: never read as input
    grid = ("grid", contents, styles, "-o", out, "--recursive", *QUICK)
    first = nst(*grid, "--save-every", 2, "--save-first", 1)
    assert first.returncode == 0, first.stderr
    names = ["cat/brush.png", "cat/wood cut.png", "rocket/brush.png", "rocket/wood cut.png"]
    assert sorted(images(out)) == names
    for name in names:
        extras = (out / name).with_suffix("")
        steps = sorted(p.name for p in extras.iterdir())
        assert steps == ["step-0001.png", "step-0002.png", "step-0004.png"]
        assert (pixels(extras / "step-0004.png") == pixels(out / name)).all()
        assert (pixels(extras / "step-0001.png") != pixels(out / name)).any()

    manifest = lines(out)
    assert [line["output"] for line in manifest] == names
    for line in manifest:
        assert line["status"] == "done"
        assert line["weights_checksum"] == NORMALIZED
        assert (out / line["content"]).is_file()
        assert (out / line["style"]).is_file()
        assert line["steps"] == 4
        assert line["settings"]["scales"] == [{"size": 64, "steps": 4, "content_weight": 1.0}]
        assert line["settings"]["precision"] == "auto"
        assert line["resolved"]["precision"] in ("bf16-mixed", "32-true")
        assert line["losses"]["total"] == pytest.approx(
            sum(line["losses"][term] for term in ("content", "style", "tv")), rel=1e-5
        )
        with Image.open(out / line["output"]) as image:
            inside = json.loads(image.text["nst-lightning"])
        assert inside["fingerprint"] == line["fingerprint"]
    assert yaml.safe_load((out / "settings.yaml").read_text())["save_every"] == 2
    with Image.open(out / "grid.png") as sheet:
        assert sheet.width > 300
    assert not list(out.rglob("*.nst-tmp"))

    # The same again: no optimisation, every file as it was.
    before = {p: p.stat().st_mtime_ns for p in out.glob("*/*.png")}
    second = nst(*grid, "--json", "--config", out / "settings.yaml")
    assert second.returncode == 0, second.stderr
    outcome = json.loads(second.stdout)
    assert (outcome["done"], outcome["skipped"], outcome["failed"]) == ([], 4, [])
    assert {p: p.stat().st_mtime_ns for p in out.glob("*/*.png")} == before

    # Other settings: refused by name; --overwrite replaces.
    refused = nst("grid", contents, styles, "-o", out, "--size", 64, "--steps", 5)
    assert refused.returncode == 2
    assert "64:4 instead of 64:5" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert {p: p.stat().st_mtime_ns for p in out.glob("*/*.png")} == before
    replaced = nst("grid", contents, styles, "-o", out, "--size", 64, "--steps", 5, "--overwrite")
    assert replaced.returncode == 0
    assert all(line["steps"] == 5 for line in lines(out))

    # Another input under the old name: refused too.
    put(EXAMPLES / "contents" / "coffee.jpg", contents, ["cat.png"])
    changed = nst("grid", contents, styles, "-o", out, "--size", 64, "--steps", 5)
    assert changed.returncode == 2
    assert "another content image" in changed.stderr


def test_one_corrupt_file_among_ten(nst: Nst, tmp_path: Path):
    names = [f"photo{i}.png" for i in range(10)]
    contents = put(EXAMPLES / "contents" / "chelsea.jpg", tmp_path / "contents", names, 48)
    whole = (contents / "photo3.png").read_bytes()
    (contents / "photo3.png").write_bytes(whole[: len(whole) // 2])
    style = put(EXAMPLES / "styles" / "woodcut.jpg", tmp_path / "styles", ["w.png"], 64)
    out = tmp_path / "out"
    run = nst("grid", contents, style, "-o", out, "--steps", 2, "--size", 48)
    assert run.returncode == 1
    assert len(images(out)) == 9
    assert "photo3.png" in run.stderr
    assert "Traceback" not in run.stderr
    failed = [line for line in lines(out) if line["status"] == "failed"]
    assert [line["output"] for line in failed] == ["photo3/w.png"]

    # Mended, it alone is tried again.
    (contents / "photo3.png").write_bytes(whole)
    again = nst("grid", contents, style, "-o", out, "--steps", 2, "--size", 48, "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["done"] == ["photo3/w.png"]
    assert len(lines(out)) == 10


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def slow_grid(contents: Path, styles: Path, out: Path) -> tuple[object, ...]:
    return ("grid", contents, styles, "-o", out, "--size", 96, "--steps", 25, "--save-first", 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_cleanly(contents: Path, styles: Path, tmp_path: Path, number: int, code: int):
    out = tmp_path / "out"
    process = start(*slow_grid(contents, styles, out))
    wait_for(out / "cat" / "wood cut" / "step-0001.png", process)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "1 of 4 results are finished" in errors
    assert "Traceback" not in errors
    assert list(images(out)) == ["cat/brush.png"]


def test_a_result_does_not_depend_on_its_company(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    # In float32, of which alone it is promised: bfloat16 amplifies what is rounded sooner.
    noisy = ("--size", 64, "--steps", 6, "--init", "noise", "--precision", "32-true")
    assert nst("grid", contents, styles, "-o", tmp_path / "all", *noisy).returncode == 0
    one = tmp_path / "one.png"
    alone = nst("run", contents / "rocket.png", styles / "brush.jpg", "-o", one, *noisy)
    assert alone.returncode == 0, alone.stderr
    assert (pixels(one) == pixels(tmp_path / "all" / "rocket" / "brush.png")).all()

    # In batches of another size only rounding differs: losses within 1 %.
    batched = nst("grid", contents, styles, "-o", tmp_path / "b", *noisy, "--batch-size", 3)
    assert batched.returncode == 0, batched.stderr
    for a, b in zip(lines(tmp_path / "all"), lines(tmp_path / "b"), strict=True):
        assert a["losses"]["total"] == pytest.approx(b["losses"]["total"], rel=0.01)
        assert a["fingerprint"] == b["fingerprint"]

    # The same pair again is skipped; a shard makes its part.
    again = nst("run", contents / "rocket.png", styles / "brush.jpg", "-o", one, *noisy, "--json")
    assert json.loads(again.stdout)["skipped"] is True
    table = tmp_path / "pairs.csv"
    table.write_text("content,style\nrocket.png,brush.jpg\ncat,wood cut\n")
    listed = ("grid", contents, styles, "-o", tmp_path / "c", *noisy, "--pairs", table, "--json")
    parts = [json.loads(nst(*listed, "--shard", f"{i}/2").stdout)["done"] for i in (1, 2)]
    assert parts == [["rocket/brush.png"], ["cat/wood cut.png"]]


def test_the_losses_are_those_of_the_saved_image(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    from nst_lightning import StyleTransfer, TransferSettings, load_image

    out = tmp_path / "x.png"
    asked = ("--size", 64, "--steps", 5, "--tv-weight", 0.1)
    made = nst("run", contents / "cat.png", styles / "brush.jpg", "-o", out, *asked, "--json")
    losses = json.loads(made.stdout)["losses"]
    settings = TransferSettings(size=64, steps=5, tv_weight=0.1)
    model = StyleTransfer.from_images(
        load_image(contents / "cat.png", 64), load_image(styles / "brush.jpg", 64), settings
    )
    for name, value in model.evaluate(load_image(out)).items():
        assert losses[name] == pytest.approx(float(value), rel=1e-4), name


def test_a_loss_that_is_not_finite_fails_that_pair_alone(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    run = nst("grid", contents, styles / "brush.jpg", "-o", out, *QUICK, "--style-weight", 1e38)
    assert run.returncode == 1
    assert "no longer a finite number at step 1" in run.stderr
    assert list(images(out)) == []
    assert (out / "cat" / "brush" / "last-good.png").is_file()


def test_transparency_is_carried_over(nst: Nst, contents: Path, styles: Path, tmp_path: Path):
    with Image.open(contents / "cat.png") as image:
        alpha = Image.new("L", image.size, 255)
        alpha.paste(0, (0, 0, 48, 96))
        image.putalpha(alpha)
        image.save(tmp_path / "cut.png")
    out = tmp_path / "x.png"
    run = nst("run", tmp_path / "cut.png", styles / "brush.jpg", "-o", out, *QUICK)
    assert run.returncode == 0, run.stderr
    result = pixels(out)
    assert result.shape == (64, 64, 4)
    assert (result[:, :28, 3] == 0).all()
    assert (result[:, 36:, 3] == 255).all()


def test_two_scales_end_at_the_last(nst: Nst, contents: Path, styles: Path, tmp_path: Path):
    out = tmp_path / "x.png"
    run = nst(
        "run", contents / "cat.png", styles / "brush.jpg", "-o", out,
        "--scales", "48:3,80:2", "--optimizer", "adam", "--save-every", 1,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert pixels(out).shape == (80, 80, 3)
    sizes = [pixels(tmp_path / "x" / f"step-{i:04d}.png").shape[0] for i in range(1, 6)]
    assert sizes == [48, 48, 48, 80, 80]


def test_names_of_dots_stay_in_the_folder(nst: Nst, styles: Path, tmp_path: Path):
    folder = put(EXAMPLES / "contents" / "chelsea.jpg", tmp_path / "in", ["cat.png"])
    strange = (folder / "cat.png").rename(folder / "...png")
    words = ("--weights", "random", "--size", 32, "--steps", 1, "--save-every", 1)
    done = nst("grid", strange, styles, "-o", tmp_path / "deep" / "out", *words)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert len(list((tmp_path / "deep" / "out").glob("unnamed-*/brush/step-0001.png"))) == 1
    refused = nst("run", strange, styles / "brush.jpg", "-o", tmp_path / "deep" / "...png", *words)
    assert refused.returncode == 2
    assert "only dots" in refused.stderr
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_names_that_are_not_utf_8_and_links_to_themselves_stop_nothing(
    contents: Path, styles: Path, tmp_path: Path, nst: Nst
):
    for folder, name in ((contents, b"\xff\xfebytes.png"), (styles, b"caf\xe9.jpg")):
        shutil.copy(os.fsencode(next(folder.iterdir())), os.fsencode(folder) + b"/" + name)
        (folder / "loop.png").symlink_to("loop.png")
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/out\xfe"))
    words = ("grid", contents, styles, "--size", 48, "--steps", 2, "--out", out)
    done = nst(*words, "--curves")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    made = [r for r in records(out).values() if r["status"] == "done"]
    failed = [r for r in records(out).values() if r["status"] == "failed"]
    assert (len(made), len(failed)) == (3 * 3, 3 + 3 + 1)
    assert all("Too many levels of symbolic links" in record["reason"] for record in failed)
    assert all((out / record["output"]).is_file() for record in made)
    assert any(record["content"].endswith("\\udcff\\udcfebytes.png") for record in made)
    again = nst(*words, "--curves")
    assert "0 made, 9 done before, 7 failed" in again.stdout
    assert nst("report", out).returncode == 0
