"""Layer names, and the extractor against a literal forward pass."""

import pytest
import torch
import torch.nn.functional as F

from nst_lightning.errors import UserError
from nst_lightning.settings.layers import canonical, conv_indices, layer_sequence
from nst_lightning.vgg.network import VGG
from nst_lightning.vgg.weights import load_weights


@pytest.mark.parametrize(
    ("name", "network", "expected"),
    [
        ("conv_4", "vgg19", "conv2_2"),
        ("conv_9", "vgg19", "conv4_1"),
        ("conv_16", "vgg19", "conv5_4"),
        ("conv_13", "vgg16", "conv5_3"),
        (" Relu4_2 ", "vgg19", "relu4_2"),
        ("pool5", "vgg16", "pool5"),
    ],
)
def test_names(name: str, network: str, expected: str):
    assert canonical(name, network) == expected


@pytest.mark.parametrize(
    ("name", "network", "nearest"),
    [("relu6_1", "vgg19", "relu"), ("conv3_4", "vgg16", "conv"), ("conv_14", "vgg16", "conv")],
)
def test_unknown_names_come_with_the_nearest(name: str, network: str, nearest: str):
    with pytest.raises(UserError, match=f"did you mean '{nearest}"):
        canonical(name, network)


def test_indices_are_torchvisions():
    expected = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert list(conv_indices("vgg19").values()) == expected


def with_border(x: torch.Tensor, padding: str) -> torch.Tensor:
    """Puts a row above and below and a column on either side, one by one."""
    for dim in (2, 3):
        at = 1 if padding == "reflect" else 0
        first, last = x.narrow(dim, at, 1), x.narrow(dim, x.shape[dim] - 1 - at, 1)
        if padding == "zero":
            first, last = torch.zeros_like(first), torch.zeros_like(last)
        x = torch.cat((first, x, last), dim)
    return x


@pytest.mark.parametrize("network", ["vgg19", "vgg16"])
@pytest.mark.parametrize(
    ("pooling", "padding"),
    [("max", "zero"), ("avg", "zero"), ("max", "replicate"), ("avg", "reflect")],
)
def test_every_layer_in_one_pass_equals_a_literal_forward(network: str, pooling: str, padding: str):
    weights = load_weights("random", network)
    t = {name: tensor.double() for name, tensor in weights.tensors.items()}
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 37, 50, generator=generator, dtype=torch.float64)
    names = layer_sequence(network)
    found = VGG(weights, names, network, pooling, padding).double()(image)
    x = (image - t["input.mean"].view(1, 3, 1, 1)) / t["input.std"].view(1, 3, 1, 1)
    for name in names:
        if name.startswith("conv"):
            bordered = with_border(x, padding)
            x = F.conv2d(bordered, t[f"{name}.weight"], t[f"{name}.bias"])
        elif name.startswith("relu"):
            x = x.clamp(min=0)
        else:
            x = F.max_pool2d(x, 2) if pooling == "max" else F.avg_pool2d(x, 2)
        assert torch.allclose(found[name], x, rtol=1e-9), name
    assert (found["conv1_1"] < 0).any()  # not overwritten by its ReLU


def test_frozen_and_trimmed():
    network = VGG(load_weights("random"), ["conv_3", "relu1_1"])
    assert list(network.convs) == ["conv1_1", "conv1_2", "conv2_1"]
    assert not any(p.requires_grad for p in network.parameters())


def test_a_image_too_small_is_refused():
    network = VGG(load_weights("random"), ["relu5_1"])
    assert network(torch.rand(1, 3, 16, 17))["relu5_1"].shape[-2:] == (1, 1)
    with pytest.raises(UserError, match="at least 16"):
        network(torch.rand(1, 3, 15, 40))
    mirrored = VGG(load_weights("random"), ["relu5_1"], padding="reflect")
    assert mirrored(torch.rand(1, 3, 32, 33))["relu5_1"].shape[-2:] == (2, 2)
    with pytest.raises(UserError, match="at least 32"):
        mirrored(torch.rand(1, 3, 31, 40))
