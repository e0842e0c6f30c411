"""Each preset means what its source says: literal formulas on fixed features."""

from importlib.resources import files

import pytest
import torch
import yaml
from torch import Tensor

from nst_lightning.losses.gram import gram
from nst_lightning.settings import BatchSettings, TransferSettings, build
from nst_lightning.transfer import Targets, TransferLoss
from nst_lightning.vgg.layers import channels

PRESETS = ["default", "gatys-code", "gatys-paper", "jcjohnson", "pytorch-tutorial"]
RELU = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


def text(name: str) -> str:
    return (files("nst_lightning.configs") / "presets" / f"{name}.yaml").read_text()


def preset(name: str) -> BatchSettings:
    return build(yaml.safe_load(text(name)), name)


@pytest.mark.parametrize("name", PRESETS)
def test_loads_and_cites(name: str):
    settings = preset(name)
    comments = " ".join(line for line in text(name).splitlines() if line.startswith("#"))
    assert "Source:" in comments
    assert "pixel range" in comments
    again = build(yaml.safe_load(yaml.safe_dump(settings.model_dump(mode="json"))))
    assert again == settings


def test_default_is_the_default():
    written = yaml.safe_load(text("default"))
    assert set(written) == set(TransferSettings.model_fields)
    assert preset("default") == BatchSettings()


class Fixed:
    """Random features of an image of 20×24 px, a content and a style of another size."""

    def __init__(self, settings: BatchSettings) -> None:
        generator = torch.Generator().manual_seed(9)

        def features(layer: str, side: int) -> Tensor:
            shape = (1, channels(layer), side, side + 1)
            return torch.rand(shape, generator=generator, dtype=torch.float64)

        self.image = torch.rand(1, 3, 20, 24, generator=generator, dtype=torch.float64)
        layers = {*settings.active_content_layers, *settings.active_style_layers}
        self.now = {layer: features(layer, 4) for layer in sorted(layers)}
        self.content = {n: features(n, 4) for n in settings.active_content_layers}
        self.style = {n: features(n, 4) for n in settings.active_style_layers}
        style = {n: gram(f, settings.gram) for n, f in self.style.items()}
        loss = TransferLoss(Targets(self.content, style), settings, 20 * 24)
        self.terms = {k: float(v) for k, v in loss(self.image, self.now).items()}


def matrix(features: Tensor) -> Tensor:
    """N×M."""
    return features[0].reshape(features.shape[1], -1)


def check(fixed: Fixed, content: float, style: float, tv: float) -> None:
    expected = {"content": content, "style": style, "tv": tv, "total": content + style + tv}
    assert fixed.terms == pytest.approx(expected, rel=1e-9)


def test_pytorch_tutorial():
    settings = preset("pytorch-tutorial")
    fixed = Fixed(settings)
    content = float(((fixed.now["conv2_2"] - fixed.content["conv2_2"]) ** 2).mean())
    style = 0.0
    for layer in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"):
        a, b, c, d = fixed.now[layer].shape
        g = matrix(fixed.now[layer]) @ matrix(fixed.now[layer]).T / (a * b * c * d)
        wanted = matrix(fixed.style[layer]) @ matrix(fixed.style[layer]).T / (a * b * c * d)
        style += float(((g - wanted) ** 2).mean())
    check(fixed, content, 1e6 * style, 0.0)
    assert (settings.weights, settings.pooling, settings.init) == ("imagenet", "max", "content")
    assert (settings.lbfgs_memory, settings.bounds) == (100, True)
    assert settings.total_steps == 300


def test_gatys_paper():
    settings = preset("gatys-paper")
    fixed = Fixed(settings)
    difference = matrix(fixed.now["relu4_2"]) - matrix(fixed.content["relu4_2"])
    content = 0.5 * float((difference**2).sum())
    style = 0.0
    for layer in RELU:
        f, p = matrix(fixed.now[layer]), matrix(fixed.style[layer])
        n, m = f.shape
        style += 0.2 * float(((f @ f.T - p @ p.T) ** 2).sum()) / (4 * n**2 * m**2)
    check(fixed, 1e-3 * content, style, 0.0)
    assert (settings.pooling, settings.init, settings.bounds) == ("avg", "noise", False)


def test_gatys_code():
    settings = preset("gatys-code")
    fixed = Fixed(settings)
    content = float(((fixed.now["relu4_2"] - fixed.content["relu4_2"]) ** 2).mean())
    style = 0.0
    for layer, n in zip(RELU, (64, 128, 256, 512, 512), strict=True):
        f, p = matrix(fixed.now[layer]), matrix(fixed.style[layer])
        m = f.shape[1]
        style += 1e3 / n**2 * float(((f @ f.T / m - p @ p.T / m) ** 2).mean())
    check(fixed, content, style, 0.0)
    assert [(s.size, s.steps) for s in settings.scales] == [(512, 500), (800, 200)]
    assert (settings.pooling, settings.init) == ("max", "content")


def test_jcjohnson():
    settings = preset("jcjohnson")
    fixed = Fixed(settings)
    content = 5 * float(((fixed.now["relu4_2"] - fixed.content["relu4_2"]) ** 2).mean())
    style = 0.0
    for layer in RELU:
        f, p = matrix(fixed.now[layer]), matrix(fixed.style[layer])
        elements = f.numel()
        style += 1e2 * float(((f @ f.T / elements - p @ p.T / elements) ** 2).mean())
    x = fixed.image * 255
    dx, dy = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    tv = 1e-3 * 0.5 * float((dx**2).sum() + (dy**2).sum())
    check(fixed, content, style, tv)
    assert settings.total_steps == 1000
    assert settings.noise_std == pytest.approx(0.001 / 255)
