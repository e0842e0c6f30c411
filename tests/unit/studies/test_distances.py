"""Distances between images, against formulas written here."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source
from nst_lightning.report.figure import compose
from nst_lightning.report.panels import Panel, Row
from nst_lightning.store.records import Record
from nst_lightning.studies import compare, single_report
from nst_lightning.studies.compare import choose_milestones
from nst_lightning.studies.distances import colour_distance, grain, psnr, rms, ssim
from nst_lightning.studies.results import Result


def test_psnr_and_rms():
    a = torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(0)) * 0.5
    b = a + 0.1
    assert rms(a, b) == pytest.approx(0.1, rel=1e-5)
    assert psnr(a, b) == pytest.approx(20.0, abs=1e-3)  # 10·log10(1/0.1²)
    assert psnr(a, a) == math.inf


def test_ssim():
    a = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert ssim(a, a) == pytest.approx(1.0, abs=1e-5)
    assert ssim(a, 1 - a) < 0
    assert math.isnan(ssim(a[..., :8, :8], a[..., :8, :8]))


def test_colour_distance():
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    half = red.clone()
    half[:, :, :2] = 0  # the upper half black, of another size below
    assert colour_distance(red, red[..., :2]) == 0
    assert colour_distance(red, 1 - red) == 1
    assert colour_distance(red, half) == pytest.approx(0.5)


def test_grain():
    white = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    assert grain(white) == pytest.approx(0.5, abs=0.05)
    for size in (4, 8):
        blocks = white[..., : 64 // size, : 64 // size]
        blocks = blocks.repeat_interleave(size, dim=2).repeat_interleave(size, dim=3)
        # The correlation of blocks falls in a straight line to 0 over their size.
        assert grain(blocks) == pytest.approx(size / 2, rel=0.15)
        # Shifted by hand, whole pixels only.
        flat = blocks - blocks.mean(dim=(2, 3), keepdim=True)
        shifted = torch.roll(flat, size // 2, dims=3)
        across = float((flat * shifted).sum() / flat.square().sum())
        assert across == pytest.approx(0.5, abs=0.08)
    assert math.isnan(grain(torch.full((1, 3, 16, 16), 0.3)))


def test_milestones():
    assert choose_milestones(1) == [1]
    assert choose_milestones(30) == [1, 2, 5, 10, 20, 30]
    assert choose_milestones(100) == [1, 2, 5, 10, 20, 50, 100]


def test_images_are_opened_up_to_the_limit_of_their_run(tmp_path: Path):
    """The default limit was asked for before, whatever the run was told."""
    Image.new("RGB", (12, 10)).save(tmp_path / "a.png")
    source = Source(tmp_path / "a.png", "a", (10, 12))
    pair = Pair(source, source, "a/a.png")
    allowed, refused = (
        Result({"case": "one"}, pair, tmp_path / "a.png", Record(output="a/a.png"), limit)
        for limit in (120, 119)
    )
    assert compare.measure(allowed)["psnr_content"] == math.inf
    assert single_report.measure("texture", replace(allowed, labels=LABELS))["grain"]
    with pytest.raises(UserError, match="pixels"):
        compare.measure(refused)
    with pytest.raises(UserError, match="pixels"):
        single_report.measure("texture", replace(refused, labels=LABELS))
    rows = [Row("", [Panel(tmp_path / "a.png")])]
    drawn = [compose(rows, max_pixels=limit).getpixel((75, 30)) for limit in (120, 119)]
    assert drawn[0] == (0, 0, 0)
    assert drawn[1] != (0, 0, 0)


LABELS = {"layers": "conv_1", "seed": "0"}
