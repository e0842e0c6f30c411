"""The Caffe VGG-19: the normalised one, each filter times its factor."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nst_lightning.settings.layers import channels, conv_names
from nst_lightning.vgg.caffe import factors, first_filters, rescaled
from nst_lightning.vgg.state_dicts import checksum
from nst_lightning.vgg.weights import load_weights

PHOTO = Path(__file__).parents[3] / "examples" / "contents" / "chelsea.jpg"
CAFFE = "e2775da4b0fb4d7fa0a71946401d30f28175a2e05b72b154488f1cd594d57e95"


def photo() -> Tensor:
    with Image.open(PHOTO) as image:
        pixels = np.asarray(image.convert("RGB").resize((96, 64)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].double() / 255


def relu_outputs(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    x = 255 * (photo() - tensors["input.mean"].double().view(1, 3, 1, 1))
    found = {}
    for conv in conv_names("vgg19"):
        if conv.endswith("_1") and conv != "conv1_1":
            x = F.max_pool2d(x, 2)
        weight, bias = (tensors[f"{conv}.{part}"].double() for part in ("weight", "bias"))
        found[conv] = x = F.relu(F.conv2d(x, weight, bias, padding=1))
    return found


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.fixture(scope="module")
def normalized() -> dict[str, Tensor]:
    return load_weights("normalized").tensors


def test_every_filter_has_a_factor():
    for conv, factor in factors().items():
        assert factor.shape == (channels(conv),)
        assert bool((factor > 0).all())
    assert sum(len(factor) for factor in factors().values()) == 5504


def test_activations_are_those_of_the_normalised_network_times_the_factors(
    normalized: dict[str, Tensor],
):
    plain = relu_outputs(normalized)
    exact = relu_outputs(normalized | rescaled(normalized))
    stored = relu_outputs(load_weights("caffe").tensors)
    for conv, factor in factors().items():
        expected = plain[conv] * factor.double().view(1, -1, 1, 1)
        assert relative(exact[conv], expected) < 1e-9
        assert relative(stored[conv], expected) < 1e-5
        own, flat = plain[conv][0].flatten(1), stored[conv][0].flatten(1)
        scaled = factor.double()[:, None] * (own @ own.T) * factor.double()
        assert relative(flat @ flat.T, scaled) < 2e-5


def test_it_is_the_unnormalised_network():
    # Activations of the Caffe network are tens to hundreds of times those of the normalised one.
    means = {
        conv: float(x.mean()) for conv, x in relu_outputs(load_weights("caffe").tensors).items()
    }
    assert 10 < means["conv1_1"] < 100
    assert 100 < means["conv3_1"] < 1000


def test_the_tensors_are_known():
    loaded = load_weights("caffe")
    assert loaded.checksum == checksum(loaded.tensors) == CAFFE
    assert torch.equal(loaded.tensors["conv1_1.weight"], first_filters())
    assert {one.dtype for one in loaded.tensors.values()} == {torch.float32}
    assert list(loaded.tensors) == list(load_weights("normalized").tensors)


def test_it_is_loaded_under_any_default_device(tmp_path: Path):
    torch.save(load_weights("caffe").tensors, tmp_path / "own.pth")
    with torch.device("meta"):
        for source in ("caffe", str(tmp_path / "own.pth")):
            assert load_weights(source).checksum == CAFFE
