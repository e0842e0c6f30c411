"""What `evaluate` measures, on `meta`, which stands for any GPU."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nst_lightning.evaluation import feature_extractor, lpips
from nst_lightning.evaluation.content_metrics import (
    cfsd,
    edge_agreement,
    pool_positions,
    psnr,
    ssim,
    total_variation,
)
from nst_lightning.evaluation.feature_extractor import FeatureExtractor
from nst_lightning.evaluation.image_values import against_content, against_style
from nst_lightning.evaluation.measuring import evaluate
from nst_lightning.evaluation.references import ContentReference, blend_styles, style_statistics
from nst_lightning.evaluation.style_metrics import (
    colour_histogram,
    histogram_distance,
    relative_distance,
)
from nst_lightning.evaluation.subject import Subject
from nst_lightning.imaging.writing import write_image
from tests.one_device import META, OneDevice, blank_weights, switch_off_autocast
from tests.unit.evaluation.test_lpips import random_alexnet


@pytest.fixture
def extractor(monkeypatch: pytest.MonkeyPatch) -> FeatureExtractor:
    switch_off_autocast(monkeypatch)
    monkeypatch.setattr(
        feature_extractor, "load_weights", lambda _, network, __: blank_weights(network)
    )
    return FeatureExtractor("vgg19", "random", META)


def images(batch: int, height: int = 40, width: int = 33) -> Tensor:
    return torch.zeros(batch, 3, height, width, device=META)


METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cfsd": lambda a, b: cfsd(pool_positions(a), pool_positions(b)),
    "edge_agreement": edge_agreement,
    "ssim": ssim,
    "psnr": psnr,
    "total_variation": lambda a, _: total_variation(a),
    "relative_distance": relative_distance,
    "histogram_distance": lambda a, b: histogram_distance(colour_histogram(a), colour_histogram(b)),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_images_stay_on_their_device(name: str) -> None:
    for batch, height in ((1, 40), (3, 40), (2, 8)):
        a, b = images(batch, height), images(batch, height)
        with OneDevice():
            found = METRICS[name](a, b)
        assert (found.device, found.shape) == (META, (batch,))


def test_metrics_of_features_stay_on_their_device(extractor: FeatureExtractor) -> None:
    """Roots of matrices alone wait, for the check of their eigenvalues."""
    results, contents = images(2), images(2)
    with OneDevice():
        features = extractor.extract(results)
        references = [ContentReference(one[None], extractor.extract(one[None])) for one in contents]
        found = against_content(results, features.of([0, 1]), references, None)
        parts = [(style_statistics(extractor, images(1, 30, 52)), share) for share in (1.0, 3.0)]
    with OneDevice("check"):
        found |= against_style(results, features, [blend_styles(parts), blend_styles(parts[:1])])
    assert {(one.device, one.shape) for one in found.values()} == {(META, (2,))}
    assert {"cfsd", "style_wasserstein", "colour_distance"} <= found.keys()


@pytest.fixture
def alexnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lpips.LPIPS:
    """LPIPS on random weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    random_alexnet(tmp_path / "torch" / "hub" / "checkpoints")
    monkeypatch.setattr(lpips, "intact", lambda path: True)
    return lpips.LPIPS(META)


def test_lpips(alexnet: lpips.LPIPS) -> None:
    """torchmetrics looks whether values are in [0, 1], which waits."""
    with OneDevice("number"):
        found = alexnet(images(2, 64, 48), images(2, 64, 48))
        assert (found.device, found.shape) == (META, (2,))
        assert alexnet(images(1, 64, 48), images(1, 64, 48)).shape == (1,)
    with OneDevice():
        assert alexnet(images(2, 30), images(2, 30)).device == META


def test_the_whole_of_evaluate(
    tmp_path: Path, extractor: FeatureExtractor, alexnet: lpips.LPIPS
) -> None:
    """Only what is read is brought to the device, only numbers of the table are fetched."""
    for name, (height, width) in {"a": (40, 33), "b": (30, 52), "small": (12, 12)}.items():
        write_image(tmp_path / f"{name}.png", torch.full((3, height, width), 0.5))
    a, b, small = (tmp_path / f"{name}.png" for name in ("a", "b", "small"))

    def subject(result: Path, content: Path, *styles: Path, identity: bool = False) -> Subject:
        style = tuple((path, 1.0) for path in styles)
        name, most = result.name, 10**6
        return Subject(
            {}, {}, name, "", result, "", content, style, identity, most, resampling="bicubic"
        )

    subjects = [
        subject(a, a, b),
        subject(a, b, a, b),
        subject(a, a, a, identity=True),
        subject(small, a, small),
    ]
    with OneDevice("upload", "download", "check", "number"):
        found = evaluate(subjects, extractor, META, lpips=alexnet)
    assert {"ssim", "lpips", "cfsd", "style_gram", "colour_distance"} <= found.values[1].keys()
    assert "identity_psnr" in found.values[2]
    assert len(found.warnings) == 1
