"""From coarse to fine, on the real network: the look does not change with the size."""

import json
from pathlib import Path

import pytest
import torch

from nst_lightning import TransferSettings, load_image
from nst_lightning.losses.gram import gram
from nst_lightning.transfer.module import build_network
from tests.integration.conftest import EXAMPLES, Nst, pixels

CONTENT = EXAMPLES / "contents" / "chelsea.jpg"
STYLE = EXAMPLES / "styles" / "brush_flow.jpg"


@torch.no_grad()
def distances(made: Path, size: int) -> dict[str, float]:
    """How far each layer's Gram matrix is from the style's at the same size, as a share of it."""
    settings = TransferSettings()
    network = build_network(settings)
    image, style = network(load_image(made)), network(load_image(STYLE, size, upscale=True))
    found = {}
    for layer in settings.active_style_layers:
        a, g = gram(style[layer], "positions"), gram(image[layer], "positions")
        found[layer] = float((g - a).norm() / a.norm())
    return found


def test_one_scale_is_the_single_scale_run(nst: Nst, tmp_path: Path):
    made = {}
    size: list[object] = ["--size", 400, "--steps", 2]
    cases: dict[str, list[object]] = {
        "one": [*size, "--scales", 1],
        "list": ["--scales", "400:2"],
        "auto": size,
    }
    for name, words in cases.items():
        run = nst("run", CONTENT, STYLE, "-o", tmp_path / f"{name}.png", *words, "--json")
        assert run.returncode == 0, run.stderr
        made[name] = pixels(tmp_path / f"{name}.png")
    assert (made["one"] == made["list"]).all()
    assert (made["one"] != made["auto"]).any()


def test_the_look_does_not_change_with_the_size(nst: Nst, tmp_path: Path):
    found = {}
    for size in (128, 384):
        out = tmp_path / f"{size}.png"
        words = ("--size", size, "--steps", 80, "--set", "upscale=true", "--json")
        run = nst("run", CONTENT, STYLE, "-o", out, *words)
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["steps"] == 80
        found[size] = distances(out, size)
    for layer, small in found[128].items():
        assert found[384][layer] == pytest.approx(small, rel=1.0), layer
