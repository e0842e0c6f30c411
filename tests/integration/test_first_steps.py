"""The first ten steps of presets whose source uses a torch optimiser, against a literal loop."""

from importlib.resources import files

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from nst_lightning import StyleTransfer, load_image
from nst_lightning.callbacks.history import History
from nst_lightning.settings import build
from nst_lightning.transfer.module import build_network
from nst_lightning.vgg.weights import load_weights
from tests.fitting import fit

from .conftest import EXAMPLES

LAYERS = ["11", "12", "p", "21", "22", "p", "31", "32", "33", "34", "p", "41", "42"]
LAYERS += ["43", "44", "p", "51"]


def literal(image: Tensor, tensors: dict[str, Tensor], relu: bool) -> dict[str, Tensor]:
    """Each convolution's output through conv5_1, before or after its ReLU."""
    mean, std = (tensors[f"input.{name}"].view(1, 3, 1, 1) for name in ("mean", "std"))
    x = (image - mean) / std
    found = {}
    for name in LAYERS:
        if name == "p":
            x = F.max_pool2d(x, 2, 2)
            continue
        conv = f"conv{name[0]}_{name[1]}"
        x = F.conv2d(x, tensors[f"{conv}.weight"], tensors[f"{conv}.bias"], padding=1)
        found[name] = F.relu(x) if relu else x
        x = F.relu(x)
    return found


def gram(x: Tensor, per_element: bool) -> Tensor:
    b, c, h, w = x.shape
    f = x.view(b, c, h * w)
    return torch.bmm(f, f.transpose(1, 2)) / (b * c * h * w if per_element else h * w)


PRESETS = {
    # name: (content layer, style layers with their weights, Gram per element, after the ReLU)
    # The networks that can be had everywhere stand in for torchvision's.
    "gatys-code": (
        "42",
        {"11": 1e3 / 64**2, "21": 1e3 / 128**2, "31": 1e3 / 256**2, "41": 1e3 / 512**2}
        | {"51": 1e3 / 512**2},
        False,
        True,
    ),
    "pytorch-tutorial": ("22", dict.fromkeys(("11", "12", "21", "22", "31"), 1e6), True, False),
    "seed-000": ("11", dict.fromkeys(("11", "12", "21", "22", "31"), 1e6), True, False),
    "seed-001": ("12", dict.fromkeys(("11", "12"), 1e6), True, False),
}


WEIGHTS = {"gatys-code": "caffe"}
STEPS = {"gatys-code": 40}


@pytest.mark.parametrize("name", PRESETS)
def test_the_first_losses_are_those_of_a_literal_loop(name: str):
    content_layer, style_layers, per_element, relu = PRESETS[name]
    weights, steps = WEIGHTS.get(name, "normalized"), STEPS.get(name, 10)
    # Where a preset departs from its source (projection, the lengths of the steps, see its comment;
    # the weights; the start), the source's own is put back.
    own: dict[str, object] = {"first_step": "torch", "longest_step": None, "bounds": False}
    text = (files("nst_lightning.configs") / "presets" / f"{name}.yaml").read_text()
    settings = build({**yaml.safe_load(text), **own, "weights": weights, "init": "content"})
    tensors = {k: v.double() for k, v in load_weights(weights).tensors.items()}
    content = load_image(EXAMPLES / "contents" / "coffee.jpg", 64).double()[..., :40, :48]
    style = load_image(EXAMPLES / "styles" / "stained_glass.jpg", 64).double()[..., :40, :48]
    target = literal(content, tensors, relu)[content_layer]
    grams = {
        layer: gram(f, per_element)
        for layer, f in literal(style, tensors, relu).items()
        if layer in style_layers
    }
    # The pixels are those that the source optimises.
    image = (content * settings.pixel_range).requires_grad_()
    optimizer = torch.optim.LBFGS([image], lr=1, max_iter=1)
    theirs = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        features = literal(image / settings.pixel_range, tensors, relu)
        loss = F.mse_loss(features[content_layer], target)
        for layer, weight in style_layers.items():
            loss = loss + weight * F.mse_loss(gram(features[layer], per_element), grams[layer])
        loss.backward()
        theirs.append(loss.item())
        return loss

    for _ in range(steps):
        optimizer.step(closure)

    network = build_network(settings).double()
    model = StyleTransfer.from_images(content, style, settings, network=network, steps=steps)
    history = History()
    fit(model, precision="64-true", callbacks=[history])
    ours = [row["total"] for row in history.of(0)]
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert theirs[-1] != pytest.approx(theirs[0], rel=1e-3)
