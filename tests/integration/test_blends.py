"""Blends of styles and regions, by the command line."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli import main
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.reading import load_image

from .conftest import EXAMPLES, Nst, pixels

QUICK = ("--steps", 3, "--size", 64)
COFFEE = EXAMPLES / "contents" / "coffee.jpg"
MASK = EXAMPLES / "contents" / "coffee.mask.png"
BRUSH, WOODCUT = (EXAMPLES / "styles" / f"{name}.jpg" for name in ("brush_flow", "woodcut"))


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def halves(path: Path, size: tuple[int, int], right: int = 255) -> Path:
    """A mask: black on the left, another grey on the right."""
    image = Image.new("L", size, 0)
    image.paste(right, (size[0] // 2, 0, *size))
    image.save(path)
    return path


def test_a_grid_of_pairs_with_masks(nst: Nst, contents: Path, styles: Path, tmp_path: Path):
    out = tmp_path / "out"
    shutil.copy(contents / "cat.png", contents / "torn.png")
    halves(contents / "cat.mask.png", (96, 96))
    halves(contents / "torn.mask.png", (96, 48))
    grid = ("grid", contents, styles, "-o", out, "--blend-styles", "pairs", "--mask-dir", contents)
    planned = nst(*grid, *QUICK, "--dry-run", "--json")
    assert len(json.loads(planned.stdout)["outputs"]) == 2
    first = nst(*grid, *QUICK, "--batch-size", 3)
    assert first.returncode == 1, first.stderr
    assert "torn.mask.png: is 96×48 and does not fit" in first.stderr
    made = {line["output"]: line for line in lines(out)}
    assert {name: line["status"] for name, line in made.items()} == {
        "cat/brush+wood cut.png": "done",
        "rocket/brush+wood cut.png": "done",
        "torn/brush+wood cut.png": "failed",
    }
    cat = made["cat/brush+wood cut.png"]
    assert [part["share"] for part in cat["blend"]] == [0.5, 0.5]
    assert (out / cat["content_mask"]).samefile(contents / "cat.mask.png")
    assert "content_mask" not in made["rocket/brush+wood cut.png"]
    assert pixels(out / "blends" / "brush+wood cut.png").std() > 20

    # Mended, it alone is made; then nothing.
    halves(contents / "torn.mask.png", (48, 48))
    second = json.loads(nst(*grid, *QUICK, "--json").stdout)
    assert (second["done"], second["skipped"]) == (["torn/brush+wood cut.png"], 2)
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*/*.png")}
    third = json.loads(nst(*grid, *QUICK, "--json").stdout)
    assert (third["done"], third["skipped"], third["failed"]) == ([], 3, [])
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*.png")} == stamps

    # Another mask: refused by name; with --overwrite its image alone is made anew.
    halves(contents / "cat.mask.png", (96, 96), 128)
    refused = nst(*grid, *QUICK)
    assert refused.returncode == 2
    assert "cat/brush+wood cut.png: was made with other masks" in refused.stderr
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*.png")} == stamps
    replaced = json.loads(nst(*grid, *QUICK, "--overwrite", "--json").stdout)
    assert (replaced["done"], replaced["skipped"]) == (["cat/brush+wood cut.png"], 2)

    (out / "blends" / "mine.png").write_text("mine")
    assert nst("clean", out, "--yes").returncode == 0
    assert [path for path in out.rglob("*") if path.is_file()] == [out / "blends" / "mine.png"]


def test_regions_without_a_style_keep_the_content(nst: Nst, tmp_path: Path):
    with Image.open(COFFEE) as image:
        image.resize((96, 96)).save(tmp_path / "c.png")
    mask = halves(tmp_path / "m.png", (64, 64))
    style, out = tmp_path / "a=b.jpg", tmp_path / "x.png"
    shutil.copy(BRUSH, style)
    asked = ("--content-mask", mask, "--region", f"white={style}", "--init", "noise")
    run = nst("run", tmp_path / "c.png", "-o", out, *asked, *QUICK)
    assert run.returncode == 0, run.stderr
    content = to_levels(load_image(tmp_path / "c.png", 64)[0]).permute(1, 2, 0).numpy()
    assert np.array_equal(pixels(out)[:, :32], content[:, :32])
    assert (pixels(out)[:, 32:] != content[:, 32:]).mean() > 0.9


def test_shares_in_other_words_are_the_same_image(nst: Nst, tmp_path: Path):
    def run(*shares: str) -> bool:
        blend = [word for share in shares for word in ("--blend", share)]
        made = nst("run", COFFEE, *blend, "-o", tmp_path / "x.png", *QUICK, "--json")
        assert made.returncode == 0, made.stderr
        return bool(json.loads(made.stdout)["skipped"])

    assert not run(f"{BRUSH}=0.6", f"{WOODCUT}=0.2")
    assert run(f"{BRUSH}=3", f"{WOODCUT}=1")
    half = ("--blend", BRUSH, "--blend", WOODCUT)
    other = nst("run", COFFEE, *half, "-o", tmp_path / "x.png", *QUICK)
    assert other.returncode == 2
    assert "other styles or shares than brush_flow+woodcut has now" in other.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name the style once"),
        ([WOODCUT, "--blend", BRUSH], "name the style once"),
        (["--blend", f"{BRUSH}=0", "--blend", f"{WOODCUT}=0"], "all shares are 0"),
        (["--blend", f"{BRUSH}=-1"], "the share should be 0 or more, not -1"),
        (["--region", f"white={BRUSH}"], "add --content-mask FILE"),
        (["--region", f"red={BRUSH}", "--content-mask", MASK], "has no region #ff0000"),
        (["--region", f"pinkish={BRUSH}", "--content-mask", MASK], "no colour of a region"),
        (
            ["--region", f"255={BRUSH}", "--region", f"white={WOODCUT}", "--content-mask", MASK],
            "has two styles",
        ),
        ([WOODCUT, "--style-mask", MASK], "--style-mask needs the regions of the content"),
        (["--blend", BRUSH, "--style-mask", MASK], "--style-mask goes with a single STYLE"),
        ([WOODCUT, "--content-mask", "absent.png"], "absent.png: not found"),
        ([WOODCUT, "--content-mask", "tall.png"], "give a mask of the same aspect"),
        ([WOODCUT, "--content-mask", "clear.png"], "is transparent all over"),
        ([WOODCUT, "--mask-dir", "absent"], "there is no such folder"),
    ],
)
def test_contradictions_before_any_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[object],
    sentence: str,
):
    halves(tmp_path / "tall.png", (30, 40))
    with Image.open(MASK) as mask:
        Image.new("LA", mask.size, (255, 0)).save(tmp_path / "clear.png")
    asked = ["nst-batch", "run", COFFEE, *words, "-o", "x.png", *QUICK]
    monkeypatch.chdir(tmp_path)
    # In this process: so many starts of Python would take most of a minute.
    monkeypatch.setattr(sys, "argv", list(map(str, asked)))
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert sentence in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "x.png").exists()
