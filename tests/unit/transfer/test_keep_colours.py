"""Keeping colours, against NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning.settings.transfer import ColorVariant, PreserveColor
from nst_lightning.transfer.keep_colours import (
    LUMA,
    colour_statistics,
    content_colours,
    match_histogram,
    match_linear,
    match_luma,
    style_colours,
    with_luma,
)


def image(seed: int, height: int, width: int, spread: float = 0.08) -> Tensor:
    """Correlated colours around the middle, so that nothing is cut off."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(3, 3, generator=generator)
    noise = torch.randn(3, height * width, generator=generator, dtype=torch.float64)
    colours = 0.5 + spread * (mix / mix.norm(dim=1, keepdim=True)).double() @ noise
    return colours.clamp(0, 1).float().reshape(3, height, width)


def pixels(image: Tensor) -> np.ndarray:
    return image.flatten(1).double().numpy()


@pytest.mark.parametrize("variant", ["cholesky", "pca", "symmetric"])
def test_linear_matching_gives_mean_and_covariance(variant: ColorVariant):
    source, target = image(1, 40, 30), image(2, 25, 50)
    matched = pixels(match_linear(source, target, variant))
    assert matched.mean(axis=1) == pytest.approx(pixels(target).mean(axis=1), abs=1e-3)
    assert np.cov(matched, bias=True) == pytest.approx(np.cov(pixels(target), bias=True), abs=2e-4)


def test_the_linear_variants_are_the_maps_of_their_names():
    source, target = image(1, 40, 30), image(2, 25, 50)
    maps = {}
    x = pixels(source) - pixels(source).mean(axis=1, keepdims=True)
    for variant in ("cholesky", "pca", "symmetric"):
        y = pixels(match_linear(source, target, variant))
        y = y - y.mean(axis=1, keepdims=True)
        maps[variant] = y @ np.linalg.pinv(x)
    assert np.triu(maps["cholesky"], 1) == pytest.approx(np.zeros((3, 3)), abs=1e-3)
    assert maps["symmetric"] == pytest.approx(maps["symmetric"].T, abs=1e-3)
    assert not np.allclose(maps["pca"], maps["pca"].T, atol=1e-2)

    def moved(matrix: np.ndarray) -> float:
        return float(((matrix @ x - x) ** 2).mean())

    assert moved(maps["symmetric"]) <= min(moved(maps["pca"]), moved(maps["cholesky"])) + 1e-6


@pytest.mark.parametrize("variant", ["cholesky", "pca", "symmetric"])
def test_images_of_one_colour_are_matched_too(variant: ColorVariant):
    flat = torch.full((3, 8, 8), 0.25)
    assert match_linear(flat, image(1, 9, 9), variant).isfinite().all()
    assert match_linear(image(1, 9, 9), flat, variant).mean() == pytest.approx(0.25, abs=1e-3)


def test_histogram_matching_gives_the_distribution():
    source, target = image(3, 40, 25), image(4, 50, 60, spread=0.15)
    matched = pixels(match_histogram(source, target))
    shares = (np.arange(1000) + 0.5) / 1000
    for channel in range(3):
        wanted = np.quantile(pixels(target)[channel], shares, method="hazen")
        assert np.sort(matched[channel]) == pytest.approx(wanted, abs=1e-6)
        order = np.argsort(pixels(source)[channel])
        assert (np.diff(matched[channel][order]) >= 0).all()


def test_equal_values_stay_equal():
    source = torch.tensor([0.2, 0.8, 0.2, 0.2]).expand(3, 1, 4)
    matched = match_histogram(source, image(4, 20, 20))
    assert (matched[:, 0, 0] == matched[:, 0, 2]).all()
    assert (matched[:, 0, 1] > matched[:, 0, 0]).all()


def test_equal_values_have_the_middle_of_their_ranks():
    """Levels of a file, of which most occur more than once."""
    source, target = ((one * 31).round() / 31 for one in (image(3, 40, 25), image(4, 50, 60)))
    matched = pixels(match_histogram(source, target))
    for channel in range(3):
        _, where, counts = np.unique(
            pixels(source)[channel], return_inverse=True, return_counts=True
        )
        middle = (counts.cumsum() - counts / 2) / 1000
        quantiles = np.quantile(pixels(target)[channel], middle, method="hazen")
        assert matched[channel] == pytest.approx(quantiles[where], abs=1e-6)


def test_luma_takes_mean_and_deviation():
    matched = match_luma(image(1, 30, 30), image(2, 20, 40, spread=0.05))
    wanted = np.array(LUMA) @ pixels(image(2, 20, 40, spread=0.05))
    assert (matched[0] == matched[1]).all()
    assert float(matched.mean()) == pytest.approx(wanted.mean(), abs=1e-4)
    assert float(matched[0].std(correction=0)) == pytest.approx(wanted.std(), abs=1e-3)


def test_luma_is_kept_to_within_rounding_and_the_hue_stays():
    colours = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    gray = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    made = with_luma(colours, gray)
    weights = torch.tensor(LUMA).view(3, 1, 1)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    luma_made, luma_gray = ((p * weights).sum(1) for p in (made, gray))
    assert luma_made.sub(luma_gray).abs().max() < 1e-5
    chroma, wanted = (p - (p * weights).sum(1, keepdim=True) for p in (made, colours))
    cosine = torch.cosine_similarity(chroma, wanted, dim=1)
    assert cosine[chroma.norm(dim=1) > 1e-3].min() > 0.999
    assert with_luma(colours, colours).sub(colours).abs().max() < 1e-6


def test_without_the_wish_nothing_changes():
    style, content = image(1, 8, 8)[None], image(2, 9, 9)[None]
    assert content_colours(content, "none") is content
    assert style_colours(style, content, "none", "symmetric") is style


@pytest.mark.parametrize("how", ["luminance", "match-linear", "match-histogram"])
def test_each_content_has_its_own_style(how: PreserveColor):
    contents = torch.stack([image(2, 9, 9), image(5, 9, 9)])
    both = style_colours(image(1, 8, 8)[None], contents, how, "symmetric")
    alone = [style_colours(image(1, 8, 8)[None], one[None], how, "symmetric") for one in contents]
    assert both.equal(torch.cat(alone))
    assert not both[0].equal(both[1])


def test_statistics_stay_on_their_device():
    """On the `meta` device, which stands for any that is not the CPU."""
    mean, covariance = colour_statistics(torch.zeros(3, 4, 5, device="meta"))
    assert mean.device == covariance.device == torch.device("meta")
