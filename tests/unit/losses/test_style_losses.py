"""The style losses against independent formulas, in NumPy and with loops."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning.losses.content import ContentLoss
from nst_lightning.losses.gram import GramLoss, gram
from nst_lightning.losses.layer_loss import LayerLoss
from nst_lightning.losses.mean_variance import EPSILON as VARIANCE_EPSILON
from nst_lightning.losses.normalized_gradient import NormalizedGradient
from nst_lightning.losses.patches import PatchLoss
from nst_lightning.losses.patches import describe as patches
from nst_lightning.losses.regions import RegionalLoss
from nst_lightning.losses.sliced_wasserstein import directions
from nst_lightning.losses.style import style_kind
from nst_lightning.losses.style_kind import StyleKind
from nst_lightning.losses.wasserstein import EPSILON, symmetric_root, wasserstein2
from nst_lightning.settings import TransferSettings
from nst_lightning.settings.transfer import StyleLossName

NAMES = get_args(StyleLossName)


def features(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def kind(name: str) -> StyleKind:
    layers = "relu3_1" if name == "patches" else "relu1_1"
    return style_kind(TransferSettings(style_loss=name, style_layers=layers), pixels=77)


def test_a_loss_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch):
    module = ModuleType("nst_lightning.losses.another_one")
    made = kind("gram")
    monkeypatch.setattr(module, "make_style_kind", lambda settings, pixels: made, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings = TransferSettings().model_copy(update={"style_loss": "another-one"})
    assert style_kind(settings, 77) is made


def matrix(x: Tensor) -> np.ndarray:
    return x.reshape(x.shape[0], -1).numpy()


def root_of(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def mean_variance(a: np.ndarray, b: np.ndarray) -> float:
    deviations = [np.sqrt(x.var(axis=1) + VARIANCE_EPSILON) for x in (a, b)]
    return float(
        np.mean((a.mean(axis=1) - b.mean(axis=1)) ** 2)
        + np.mean((deviations[0] - deviations[1]) ** 2)
    )


def gaussian(a: np.ndarray, b: np.ndarray) -> float:
    eye = EPSILON * np.eye(len(a))
    s, t = np.cov(a, bias=True) + eye, np.cov(b, bias=True) + eye
    between = root_of(root_of(t) @ s @ root_of(t))
    return float(
        np.mean((a.mean(axis=1) - b.mean(axis=1)) ** 2) + np.mean(np.diag(s + t - 2 * between))
    )


def sliced(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for direction in directions(len(a)).numpy():
        p, q = np.sort(direction @ a), np.sort(direction @ b)
        total += float(np.mean((p - q) ** 2))
    return total / len(a)


def gram_moments(a: np.ndarray, b: np.ndarray) -> float:
    n = len(a)
    grams = [x @ x.T / x.shape[1] for x in (a, b)]
    return float(np.sum((grams[0] - grams[1]) ** 2) / n**2) + 10 * n**2 * mean_variance(a, b)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("mean-variance", mean_variance),
        ("gram-moments", gram_moments),
        ("wasserstein", gaussian),
        ("sliced-wasserstein", sliced),
    ],
)
def test_it_is_the_formula(name: str, formula: Callable[[np.ndarray, np.ndarray], float]):
    f, a = features(1, 2, 5, 6, 7), features(2, 2, 5, 7, 6) * 1.7 + 0.4
    loss = kind(name).loss(kind(name).describe(a, None))
    expected = [formula(matrix(f[b]), matrix(a[b])) for b in range(2)]
    assert loss(f).tolist() == pytest.approx(expected, rel=1e-9)
    assert min(expected) > 0.01


def test_wasserstein_of_known_gaussians():
    """Independent variables: |Δμ|² + Σ(σ − σ*)², and all of it turned changes nothing."""
    mean, other = (
        torch.tensor([[1.0, -2.0, 0.5]]).double(),
        torch.tensor([[0.0, 1.0, 0.5]]).double(),
    )
    deviations, others = torch.tensor([2.0, 0.5, 3.0]), torch.tensor([1.0, 4.0, 0.0])
    turn = torch.linalg.qr(features(3, 3, 3))[0]
    covariances = [turn @ torch.diag(d.double() ** 2) @ turn.T for d in (deviations, others)]
    found = wasserstein2(mean, covariances[0][None], other, symmetric_root(covariances[1][None]))
    assert found[0].item() == pytest.approx(1 + 9)
    # A variance of 0 is next to 0 by rounding, and its root is not as near.
    assert found[1].item() == pytest.approx(1 + 3.5**2 + 9, rel=1e-6)


def test_patches_are_the_most_similar_ones():
    f, a = features(4, 1, 3, 5, 4), features(5, 1, 3, 4, 6)
    wanted = [a[0, :, y : y + 3, x : x + 3].reshape(-1).numpy() for y in range(2) for x in range(4)]
    expected = []
    for y in range(3):
        for x in range(2):
            mine = f[0, :, y : y + 3, x : x + 3].reshape(-1).numpy()
            best = max(wanted, key=lambda p: mine @ p / np.linalg.norm(p) / np.linalg.norm(mine))
            expected.append(np.mean((mine - best) ** 2))
    assert PatchLoss(patches(a))(f).item() == pytest.approx(np.mean(expected), rel=1e-12)


def test_of_many_patches_evenly_spaced_ones_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nst_lightning.losses.patches.MOST", 5)
    a = features(6, 1, 2, 5, 5)
    everything = torch.nn.functional.unfold(a, 3)[0].T
    assert torch.equal(patches(a)[0], everything[[0, 2, 4, 6, 8]])


def test_similarities_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch):
    f, a = features(39, 2, 3, 6, 7), features(40, 1, 3, 5, 5)
    patched = PatchLoss(patches(a))
    whole = patched(f)
    monkeypatch.setattr("nst_lightning.losses.patches.LARGEST", 2 * 9 * 3)  # 3 of 20 positions
    assert torch.allclose(patched(f), whole, rtol=1e-12)


def test_a_patch_as_large_as_the_features_leaves_them_as_they_are():
    f = features(41, 1, 3, 3, 3)
    before = f.clone()
    PatchLoss(patches(features(42, 1, 3, 4, 4))).evaluate(f)
    assert torch.equal(f, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_style_is_at_no_distance_from_itself(name: str):
    f = features(7, 2, 4, 6, 5)
    loss = kind(name).loss(kind(name).describe(f[:1], None))
    assert loss(f)[0].item() == pytest.approx(0, abs=1e-9)
    assert loss(f)[1].item() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_of_ones_is_no_guide(name: str):
    f, a = features(8, 2, 4, 6, 5), features(9, 1, 4, 5, 7)
    which = kind(name)
    plain = which.loss(which.describe(a, None))
    described = which.describe(a, torch.ones(1, 1, 5, 7, dtype=torch.float64))
    expected = plain(f).tolist()
    assert which.loss(described)(f).tolist() == pytest.approx(expected, rel=1e-9)
    ones = torch.ones(2, 1, 6, 5, dtype=torch.float64)
    guided = which.loss(described, ones)
    assert guided(f).tolist() == pytest.approx(expected, rel=1e-9)
    assert RegionalLoss([guided], ones)(f).tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["gram", "mean-variance", "gram-moments", "wasserstein"])
def test_a_guide_leaves_only_its_region(name: str):
    """Statistics over the left half are those of an image that is the left half."""
    f, a = features(10, 1, 4, 6, 8), features(11, 1, 4, 6, 8)
    guide = torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    guide[..., :4] = 0.3  # how much it is does not matter where it is the same everywhere
    which = kind(name)
    half = which.loss(which.describe(a[..., :4], None))(f[..., :4])
    described = which.describe(a, guide)
    guided = which.loss(described, guide)(f)
    assert guided.tolist() == pytest.approx(half.tolist(), rel=1e-9)
    assert guided.tolist() != pytest.approx(which.loss(described)(f).tolist(), rel=1e-2)


def test_weighted_quantiles():
    """A guide that counts some positions twice is as if they were there twice."""
    f, a = features(12, 1, 2, 1, 600), features(13, 1, 2, 1, 900)
    guide = 1 + (f[:, :1] > 0).double()
    twice = torch.repeat_interleave(f, guide.flatten().long(), dim=3)
    which = kind("sliced-wasserstein")
    wanted = which.describe(a, None)
    loss, guided = which.loss(wanted), which.loss(wanted, guide)
    assert guided(f).item() == pytest.approx(loss(twice).item(), rel=0.02)
    assert loss(f).item() < 0.5 * loss(twice).item()
    wanted = which.describe(twice, None)
    assert which.loss(which.describe(f, guide))(twice).item() == pytest.approx(0, abs=1e-3)
    assert which.loss(wanted, guide)(f).item() == pytest.approx(0, abs=1e-3)


def test_patches_come_from_their_region():
    f, a = features(14, 1, 3, 6, 6), features(15, 1, 3, 6, 9)
    guide = torch.zeros(1, 1, 6, 9, dtype=torch.float64)
    guide[..., :5] = 1
    inside = patches(a, guide)
    assert torch.equal(inside, patches(a[..., :6]))  # those whose middle is in the region
    assert PatchLoss(inside)(f).item() != pytest.approx(PatchLoss(patches(a))(f).item())


@pytest.mark.parametrize("name", NAMES)
def test_a_blend_of_one_and_nothing_is_the_one(name: str):
    a, b = features(16, 1, 4, 6, 5), features(17, 1, 4, 7, 7)
    which = kind(name)
    first, second = which.describe(a, None), which.describe(b, None)
    alone = which.loss(which.blend([first], [1.0]))
    f = features(18, 1, 4, 6, 5)
    assert alone(f).item() == which.loss(first)(f).item()
    halves = which.loss(which.blend([first, second], [0.5, 0.5]))
    assert halves(f).item() != pytest.approx(alone(f).item(), rel=1e-3)
    twins = which.loss(which.blend([first, first], [0.3, 0.7]))
    assert twins(f).item() == pytest.approx(alone(f).item(), rel=1e-9)


def test_blended_moments_are_those_of_the_mixture():
    """Three positions of one style for each of the other: shares of 3/4 and 1/4."""
    a, b = features(19, 1, 4, 3, 4), features(20, 1, 4, 2, 2)
    both = torch.cat([a.flatten(2), b.flatten(2)], dim=2)[..., None]
    f = features(21, 1, 4, 5, 5)
    for name in ("gram", "mean-variance", "gram-moments", "wasserstein"):
        which = kind(name)
        described = [which.describe(one, None) for one in (a, b)]
        blended = which.loss(which.blend(described, [0.75, 0.25]))
        expected = which.loss(which.describe(both, None))
        assert blended(f).item() == pytest.approx(expected(f).item(), rel=1e-9)


def test_gram_targets_are_blended():
    a, b, f = features(22, 1, 3, 4, 4), features(23, 1, 3, 5, 5), features(24, 1, 3, 4, 6)
    which = kind("gram")
    described = [which.describe(one, None) for one in (a, b)]
    mixed = 0.7 * gram(a, "positions") + 0.3 * gram(b, "positions")
    expected = GramLoss(mixed, normalisation="positions", pixels=77)(f)
    assert torch.allclose(which.loss(which.blend(described, [0.7, 0.3]))(f), expected, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_styles_of_different_sizes_stand_in_one_batch(name: str):
    a, b, f = features(25, 1, 4, 6, 5), features(26, 1, 4, 7, 9), features(27, 2, 4, 6, 5)
    which = kind(name)
    described = [which.describe(one, None) for one in (a, b)]
    together = which.loss(torch.cat(which.match_shapes(described)))(f)
    for i, one in enumerate(described):
        # Quantiles of fewer positions are interpolated, all the rest stays as it was.
        tolerance = 0.1 if name == "sliced-wasserstein" else 1e-9
        alone = which.loss(one)(f[i : i + 1]).item()
        assert together[i].item() == pytest.approx(alone, rel=tolerance)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_images_alone(name: str, guided: bool):
    f, a = features(43, 3, 4, 6, 5), features(44, 3, 4, 7, 6) * 2
    guide = features(45, 3, 1, 6, 5).sigmoid() if guided else None
    which = kind(name)
    value, slope = which.loss(which.describe(a, None), guide).evaluate(f)
    for b in range(3):
        one = slice(b, b + 1)
        loss = which.loss(which.describe(a[one], None), None if guide is None else guide[one])
        alone, its_slope = loss.evaluate(f[one])
        assert torch.allclose(value[one], alone, rtol=1e-9)
        assert torch.allclose(slope[one], its_slope, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("name", [*NAMES, "regions", "content", "normalized"])
def test_its_own_gradient_is_autograds(name: str, guided: bool):
    f, a = features(33, 2, 4, 6, 5), features(34, 1, 4, 7, 6) * 2
    f = f.contiguous(memory_format=torch.channels_last)
    guide = features(35, 2, 1, 6, 5).sigmoid() if guided else None
    which = kind(name if name in NAMES else "wasserstein")
    described = which.describe(a, None)
    loss: LayerLoss = which.loss(described, guide)
    if name == "regions":
        guides = features(36, 2, 2, 6, 5).sigmoid()
        loss = RegionalLoss([which.loss(described, one) for one in guides.split(1, 1)], guides)
    elif name == "content":
        loss = ContentLoss(features(37, 2, 4, 6, 5), "paper", 77)
    leaf = f.clone().requires_grad_(True)
    value = loss(leaf)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    if name == "normalized":
        loss = NormalizedGradient(loss)
        slope = slope / slope.abs().sum(dim=(1, 2, 3), keepdim=True)
    weight = torch.tensor([0.5, 3.0]).double()
    before = features(38, 2, 4, 6, 5).contiguous(memory_format=torch.channels_last)
    gradient = before.clone()
    found, kept = loss.evaluate(f)
    loss.accumulate_gradient(f, kept, weight, gradient)
    assert not found.requires_grad
    assert found.tolist() == pytest.approx(value.tolist(), rel=1e-9)
    own = (gradient - before) / weight[:, None, None, None]
    assert torch.allclose(own, slope, rtol=1e-6, atol=1e-7 * float(slope.abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_slope(name: str):
    f, a = features(28, 1, 4, 6, 5), features(29, 1, 4, 5, 5) * 2
    which = kind(name)
    loss = which.loss(which.describe(a, None))
    leaf = f.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(loss(leaf).sum(), leaf)
    way = features(30, 1, 4, 6, 5)
    h = 1e-6
    measured = (loss(f + h * way) - loss(f - h * way)).item() / (2 * h)
    assert (slope * way).sum().item() == pytest.approx(measured, rel=1e-5)


def test_regions_count_by_their_area():
    f, a = features(31, 1, 4, 6, 8), features(32, 1, 4, 6, 8)
    guides = torch.zeros(1, 2, 6, 8, dtype=torch.float64)
    guides[:, 0, :, :2], guides[:, 1, :, 2:] = 1, 1
    which = kind("gram")
    each = guides.split(1, dim=1)
    losses = [which.loss(which.describe(a, guide), guide) for guide in each]
    expected = 0.25 * losses[0](f) + 0.75 * losses[1](f)
    assert RegionalLoss(losses, guides)(f).item() == pytest.approx(expected.item(), rel=1e-12)
