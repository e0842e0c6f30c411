"""State dict layouts: folded exactly, completed or refused by name, never run."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.settings.layers import BLOCKS, channels, conv_indices, conv_names
from nst_lightning.vgg.state_dicts import canonical_tensors, checksum, read_state

SEQUENTIAL = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)


def random_state(network: str, keys: list[str], seed: int = 0) -> dict[str, Tensor]:
    """He-scaled convolutions with full channel counts under the given keys."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    before = 3
    for conv, key in zip(conv_names(network), keys, strict=True):
        width = channels(conv)
        weight = torch.randn(width, before, 3, 3, generator=generator)
        state[f"{key}.weight"] = weight * (2 / (9 * before)) ** 0.5
        state[f"{key}.bias"] = torch.randn(width, generator=generator) * 0.1
        before = width
    return state


def features(network: str) -> list[str]:
    return [f"features.{i}" for i in conv_indices(network).values()]


@pytest.fixture(scope="module")
def torchvision19() -> dict[str, Tensor]:
    return random_state("vgg19", features("vgg19"))


@pytest.fixture(scope="module")
def sequential19() -> dict[str, Tensor]:
    state = random_state("vgg19", [str(i) for i in SEQUENTIAL])
    flip = torch.tensor([[0.0, 0.0, 255.0], [0.0, 255.0, 0.0], [255.0, 0.0, 0.0]])
    state["0.weight"] = flip.view(3, 3, 1, 1)
    state["0.bias"] = -torch.tensor([103.939, 116.779, 123.68])
    state["2.weight"] /= 100  # the first convolution sees values up to 150
    return state


def literal_forward(state: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """The normalised file's own Sequential, layer by layer in float64: every ReLU's output."""
    x = F.conv2d(image, state["0.weight"].double(), state["0.bias"].double())
    outputs = []
    for number, index in enumerate(SEQUENTIAL):
        if number in (2, 4, 8, 12):
            x = F.max_pool2d(x, 2, 2)
        x = F.pad(x, (1, 1, 1, 1))
        weight, bias = state[f"{index}.weight"].double(), state[f"{index}.bias"].double()
        x = F.relu(F.conv2d(x, weight, bias))
        outputs.append(x)
    return outputs


def folded_forward(tensors: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    mean, std = (tensors[k].double().view(1, 3, 1, 1) for k in ("input.mean", "input.std"))
    x = (image - mean) / std
    outputs = []
    for conv in conv_names("vgg19"):
        if conv.endswith("_1") and conv != "conv1_1":
            x = F.max_pool2d(x, 2, 2)
        weight, bias = tensors[f"{conv}.weight"].double(), tensors[f"{conv}.bias"].double()
        x = F.relu(F.conv2d(x, weight, bias, padding=1))
        outputs.append(x)
    return outputs


def test_folding_the_1x1_convolution_is_exact(sequential19: dict[str, Tensor]) -> None:
    tensors = canonical_tensors(sequential19, "vgg19", "a file")
    mean = torch.tensor([123.68, 116.779, 103.939], dtype=torch.float64) / 255
    assert torch.allclose(tensors["input.mean"].double(), mean, rtol=1e-7, atol=0)
    assert torch.equal(tensors["input.std"], torch.full((3,), 1 / 255))
    assert torch.equal(tensors["conv1_1.weight"], sequential19["2.weight"].flip(1))
    assert torch.equal(tensors["conv5_4.weight"], sequential19["51.weight"])

    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1)).double()
    expected = literal_forward(sequential19, image)
    outputs = folded_forward(tensors, image)
    assert len(outputs) == len(expected) == 16
    for output, wanted in zip(outputs, expected, strict=True):  # all pixels, borders included
        assert float((output - wanted).abs().max() / wanted.abs().max()) < 1e-6


def test_a_1x1_convolution_that_mixes_colours_is_refused(sequential19: dict[str, Tensor]) -> None:
    mixing = sequential19 | {"0.weight": torch.ones(3, 3, 1, 1)}
    with pytest.raises(UserError, match="mixes colours"):
        canonical_tensors(mixing, "vgg19", "a file")


@pytest.mark.parametrize("network", list(BLOCKS))
def test_torchvision_layout(network: str) -> None:
    state = random_state(network, features(network))
    state["classifier.0.weight"] = torch.zeros(7, 5)
    tensors = canonical_tensors(state, network, "a file")
    names = [f"{conv}.{part}" for conv in conv_names(network) for part in ("weight", "bias")]
    assert list(tensors) == names
    for conv, key in zip(conv_names(network), features(network), strict=True):
        assert torch.equal(tensors[f"{conv}.weight"], state[f"{key}.weight"])
        assert torch.equal(tensors[f"{conv}.bias"], state[f"{key}.bias"])


def test_any_float_type_becomes_float32(torchvision19: dict[str, Tensor]) -> None:
    halves = {name: tensor.half() for name, tensor in torchvision19.items()}
    tensors = canonical_tensors(halves, "vgg19", "a file")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert torch.equal(tensors["conv2_1.bias"], torchvision19["features.5.bias"].half().float())


def test_missing_convolutions_are_named(torchvision19: dict[str, Tensor]) -> None:
    shallow = {k: v for k, v in torchvision19.items() if int(k.split(".")[1]) < 32}
    del shallow["features.0.bias"]
    with pytest.raises(UserError, match=r"a file lacks conv1_1, conv5_3, conv5_4 of vgg19"):
        canonical_tensors(shallow, "vgg19", "a file")


def test_another_networks_file_is_recognised(torchvision19: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match="is a vgg19, not a vgg16"):
        canonical_tensors(torchvision19, "vgg16", "a file")
    # In our own names a VGG-19 holds every name of a VGG-16.
    own = canonical_tensors(torchvision19, "vgg19", "a file")
    with pytest.raises(UserError, match="is a vgg19, not a vgg16"):
        canonical_tensors(own, "vgg16", "a file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features.5.weight": torch.zeros(128, 64, 5, 5)}, "features.5.weight in a file has"),
        ({"features.5.bias": torch.full((128,), float("nan"))}, "no finite numbers"),
        ({"features.5.bias": torch.zeros(128, dtype=torch.int64)}, "no finite numbers"),
        ({"features.1.running_mean": torch.zeros(64)}, "batch normalisation"),
        ({"input.mean": torch.zeros(3), "input.std": torch.zeros(3)}, "input.std"),
    ],
)
def test_what_no_vgg_has_is_refused(
    torchvision19: dict[str, Tensor], change: dict[str, Tensor], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        canonical_tensors({**torchvision19, **change}, "vgg19", "a file")


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(UserError, match="no VGG in a known layout"):
        canonical_tensors({"fc.weight": torch.zeros(3)}, "vgg19", "a file")


def test_wrapped_and_bare_state_dicts_are_read(tmp_path: Path) -> None:
    inner = OrderedDict({"module.features.0.weight": torch.ones(64, 3, 3, 3)})
    torch.save({"state_dict": inner, "epoch": 3}, tmp_path / "wrapped.pth")
    torch.save({"0.weight": torch.ones(64, 3, 3, 3)}, tmp_path / "bare.pt")
    for name in ("wrapped.pth", "bare.pt"):
        assert list(read_state(tmp_path / name)) == ["features.0.weight"]
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 1), torch.nn.Conv2d(64, 64, 1))
    torch.save(module.state_dict(), tmp_path / "metadata.pth")  # an OrderedDict with _metadata
    assert sorted(read_state(tmp_path / "metadata.pth"))[0] == "0.bias"


class Malicious:
    """Unpickling this would create a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    torch.save({"features.0.weight": Malicious(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="never run"):
        read_state(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04" + bytes(100)])
def test_garbage_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        read_state(path)


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    state = {"features.0.weight": torch.ones(64, 3, 3, 3)}
    torch.save(state, tmp_path / "a.pth")
    save_file(state, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(UserError, match="damaged"):
            read_state(path)


def test_what_is_not_a_weights_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.pth").mkdir()
    os.mkfifo(tmp_path / "pipe.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, words in (
        ("absent.pth", "there is no weights file"),
        ("folder.pth", "a folder, a pipe or a device"),
        ("pipe.pth", "a folder, a pipe or a device"),
        ("image.png", "not a weights file"),
        ("list.pth", "no state dict"),
    ):
        with pytest.raises(UserError, match=words):
            read_state(tmp_path / name)


def test_a_damaged_file_is_told_in_one_sentence(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps({"a": 1}, protocol=4))
    with pytest.raises(UserError, match=r"is not a weights file or is damaged|more than tensors"):
        read_state(tmp_path / "pickle.pth")
    assert [str(one.message) for one in recwarn] == []


def test_the_checksum_covers_names_shapes_and_values() -> None:
    base = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2)}
    assert checksum(base) == checksum(dict(reversed(base.items())))
    changed = [
        {**base, "b": torch.tensor([1.0, 1.0000001])},
        {**base, "a": base["a"].view(3, 2)},
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"]},
    ]
    assert len({checksum(base), *map(checksum, changed)}) == 5
