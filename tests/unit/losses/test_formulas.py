"""Each loss against its published formula, written out literally."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning.losses.content import ContentLoss
from nst_lightning.losses.gram import GramLoss, gram
from nst_lightning.losses.total_variation import TotalVariationLoss

GENERATOR = torch.Generator().manual_seed(5)


def features(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["mse", "paper", "type0", "type1", "type2", "relative"])
def test_content(kind: str):
    f, p = features(2, 5, 3, 4), features(2, 5, 3, 4)
    pixels, channels = 12 * 16, 5
    expected = []
    for b in range(2):
        s = 0.0
        for value, wanted in zip(f[b].flatten().tolist(), p[b].flatten().tolist(), strict=True):
            s += (value - wanted) ** 2
        expected.append(
            {
                "mse": s / (5 * 3 * 4),
                "paper": 0.5 * s,
                "type0": s,
                "type1": s / (2 * math.sqrt(channels) * math.sqrt(pixels)),
                "type2": s / (channels * pixels),
                "relative": s / sum(value**2 for value in p[b].flatten().tolist()),
            }[kind]
        )
    assert ContentLoss(p, kind, pixels)(f).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["tutorial", "positions", "paper", "jcjohnson", "titu1994"])
@pytest.mark.parametrize("style_shape", [(3, 4), (6, 5)])
def test_gram(name: str, style_shape: tuple[int, int]):
    f, a = features(2, 4, 3, 4), features(1, 4, *style_shape)
    n, m, m_style = 4, 12, style_shape[0] * style_shape[1]
    wanted = a[0].reshape(n, -1).numpy()
    wanted = wanted @ wanted.T
    expected = []
    for b in range(2):
        rows = f[b].reshape(n, -1).numpy()
        g = rows @ rows.T
        if name == "paper":  # Σ(G−A)²/(4N²M²), with each Gram over its own number of positions
            expected.append(((g / m - wanted / m_style) ** 2).sum() / (4 * n**2))
        elif name == "positions":
            expected.append(np.mean((g / m - wanted / m_style) ** 2))
        elif name == "titu1994":  # Σ(A−G)²/(4·3²·(W·H)²), W·H = 77 pixels of the image
            expected.append(((g - wanted) ** 2).sum() / (4 * 3**2 * 77**2))
        else:
            expected.append(np.mean((g / (n * m) - wanted / (n * m_style)) ** 2))
    loss = GramLoss(gram(a, name), normalisation=name, pixels=77)(f)
    assert loss.tolist() == pytest.approx(expected, rel=1e-12)


def test_gram_is_summed_in_float32_under_autocast_and_in_half():
    f = features(1, 8, 30, 30).float() * 100
    exact = gram(f.double(), "positions")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(gram(f, "positions").double(), exact, rtol=1e-4, atol=1e-2)
    half = gram(f.half(), "tutorial")  # the sums exceed float16's 65504
    assert half.dtype == torch.float32
    assert half.isfinite().all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gram_does_not_mind_the_memory_layout(layout: torch.memory_format):
    f = features(2, 6, 5, 7)
    assert torch.allclose(gram(f.to(memory_format=layout), "paper"), gram(f, "paper"))


@pytest.mark.parametrize("kind", ["anisotropic", "squared", "titu1994"])
@pytest.mark.parametrize("pixel_range", [1, 255])
def test_total_variation(kind: str, pixel_range: int):
    image = features(2, 3, 4, 5)
    expected = []
    for each in (image * pixel_range).numpy():
        total = 0.0
        for c in range(3):
            for i in range(4):
                for j in range(5):
                    dx = each[c, i, j + 1] - each[c, i, j] if j < 4 else None
                    dy = each[c, i + 1, j] - each[c, i, j] if i < 3 else None
                    if kind == "titu1994":
                        if dx is not None and dy is not None:
                            total += (dx**2 + dy**2) ** 1.25
                    else:
                        power = 1 if kind == "anisotropic" else 2
                        total += sum(abs(d) ** power for d in (dx, dy) if d is not None)
        expected.append(total)
    loss = TotalVariationLoss(kind, pixel_range, mean=False)(image)
    assert loss.tolist() == pytest.approx(expected, rel=1e-12)
    mean = TotalVariationLoss(kind, pixel_range, mean=True)(image)
    assert mean.tolist() == pytest.approx([e / 60 for e in expected], rel=1e-12)


def test_nine_points():
    """crowsonkb's: means of squares over a border that is repeated, to four of the neighbours."""
    image = features(2, 3, 4, 5)
    expected = []
    for each in image.numpy():
        p = np.pad(each, ((0, 0), (1, 1), (1, 1)), mode="edge")
        middle = p[:, 1:-1, 1:-1]
        means = [np.mean((p[:, 1 + y :, 1 + x :][:, :4, :5] - middle) ** 2)
                 for y, x in ((0, 1), (1, 0), (1, 1))]  # fmt: skip
        rising = np.mean((p[:, :-2, 2:] - middle) ** 2)
        expected.append(2 * (means[0] / 3 + means[1] / 3 + means[2] / 12 + rising / 12))
    loss = TotalVariationLoss("nine-point", 1, mean=True)(image)
    assert loss.tolist() == pytest.approx(expected, rel=1e-12)


def test_total_variation_of_a_flat_image_has_a_finite_gradient():
    image = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    TotalVariationLoss("titu1994", 255, mean=False)(image).sum().backward()
    assert image.grad is not None
    assert torch.equal(image.grad, torch.zeros_like(image))
