"""Weights of a VGG that was never trained: nothing to download, for tests and smoke runs.

He et al. (2016, "A Powerful Generative Model Using Random Weights") show that such networks
transfer style, if less well.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.settings.layers import channels, conv_names
from nst_lightning.vgg.file_input import imagenet_input

SEED = 0
NOISE_SIDE = 128
"""Pixels; leaves 8x8 positions in block 5."""


def identity(network: str) -> str:
    """Returns what stands for the checksum: the tensors' last bit differs between machines."""
    return f"random-{network}-{SEED}-v1"


def random_tensors(network: str) -> dict[str, Tensor]:
    """Draws He-initialised weights whose channels have a mean activation of 1 on `smooth_noise`.

    Each filter is centred (except the first layer's): every input channel has mean 1, so that an
    uncentred filter's output would be mostly its own sum, and half of the channels never active.
    """
    generator = torch.Generator().manual_seed(SEED)
    normalisation = imagenet_input()
    mean, std = (normalisation[key].view(1, 3, 1, 1) for key in ("input.mean", "input.std"))
    tensors: dict[str, Tensor] = {}
    with torch.no_grad():
        x = (smooth_noise(NOISE_SIDE, generator) - mean) / std
        for conv in conv_names(network):
            if conv.endswith("_1") and conv != "conv1_1":
                x = F.max_pool2d(x, 2)
            shape = (channels(conv), x.shape[1], 3, 3)
            weight = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
            weight *= (2 / (9 * x.shape[1])) ** 0.5
            if conv != "conv1_1":
                weight -= weight.mean((1, 2, 3), keepdim=True)
            x = F.relu(F.conv2d(x, weight, padding=1))
            activation = x.mean((0, 2, 3))
            x /= activation.view(1, -1, 1, 1)
            tensors[f"{conv}.weight"] = weight / activation.view(-1, 1, 1, 1)
            tensors[f"{conv}.bias"] = torch.zeros(channels(conv), dtype=torch.float32, device="cpu")
    return tensors | normalisation


def smooth_noise(side: int, generator: torch.Generator) -> Tensor:
    """Draws an image (1, 3, side, side) in (0, 1) with a spectrum like a photograph's."""
    image = torch.zeros(1, 3, side, side, dtype=torch.float32, device="cpu")
    cells = 2
    while cells <= side:
        grid = torch.randn(
            1, 3, cells, cells, generator=generator, dtype=torch.float32, device="cpu"
        )
        layer = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
        image += layer * (2 / cells)
        cells *= 2
    return torch.sigmoid(1.5 * image)
