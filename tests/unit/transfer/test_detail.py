"""Detail: against the formula written anew with numpy, and what it is for."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nst_lightning.imaging.reading import load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.transfer.detail import RADIUS, RIDGE, add_detail, slope
from nst_lightning.transfer.keep_colours import luma

EXAMPLES = Path(__file__).parents[3] / "examples"


def enlarged(image: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(image, like.shape[-2:], mode="bicubic").clamp(0, 1)


def rms(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).square().mean().sqrt())


def test_the_slope_is_that_of_a_regression_in_each_window():
    g = torch.Generator().manual_seed(0)
    guide, image = torch.rand(1, 1, 14, 17, generator=g), torch.rand(1, 2, 14, 17, generator=g)
    found = slope(guide, image)
    for y, x in ((0, 0), (7, 8), (13, 3), (5, 16)):
        rows = slice(max(0, y - RADIUS), y + RADIUS + 1)
        columns = slice(max(0, x - RADIUS), x + RADIUS + 1)
        at = guide[0, 0, rows, columns].double().numpy().ravel()
        for channel in (0, 1):
            values = image[0, channel, rows, columns].double().numpy().ravel()
            expected = np.cov(at, values, bias=True)[0, 1] / (at.var() + RIDGE)
            assert float(found[0, channel, y, x]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["chelsea", "astronaut"])
def test_a_image_that_follows_the_content_gets_its_detail(name: str):
    content = load_image(EXAMPLES / "contents" / f"{name}.jpg")
    height, width = content.shape[-2:]
    small = resize(content, height // 3, width // 3)
    made = add_detail(small, content)
    assert made.shape == content.shape
    assert rms(luma(made), luma(content)) < 0.55 * rms(
        luma(enlarged(small, content)), luma(content)
    )
    # Half as contrasty an image gets half of the detail: no rims that it does not have itself.
    flat = 0.25 + small / 2
    target = 0.25 + content / 2
    assert rms(luma(add_detail(flat, content)), luma(target)) < 0.7 * rms(
        luma(enlarged(flat, target)), luma(target)
    )


def test_a_content_without_detail_adds_none():
    g = torch.Generator().manual_seed(0)
    painting = torch.rand(1, 3, 20, 24, generator=g)
    content = torch.full((1, 3, 60, 72), 0.4)
    assert add_detail(painting, content) == pytest.approx(enlarged(painting, content), abs=1e-5)


def test_the_contents_colours_can_be_kept():
    content = load_image(EXAMPLES / "contents" / "coffee.jpg")
    gray = luma(resize(content, 60, 80))
    made = add_detail(gray, content, keep_colours=True)
    free = add_detail(gray, content)
    assert rms(luma(made), luma(free)) < 1e-3
    ratio = (made - luma(made)).flatten(2), (content - luma(content)).flatten(2)
    across = torch.cosine_similarity(*ratio, dim=1)
    assert float((across > 0.99).float().mean()) > 0.95  # the hue of every pixel, nearly
