"""`stylize` beside `nst-batch run`: the same pixels from the same files."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli import main
from nst_lightning import stylize
from tests.integration.conftest import EXAMPLES, pixels

QUICK: dict[str, Any] = {
    "weights": "random",
    "content_layers": "relu2_1",
    "style_layers": "relu1_1,relu2_1",
    "precision": "32-true",
    "accelerator": "cpu",
}
SMALL: dict[str, Any] = {"size": 48, "steps": 4, **QUICK}
NOISY = {**SMALL, "init": "noise"}
STYLES = EXAMPLES / "styles"
BRUSH, WOODCUT = STYLES / "brush_flow.jpg", STYLES / "woodcut.jpg"
CONTENT = EXAMPLES / "contents" / "coffee.jpg"
MASK = EXAMPLES / "contents" / "coffee.mask.png"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph in part transparent, small ones of another aspect, and a mask for a style."""
    folder = tmp_path_factory.mktemp("files")
    with Image.open(CONTENT) as image:
        image.resize((96, 72)).save(folder / "small.png")
        clear = image.resize((80, 60))
    clear.putalpha(Image.linear_gradient("L").resize((80, 60)))
    clear.save(folder / "clear.png")
    halves = Image.new("L", (64, 50), 0)
    halves.paste(255, (32, 0, 64, 50))
    halves.save(folder / "halves.png")
    return folder


def options(settings: Mapping[str, Any]) -> list[str]:
    """Settings as `nst-batch` is told them."""
    return [f"--set={name}={value}" for name, value in settings.items()]


def run(out: Path, monkeypatch: pytest.MonkeyPatch, *words: object, **settings: Any) -> np.ndarray:
    """The pixels that `nst-batch run` writes, in this process."""
    asked = ["nst-batch", "run", *map(str, words), *options(settings)]
    monkeypatch.setattr(sys, "argv", [*asked, "-o", str(out / "x.png"), "--quiet"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    return pixels(out / "x.png")


@pytest.mark.parametrize(
    "settings",
    [
        {"scales": "24:3,48:3"},
        {**SMALL, "size": "original", "scales": 2},
        {**NOISY, "seed": 3},
        {**SMALL, "preserve_color": "luminance", "optimizer": "adam"},
        {"preserve_color": "match-linear", "weighting": "start", "scales": "24:2,48:2"},
        {**SMALL, "finish": "detail", "size": 40},
        {**SMALL, "style_scale": "0.5,1", "style_loss": "mean-variance", "dither": True},
        {**SMALL, "init": str(WOODCUT), "average": 0.9, "tv_weight": 1e-3},
        {**SMALL, "precision": "64-true", "style_fit": "content"},
    ],
    ids=[
        "scales",
        "original",
        "noise",
        "luminance",
        "match-linear",
        "detail",
        "strokes",
        "start",
        "double",
    ],
)
def test_the_same_files_and_settings_are_the_same_pixels(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
):
    content = files / "small.png"
    settings = {**QUICK, **settings}
    theirs = run(tmp_path, monkeypatch, content, BRUSH, **settings)
    ours = stylize(content, BRUSH, **settings)
    assert np.array_equal(np.asarray(ours), theirs)
    assert ours.mode == "RGB"
    with Image.open(tmp_path / "x.png") as image:
        assert ours.info["icc_profile"] == image.info["icc_profile"]


@pytest.mark.parametrize(
    "settings", [SMALL, {**NOISY, "finish": "detail"}], ids=["plain", "detail"]
)
def test_transparency_stays(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
):
    theirs = run(tmp_path, monkeypatch, files / "clear.png", WOODCUT, **settings)
    ours = stylize(files / "clear.png", WOODCUT, **settings)
    assert ours.mode == "RGBA"
    assert np.array_equal(np.asarray(ours), theirs)
    values = stylize(files / "clear.png", WOODCUT, output="tensor", **settings)
    levels = (values * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(levels, theirs)


def test_blends_and_regions(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = files / "small.png"
    blend = ("--blend", f"{BRUSH}=3", "--blend", f"{WOODCUT}=1")
    theirs = run(tmp_path, monkeypatch, content, *blend, **NOISY)
    shares = {str(BRUSH): 0.75, str(WOODCUT): 0.25}
    ours = stylize(content, shares, **NOISY)
    assert np.array_equal(np.asarray(ours), theirs)
    listed = stylize(content, [(BRUSH, 3), (WOODCUT, 1)], **NOISY)
    assert np.array_equal(np.asarray(listed), theirs)

    masked = ("--content-mask", MASK, "--style-mask", files / "halves.png", "--overwrite")
    theirs = run(tmp_path, monkeypatch, CONTENT, WOODCUT, *masked, **NOISY)
    masks: dict[str, Any] = {"content_mask": MASK, "style_mask": files / "halves.png"}
    ours = stylize(CONTENT, WOODCUT, **masks, **NOISY)
    assert np.array_equal(np.asarray(ours), theirs)
    with Image.open(files / "halves.png") as image:
        in_memory = stylize(CONTENT, WOODCUT, **{**masks, "style_mask": image}, **NOISY)
    assert np.array_equal(np.asarray(in_memory), theirs)

    named = ("--region", f"white={WOODCUT}", "--region", f"0={BRUSH}", "--overwrite")
    theirs = run(tmp_path, monkeypatch, CONTENT, *named, "--content-mask", MASK, **NOISY)
    regions = {"#ffffff": WOODCUT, "black": BRUSH}
    ours = stylize(CONTENT, regions=regions, content_mask=MASK, **NOISY)
    assert np.array_equal(np.asarray(ours), theirs)
    whole = stylize(CONTENT, WOODCUT, **NOISY)
    assert not np.array_equal(np.asarray(whole), theirs)


def test_a_preset_over_which_settings_win(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    content, style = files / "small.png", files / "clear.png"
    quick: dict[str, Any] = {"size": 32, "steps": 3, "weights": "random", "accelerator": "cpu"}
    theirs = run(tmp_path, monkeypatch, content, style, "--preset", "seed-001", **quick)
    ours = stylize(content, style, preset="seed-001", **quick)
    assert np.array_equal(np.asarray(ours), theirs)
