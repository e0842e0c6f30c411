"""Every metric against its formula, written again with numpy."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning.evaluation.content_metrics import (
    cfsd,
    edge_agreement,
    pool_positions,
    psnr,
    ssim,
    total_variation,
)
from nst_lightning.evaluation.style_metrics import (
    colour_histogram,
    histogram_distance,
    relative_distance,
    style_root,
    wasserstein_distance,
)
from nst_lightning.losses.moments import moments
from nst_lightning.losses.wasserstein import EPSILON


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def wasserstein(features: Tensor, style: Tensor) -> Tensor:
    """From features alone."""
    of_style = moments(style)
    return wasserstein_distance(*moments(features), *of_style, style_root(*of_style))


def test_gram_distance() -> None:
    features, style = draw(3, 5, 6, 7), draw(3, 5, 4, 9, seed=1)
    found = relative_distance(moments(features)[1], moments(style)[1])
    for i in range(3):
        f, s = features[i].flatten(1).double().numpy(), style[i].flatten(1).double().numpy()
        g, a = f @ f.T / 42, s @ s.T / 36
        wanted = math.sqrt(((g - a) ** 2).sum() / (a**2).sum())
        assert found[i] == pytest.approx(wanted, rel=1e-5)
    itself = moments(style)[1]
    assert relative_distance(itself, itself).tolist() == [0, 0, 0]
    assert relative_distance(torch.zeros_like(itself), itself).tolist() == [1, 1, 1]
    assert relative_distance(5 * moments(features)[1], 5 * itself) == pytest.approx(found), (
        "no scale"
    )


def test_wasserstein_distance_of_known_gaussians() -> None:
    """Axis-parallel ones: W₂² = |μ − μ*|² + Σ(σ − σ*)²."""
    mean, deviation = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.5, 1.0, 2.0]])
    mean_style, deviation_style = torch.tensor([[0.0, 2.5, 3.0]]), torch.tensor([[1.0, 0.25, 4.0]])

    def second(mean: Tensor, deviation: Tensor) -> Tensor:
        return torch.diag_embed(deviation.square()) + mean[:, :, None] * mean[:, None]

    of_style = (mean_style, second(mean_style, deviation_style))
    found = wasserstein_distance(mean, second(mean, deviation), *of_style, style_root(*of_style))
    wide = [(each.double().square() + EPSILON).sqrt() for each in (deviation, deviation_style)]
    squared = (mean - mean_style).square().sum() + (wide[0] - wide[1]).square().sum()
    size = mean_style.square().sum() + wide[1].square().sum()
    assert found.tolist() == pytest.approx([math.sqrt(squared / size)], rel=1e-6)


def test_wasserstein_distance_of_features() -> None:
    features, style = draw(2, 4, 6, 7), draw(2, 4, 5, 9, seed=1) * 2
    found = wasserstein(features, style)
    for i in range(2):
        f, s = (each[i].flatten(1).double().numpy() for each in (features, style))
        ridge = EPSILON * np.eye(4)
        a, b = (np.cov(each, bias=True) + ridge for each in (f, s))
        # tr (b^½ a b^½)^½ is the sum of the roots of the eigenvalues of a·b.
        overlap = np.sqrt(np.linalg.eigvals(a @ b).real).sum()
        gap = ((f.mean(1) - s.mean(1)) ** 2).sum()
        squared = gap + np.trace(a) + np.trace(b) - 2 * overlap
        wanted = math.sqrt(squared / ((s.mean(1) ** 2).sum() + np.trace(b)))
        assert found[i] == pytest.approx(wanted, rel=1e-4)
    assert wasserstein(style, style).max() < 1e-6
    zeros = wasserstein(torch.zeros_like(style), style)
    assert zeros.tolist() == pytest.approx([1, 1], abs=0.02), "but for the ridge"


def test_content_distance() -> None:
    features, content = draw(3, 4, 5, 6), draw(3, 4, 5, 6, seed=1)
    found = relative_distance(features, content)
    for i in range(3):
        f, p = features[i].double().numpy(), content[i].double().numpy()
        wanted = math.sqrt(((f - p) ** 2).sum() / (p**2).sum())
        assert found[i] == pytest.approx(wanted, rel=1e-5)
    assert relative_distance(content, content).tolist() == [0, 0, 0]
    assert relative_distance(0 * content, content).tolist() == [1, 1, 1]


def sobel(image: np.ndarray) -> np.ndarray:
    """Of (3, H, W), position by position."""
    gray = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    height, width = gray.shape
    found = np.empty((height - 2, width - 2))
    for y in range(height - 2):
        for x in range(width - 2):
            window = gray[y : y + 3, x : x + 3]
            found[y, x] = math.hypot((window * kernel).sum(), (window * kernel.T).sum())
    return found


def test_edge_agreement() -> None:
    images, contents = draw(2, 3, 9, 12), draw(2, 3, 9, 12, seed=1)
    found = edge_agreement(images, contents)
    for i in range(2):
        a, b = (sobel(each[i].double().numpy()) for each in (images, contents))
        assert found[i] == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-5)
    faint = 0.2 + 0.3 * contents
    assert edge_agreement(faint, contents).tolist() == pytest.approx([1, 1], abs=1e-5)
    flat = torch.full_like(images, 0.25)
    assert edge_agreement(flat, contents).isnan().all()
    assert edge_agreement(images[..., :2], contents[..., :2]).isnan().all()


def self_similarity(features: np.ndarray) -> np.ndarray:
    """Rows of exp(cosine/τ), each summing to 1, of (C, h, w)."""
    rows = features.reshape(len(features), -1).T
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    powers = np.exp(rows @ rows.T / 0.07)
    return powers / powers.sum(axis=1, keepdims=True)


def test_cfsd() -> None:
    features, content = draw(2, 6, 4, 5), draw(2, 6, 4, 5, seed=1)
    found = cfsd(features, content)
    for i in range(2):
        q, p = (self_similarity(each[i].double().numpy()) for each in (features, content))
        wanted = (p * np.log(p / q)).sum(axis=1).mean()
        assert found[i] == pytest.approx(wanted, rel=1e-4)
    assert cfsd(content, content).tolist() == [0, 0]
    assert cfsd(7 * features, content) == pytest.approx(found, rel=1e-4), "no scale"
    assert (cfsd(content, features) - found).abs().min() > 1e-3, "which is the content matters"


def test_cfsd_pools_large_features() -> None:
    features = draw(1, 3, 64, 48)
    small = pool_positions(features)
    assert small.shape == (1, 3, 32, 24)
    blocks = features.reshape(1, 3, 32, 2, 24, 2).mean(dim=(3, 5))
    assert torch.allclose(small, blocks, atol=1e-6)
    assert torch.equal(pool_positions(small), small)
    other = draw(1, 3, 64, 48, seed=1)
    assert torch.isfinite(cfsd(small, pool_positions(other))).all()


def test_colour_histogram() -> None:
    images = draw(2, 3, 20, 30)
    images[0, :, 0] = 1.0  # belongs to the last bin
    found = colour_histogram(images)
    for i in range(2):
        pixels = images[i].flatten(1).T.double().numpy()
        counts, _ = np.histogramdd(pixels, bins=(8, 8, 8), range=((0, 1),) * 3)
        assert np.allclose(found[i].numpy(), counts.ravel() / 600, atol=1e-7)
    wanted = [0, float((found[1] - found[0]).abs().sum()) / 2]
    assert histogram_distance(found, found[:1]).tolist() == pytest.approx(wanted)
    assert 0 < wanted[1] <= 1


def test_what_torchmetrics_has_is_given_by_image() -> None:
    a, b = draw(3, 3, 24, 20), draw(3, 3, 24, 20, seed=1)
    assert ssim(a, a).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert len(set(ssim(a, b).tolist())) == 3
    assert ssim(a[..., :10], b[..., :10]).isnan().all()
    squares = ((a - b).double().numpy() ** 2).mean(axis=(1, 2, 3))
    assert psnr(a, b).tolist() == pytest.approx((-10 * np.log10(squares)).tolist(), rel=1e-5)
    values = a.double().numpy()
    steps = np.abs(np.diff(values, axis=2)).sum((1, 2, 3))
    steps += np.abs(np.diff(values, axis=3)).sum((1, 2, 3))
    assert total_variation(a).tolist() == pytest.approx((steps / 1440).tolist(), rel=1e-5)


FEATURES = (draw(5, 4, 8, 9), draw(5, 4, 8, 9, seed=1))
IMAGES = (draw(5, 3, 12, 9), draw(5, 3, 12, 9, seed=1))
MOMENTS = (*moments(FEATURES[0]), *moments(FEATURES[1]), style_root(*moments(FEATURES[1])))


@pytest.mark.parametrize(
    ("metric", "inputs"),
    [
        (relative_distance, (MOMENTS[1], MOMENTS[3])),
        (wasserstein_distance, MOMENTS),
        (relative_distance, FEATURES),
        (cfsd, FEATURES),
        (edge_agreement, IMAGES),
        (ssim, (draw(5, 3, 12, 11), draw(5, 3, 12, 11, seed=1))),
        (histogram_distance, tuple(map(colour_histogram, IMAGES))),
    ],
)
def test_a_batch_is_its_images_one_by_one(
    metric: Callable[..., Tensor], inputs: tuple[Tensor, ...]
) -> None:
    values = metric(*inputs)
    assert values.shape == (5,)
    assert len(set(values.tolist())) == 5
    parts = [float(metric(*(each[i : i + 1] for each in inputs))) for i in range(5)]
    assert parts == pytest.approx(values.tolist(), rel=1e-5)
    assert torch.equal(metric(*inputs), values)
    first = metric(*(each[:2] for each in inputs))
    assert first.tolist() == pytest.approx(values[:2].tolist(), rel=1e-5)
