"""Weights files of the user's own, on the command line."""

from pathlib import Path
from typing import Any

import torch

from nst_lightning.settings.layers import conv_names
from nst_lightning.vgg.weights import load_weights

from .conftest import Nst, pixels, records

SMALL: tuple[Any, ...] = ("--size", 32, "--steps", 2, "--style-layers", "relu1_1,relu2_1")


def state_by_blocks(source: str, network: str) -> dict[str, torch.Tensor]:
    """The convolutions by the names of Gatys' vgg_conv.pth, the colours in BGR order."""
    tensors = load_weights(source, network).tensors
    names = [f"{conv}.{part}" for conv in conv_names(network) for part in ("weight", "bias")]
    return {n: tensors[n].flip(1) if n == "conv1_1.weight" else tensors[n] for n in names}


def test_gatys_own_file_is_the_caffe_network(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    torch.save(state_by_blocks("caffe", "vgg19"), tmp_path / "vgg_conv.pth")
    words = ("grid", contents, styles / "brush.jpg", *SMALL)
    for name, weights in (("named", "caffe"), ("file", tmp_path / "vgg_conv.pth")):
        made = nst(*words, "-o", tmp_path / name, "--weights", weights)
        assert made.returncode == 0, made.stderr
    named, own = records(tmp_path / "named"), records(tmp_path / "file")
    for output, record in own.items():
        assert record["weights_input"] == "caffe-bgr"
        assert named[output]["weights_input"] == ""
        assert record["fingerprint"] == named[output]["fingerprint"]
        assert (pixels(tmp_path / "file" / output) == pixels(tmp_path / "named" / output)).all()


def test_what_no_file_tells_is_asked(nst: Nst, contents: Path, styles: Path, tmp_path: Path):
    weights, out = tmp_path / "own.pth", tmp_path / "out"
    torch.save(state_by_blocks("random", "vgg16"), weights)
    words = ("grid", contents, styles / "brush.jpg", "-o", out, *SMALL, "--content-layers")
    words += ("relu2_2", "--network", "vgg16", "--weights", weights)
    refused = nst(*words)
    assert refused.returncode == 2
    (sentence,) = refused.stderr.strip().splitlines()
    assert "--weights-input caffe-bgr" in sentence
    made = nst(*words, "--weights-input", "caffe-rgb")
    assert made.returncode == 0, made.stderr
    assert {record["weights_input"] for record in records(out).values()} == {"caffe-rgb"}
