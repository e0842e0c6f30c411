"""What the network of a file of the user's own is fed."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.settings.layers import conv_indices, conv_names
from nst_lightning.vgg import file_input
from nst_lightning.vgg.weights import Weights, export, load_weights

MEAN = torch.tensor([123.68, 116.779, 103.939], dtype=torch.float64).div(255).float()


def in_layout(tensors: dict[str, Tensor], layout: str, network: str = "vgg19") -> dict[str, Tensor]:
    """The convolutions by the names of Gatys' vgg_conv.pth, or of torchvision."""
    indices = conv_indices(network)
    return {
        f"{conv if layout == 'blocks' else f'features.{indices[conv]}'}.{part}": tensors[
            f"{conv}.{part}"
        ].contiguous()
        for conv in conv_names(network)
        for part in ("weight", "bias")
    }


def as_bgr(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors | {"conv1_1.weight": tensors["conv1_1.weight"].flip(1)}


@pytest.fixture(scope="module")
def caffe() -> dict[str, Tensor]:
    return load_weights("caffe").tensors


@pytest.fixture(scope="module")
def random16() -> dict[str, Tensor]:
    return load_weights("random", "vgg16").tensors


@pytest.mark.parametrize("layout", ["blocks", "features"])
@pytest.mark.parametrize("order", ["caffe-bgr", "caffe-rgb"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_caffe_network_is_known_by_its_first_filters(
    caffe: dict[str, Tensor], tmp_path: Path, layout: str, order: str, suffix: str
):
    path = tmp_path / f"own{suffix}"
    state = in_layout(as_bgr(caffe) if order == "caffe-bgr" else caffe, layout)
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    loaded = load_weights(str(path))
    assert loaded.input == order
    assert loaded.checksum == load_weights("caffe").checksum


def test_nearly_the_same_filters_are_the_caffe_ones(caffe: dict[str, Tensor], tmp_path: Path):
    noise = torch.randn(caffe["conv1_1.weight"].shape, generator=torch.Generator().manual_seed(0))
    near = caffe["conv1_1.weight"] * (1 + 0.01 * noise)
    torch.save(in_layout(caffe | {"conv1_1.weight": near}, "blocks"), tmp_path / "near.pth")
    assert load_weights(str(tmp_path / "near.pth")).input == "caffe-rgb"


def test_statistics_in_the_file_come_first(caffe: dict[str, Tensor], tmp_path: Path):
    path = export("caffe", "vgg19", tmp_path / "own.safetensors")
    loaded = load_weights(str(path))
    assert (loaded.input, loaded.checksum) == ("file", load_weights("caffe").checksum)
    with pytest.raises(UserError, match="leave --weights-input out"):
        load_weights(str(path), weights_input="imagenet")


def test_known_files_are_told_by_their_digits(
    random16: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "renamed.pth"
    torch.save(in_layout(random16, "features", "vgg16"), path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setitem(file_input.KNOWN_FILES, digits, "caffe-bgr")
    loaded = load_weights(str(path), "vgg16")
    assert loaded.input == "caffe-bgr"
    assert torch.equal(loaded.tensors["conv1_1.weight"], random16["conv1_1.weight"].flip(1))
    assert torch.equal(loaded.tensors["input.mean"], MEAN)
    assert torch.equal(loaded.tensors["input.std"], torch.full((3,), 1 / 255))


def test_the_digits_of_the_published_files():
    assert file_input.KNOWN_FILES == {
        "dcbb9e9d": "imagenet", "397923af": "imagenet",
        "d01eb7cb": "caffe-bgr", "00b39a1b": "caffe-bgr",
    }  # fmt: skip


def test_torchvisions_layout_counts_as_imagenet_with_a_word(
    random16: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "other.pth"
    torch.save(in_layout(random16, "features", "vgg16"), path)
    loaded = load_weights(str(path), "vgg16")
    assert loaded.input == "imagenet"
    assert torch.equal(loaded.tensors["input.std"], torch.tensor([0.229, 0.224, 0.225]))
    (line,) = capsys.readouterr().err.splitlines()
    assert "counts as torchvision's (imagenet)" in line
    assert "--weights-input" in line


def test_block_names_without_a_word_are_refused(random16: dict[str, Tensor], tmp_path: Path):
    path = tmp_path / "vgg_conv.pth"
    torch.save(in_layout(random16, "blocks", "vgg16"), path)
    with pytest.raises(UserError, match="--weights-input caffe-bgr"):
        load_weights(str(path), "vgg16")


def taken(random16: dict[str, Tensor], folder: Path, asked: str) -> Weights:
    path = folder / "vgg_conv.pth"
    torch.save(in_layout(random16, "blocks", "vgg16"), path)
    return load_weights(str(path), "vgg16", asked)


def test_what_is_asked_for_is_taken(random16: dict[str, Tensor], tmp_path: Path):
    first = random16["conv1_1.weight"]
    for asked, filters, mean in (
        ("caffe-bgr", first.flip(1), MEAN),
        ("caffe-rgb", first, MEAN),
        ("imagenet", first, torch.tensor([0.485, 0.456, 0.406])),
        ("imagenet-255", first, torch.tensor([0.485, 0.456, 0.406])),
    ):
        loaded = taken(random16, tmp_path, asked)
        assert loaded.input == asked
        assert torch.equal(loaded.tensors["conv1_1.weight"], filters)
        assert torch.equal(loaded.tensors["input.mean"], mean)


def test_named_weights_know_what_they_are_fed():
    with pytest.raises(UserError, match="set weights_input to auto"):
        load_weights("random", weights_input="caffe-bgr")
    with pytest.raises(UserError, match="no weights_input 'bgr'"):
        load_weights("random", weights_input="bgr")
