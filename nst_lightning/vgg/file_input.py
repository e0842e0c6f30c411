"""What the network in a user's file is to be fed, found out from the file."""

from pathlib import Path

import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.files import file_sha256
from nst_lightning.vgg.caffe import first_filters
from nst_lightning.vgg.state_dicts import canonical_tensors, read_state
from nst_lightning.vgg.weight_cache import say

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""The statistics of RGB in [0, 1] with which torchvision's classifiers were trained."""

CAFFE_MEAN = (123.68, 116.779, 103.939)
"""The mean RGB in 0 … 255 that VGG's authors subtract (Simonyan & Zisserman 2014, section 2.1)."""

KNOWN_FILES: dict[str, str] = {
    "dcbb9e9d": "imagenet",  # torchvision's vgg19-dcbb9e9d.pth
    "397923af": "imagenet",  # torchvision's vgg16-397923af.pth
    "d01eb7cb": "caffe-bgr",  # vgg19-d01eb7cb.pth of neural-style-pt, CaffeLoader.py
    "00b39a1b": "caffe-bgr",  # vgg16-00b39a1b.pth of neural-style-pt, CaffeLoader.py
}
"""What files are fed by the first digits of their sha256, which their names carry."""

NEAR = 0.05
"""Relative distance within which first filters are the Caffe ones: the factors are exact to 1 %
(see `caffe`), and exchanged colours are 0.5 away or more."""


def imagenet_input() -> dict[str, Tensor]:
    """Returns `input.mean` and `input.std` of torchvision's networks, each (3,), float32."""
    return {
        "input.mean": torch.tensor(IMAGENET_MEAN, dtype=torch.float32, device="cpu"),
        "input.std": torch.tensor(IMAGENET_STD, dtype=torch.float32, device="cpu"),
    }


def caffe_input() -> dict[str, Tensor]:
    """Returns `input.mean` and `input.std` of Caffe's networks, each (3,), float32."""
    mean = torch.tensor(CAFFE_MEAN, dtype=torch.float64, device="cpu") / 255
    return {"input.mean": mean.float(), "input.std": torch.full((3,), 1 / 255, device="cpu")}


def file_tensors(path: Path, network: str, asked: str) -> tuple[dict[str, Tensor], str]:
    """Reads a file's network, and tells what it is fed.

    In this order: the statistics in the file, `asked`, the digits of a known file, the first
    filters of a VGG-19. Where none of these tells, torchvision's layout counts as `imagenet`.

    Args:
        path: a `.safetensors`, `.pth` or `.pt` state dict (see `state_dicts`).
        network: `vgg19` or `vgg16`.
        asked: a `WeightsInput`.

    Returns:
        Tensors as in `Weights`, conv1_1 taking colours in RGB order, and what was taken: a
        `WeightsInput`, or `file` for statistics in it.

    Raises:
        UserError: as `read_state` and `canonical_tensors`; statistics in the file and `asked`
            besides; or nothing that tells.
    """
    state = read_state(path)
    tensors = canonical_tensors(state, network, path)
    if "input.mean" in tensors:
        if asked != "auto":
            raise UserError(f"{path} says itself what it is fed: leave --weights-input out.")
        return tensors, "file"
    first = tensors["conv1_1.weight"]
    taken = asked if asked != "auto" else KNOWN_FILES.get(file_sha256(path)[:8])
    if taken is None and network == "vgg19":
        taken = recognised(first)
    if taken is None:
        if "conv1_1.weight" in state:
            raise UserError(
                f"{path} does not say what its network is fed: add --weights-input caffe-bgr (as "
                "most files with such names), caffe-rgb or imagenet."
            )
        say(
            f"{path} does not say what its network is fed, and counts as torchvision's (imagenet): "
            "--weights-input caffe-bgr or caffe-rgb says otherwise"
        )
        taken = "imagenet"
    return tensors | fed(first, taken), taken


def recognised(first: Tensor) -> str | None:
    """Tells by its first filters, (64, 3, 3, 3), whether a VGG-19 is the Caffe one, and in which
    order it takes the colours."""
    known = first_filters()
    orders = {"caffe-rgb": first, "caffe-bgr": first.flip(1)}
    for name, filters in orders.items():
        if float((filters - known).norm() / known.norm()) < NEAR:
            return name
    return None


def fed(first: Tensor, taken: str) -> dict[str, Tensor]:
    """Returns `input.mean` and `input.std` of a `WeightsInput`, and conv1_1's weights for colours
    in RGB order."""
    if taken == "imagenet":
        return imagenet_input()
    if taken == "imagenet-255":
        return {**imagenet_input(), "input.std": torch.full((3,), 1 / 255, device="cpu")}
    ordered = first.flip(1).contiguous() if taken == "caffe-bgr" else first
    return {"conv1_1.weight": ordered, **caffe_input()}
