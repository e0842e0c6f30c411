"""Each preset means what its source says: literal formulas on fixed features."""

from collections.abc import Callable
from importlib.resources import files

import pytest
import torch
import yaml
from torch import Tensor

from nst_lightning.losses.style import style_kind
from nst_lightning.settings import BatchSettings, Scale, TransferSettings, build
from nst_lightning.settings.layers import channels
from nst_lightning.transfer.objective import TransferLoss
from nst_lightning.transfer.targets import Targets

SEEDS = ["seed-000", "seed-001", "seed-002", "seed-003"]
TITU = ["seed-004", "seed-004-normalized"]
LATER = ["crowsonkb", "neural-doodle", "high-quality"]
PORTS = ["neural-style-pt", "anishathalye", "gordicaleksa", "spst"]
PRESETS = [
    *("default", "gatys-code", "gatys-paper", "jcjohnson", "pytorch-tutorial"),
    *(*SEEDS, *TITU, *LATER, *PORTS),
]
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
    assert set(written) == {*TransferSettings.model_fields, "size", "steps"}
    defaults = BatchSettings().model_dump(include=set(TransferSettings.model_fields))
    assert {k: v for k, v in written.items() if k in defaults and k != "scales"} == {
        k: v for k, v in defaults.items() if k != "scales"
    }
    assert written["scales"] == BatchSettings.usual_scales
    assert (written["size"], written["steps"]) == (Scale().size, Scale().steps)
    assert preset("default") == BatchSettings()


class Fixed:
    """Our terms on random features of an image of 20×24 px.

    The style's features are 5×6 against 4×5, so that each Gram matrix must be divided by its own
    number of positions; equation 4 of the paper knows only one M, so they agree there.

    Args:
        divisor: what the source divides a Gram matrix of N channels and M positions by.
    """

    def __init__(self, settings: BatchSettings, divisor: Callable[[int, int], int]) -> None:
        generator = torch.Generator().manual_seed(9)

        def features(layer: str, side: int) -> Tensor:
            shape = (1, channels(layer), side, side + 1)
            return torch.rand(shape, generator=generator, dtype=torch.float64)

        self.image = torch.rand(1, 3, 20, 24, generator=generator, dtype=torch.float64)
        self.image.requires_grad_()
        layers = {*settings.active_content_layers, *settings.active_style_layers}
        self.now = {layer: features(layer, 4) for layer in sorted(layers)}
        self.content = {n: features(n, 4) for n in settings.active_content_layers}
        side = 4 if settings.gram == "paper" else 5
        self.style = {n: features(n, side) for n in settings.active_style_layers}
        targets = {}
        for layer, value in self.style.items():
            f = matrix(value)
            targets[layer] = [(f @ f.T / divisor(*f.shape))[None]]
        loss = TransferLoss(Targets(self.content, targets), settings, (20, 24))
        self.losses = loss(self.image, self.now)
        self.terms = {name: value.item() for name, value in self.losses.items()}


def matrix(features: Tensor) -> Tensor:
    """N×M."""
    return features[0].reshape(features.shape[1], -1)


def check(fixed: Fixed, content: float, style: float, tv: float) -> None:
    expected = {"content": content, "style": style, "tv": tv, "total": content + style + tv}
    assert fixed.terms == pytest.approx(expected, rel=1e-9)


def test_pytorch_tutorial():
    settings = preset("pytorch-tutorial")
    fixed = Fixed(settings, lambda n, m: n * m)
    content = float(((fixed.now["conv2_2"] - fixed.content["conv2_2"]) ** 2).mean())
    style = 0.0
    for layer in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"):
        grams = []
        for features in (fixed.now[layer], fixed.style[layer]):
            a, b, c, d = features.shape
            flat = features.view(a * b, c * d)
            grams.append(flat @ flat.T / (a * b * c * d))
        style += float(((grams[0] - grams[1]) ** 2).mean())
    check(fixed, content, 1e6 * style, 0.0)
    assert (settings.weights, settings.pooling, settings.init) == ("imagenet", "max", "content")
    # Not the source's: projection instead of its clamp, and with it our first step.
    assert (settings.bounds, settings.first_step) == (True, 0.02)
    assert [(s.size, s.steps) for s in settings.scales] == [(512, 300)]


CONVS = {
    "conv_1": "conv1_1",
    "conv_2": "conv1_2",
    "conv_3": "conv2_1",
    "conv_4": "conv2_2",
    "conv_5": "conv3_1",
    "conv_8": "conv3_4",
    "conv_9": "conv4_1",
    "conv_16": "conv5_4",
}
FIVE = ["conv_1", "conv_2", "conv_3", "conv_4", "conv_5"]


@pytest.mark.parametrize(
    ("name", "content", "style", "per_element", "weight", "start", "steps"),
    [
        ("seed-000", "conv_1", FIVE, True, 1e6, "content", 300),
        ("seed-001", "conv_2", ["conv_1", "conv_2"], True, 1e6, "noise", 1500),
        (
            "seed-002",
            "conv_9",
            ["conv_2", "conv_4", "conv_8", "conv_16"],
            False,
            0.5,
            "content",
            300,
        ),
        ("seed-003", "conv_4", FIVE, True, 1e5, "content", 300),
    ],
)
def test_course_reports(
    name: str,
    content: str,
    style: list[str],
    per_element: bool,
    weight: float,
    start: str,
    steps: int,
):
    settings = preset(name)
    fixed = Fixed(settings, lambda n, m: n * m if per_element else m)
    assert list(fixed.content) == [CONVS[content]]
    assert list(fixed.style) == [CONVS[layer] for layer in style]
    wanted = ((fixed.now[CONVS[content]] - fixed.content[CONVS[content]]) ** 2).mean().item()
    total = 0.0
    for layer in style:
        g, a = (
            matrix(f) @ matrix(f).T / (f.numel() if per_element else f[0, 0].numel())
            for f in (fixed.now[CONVS[layer]], fixed.style[CONVS[layer]])
        )
        total += ((g - a) ** 2).mean().item()
    check(fixed, wanted, weight * total, 0.0)
    assert (settings.weights, settings.network, settings.init) == ("imagenet", "vgg19", start)
    assert (settings.pooling, settings.style_fit, settings.total_steps) == ("max", "content", steps)


@pytest.mark.parametrize(("name", "a_squared"), [("seed-004", 1), ("seed-004-normalized", 1e4)])
@pytest.mark.parametrize("kind", ["type0", "type1", "type2"])
def test_titu1994(name: str, a_squared: float, kind: str):
    settings = preset(name).model_copy(update={"content_loss": kind})
    fixed = Fixed(settings, lambda n, m: 1)
    rows, columns = 20, 24
    s = ((fixed.now["relu5_2"] - fixed.content["relu5_2"]) ** 2).sum().item()
    multiplier = {
        "type0": 1.0,
        "type1": 1 / (2 * 512**0.5 * (rows * columns) ** 0.5),
        "type2": 1 / (512 * rows * columns),
    }[kind]
    style = 0.0
    for layer in RELU:
        g, a = (matrix(f) @ matrix(f).T for f in (fixed.now[layer], fixed.style[layer]))
        style += (1 / 5) * ((a - g) ** 2).sum().item() / (4 * 3**2 * (rows * columns) ** 2)
    x = fixed.image.detach()[0] * 255
    across = (x[:, :-1, :-1] - x[:, :-1, 1:]) ** 2
    down = (x[:, :-1, :-1] - x[:, 1:, :-1]) ** 2
    tv = ((across + down) ** 1.25).sum().item()
    check(fixed, 0.25 * multiplier * s, a_squared * style, 8.5e-5 / a_squared * tv)
    weights = "caffe" if name == "seed-004" else "normalized"
    assert (settings.network, settings.weights) == ("vgg19", weights)
    assert (settings.init, settings.pooling, settings.style_fit) == ("noise", "max", "content")
    assert [(s.size, s.steps) for s in settings.scales] == [("224x224", 2000)]
    assert settings.pixel_range == 255


def test_gatys_paper():
    settings = preset("gatys-paper")
    fixed = Fixed(settings, lambda n, m: m)
    difference = matrix(fixed.now["relu4_2"]) - matrix(fixed.content["relu4_2"])
    content = 0.5 * float((difference**2).sum())
    style = 0.0
    for layer in RELU:
        f, p = matrix(fixed.now[layer]), matrix(fixed.style[layer])
        n, m = f.shape
        style += 0.2 * float(((f @ f.T - p @ p.T) ** 2).sum()) / (4 * n**2 * m**2)
    check(fixed, 1e-3 * content, style, 0.0)
    assert (settings.weights, settings.pooling, settings.init) == ("normalized", "avg", "noise")
    assert (settings.bounds, settings.first_step) == (False, "torch")
    assert [(s.size, s.steps) for s in settings.scales] == [(512, 1000)]


def test_gatys_code():
    settings = preset("gatys-code")
    fixed = Fixed(settings, lambda n, m: m)
    content = float(((fixed.now["relu4_2"] - fixed.content["relu4_2"]) ** 2).mean())
    style = 0.0
    for layer, n in zip(RELU, (64, 128, 256, 512, 512), strict=True):
        f, p = matrix(fixed.now[layer]), matrix(fixed.style[layer])
        style += 1e3 / n**2 * float(((f @ f.T / f.shape[1] - p @ p.T / p.shape[1]) ** 2).mean())
    check(fixed, content, style, 0.0)
    assert (settings.weights, settings.pooling, settings.init) == ("caffe", "max", "content")
    assert (settings.bounds, settings.upscale, settings.pixel_range) == (False, True, 255)
    assert settings.resampling == "bilinear"
    assert [(s.size, s.steps) for s in settings.scales] == [("short:512", 500), ("short:800", 200)]


def test_jcjohnson():
    settings = preset("jcjohnson")
    fixed = Fixed(settings, lambda n, m: n * m)
    content = 5 * float(((fixed.now["relu4_2"] - fixed.content["relu4_2"]) ** 2).mean())
    style = 0.0
    for layer in RELU:
        f, p = matrix(fixed.now[layer]), matrix(fixed.style[layer])
        style += 1e2 * float(((f @ f.T / f.numel() - p @ p.T / p.numel()) ** 2).mean())
    x = fixed.image.detach() * 255
    dx, dy = x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]
    tv = 1e-3 * 0.5 * float((dx**2).sum() + (dy**2).sum())
    check(fixed, content, style, tv)
    assert (settings.weights, settings.pooling, settings.init) == ("caffe", "max", "noise")
    assert (settings.bounds, settings.upscale) == (False, True)
    assert [(s.size, s.steps) for s in settings.scales] == [(512, 1000)]
    assert settings.noise_std == pytest.approx(0.001 / 255)


def gram_squares(fixed: Fixed) -> dict[str, float]:
    """The sum of squared differences of the Gram matrices divided by C·H·W, layer by layer."""
    found = {}
    for layer in RELU:
        grams = []
        for features in (fixed.now[layer], fixed.style[layer]):
            flat = features.reshape(features.shape[1], -1)
            grams.append(torch.mm(flat, flat.t()).div(features.nelement()))
        found[layer] = float(((grams[0] - grams[1]) ** 2).sum())
    return found


def differences(fixed: Fixed) -> tuple[Tensor, Tensor]:
    x = fixed.image.detach() * 255
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def test_neural_style_pt():
    settings = preset("neural-style-pt")
    fixed = Fixed(settings, lambda n, m: n * m)
    content = 5 * float(((fixed.now["relu4_2"] - fixed.content["relu4_2"]) ** 2).mean())
    squares = gram_squares(fixed)
    style = sum(100 * squares[layer] / channels(layer) ** 2 for layer in RELU)
    dx, dy = differences(fixed)
    check(fixed, content, style, 1e-3 * float(dx.abs().sum() + dy.abs().sum()))
    assert (settings.weights, settings.pooling, settings.init) == ("caffe", "max", "noise")
    assert (settings.bounds, settings.upscale) == (False, True)
    assert [(s.size, s.steps) for s in settings.scales] == [(512, 1000)]
    assert settings.noise_std == pytest.approx(0.001 / 255)


def test_anishathalye():
    settings = preset("anishathalye")
    fixed = Fixed(settings, lambda n, m: n * m)
    half = 0.5 * float(((fixed.now["relu4_2"] - fixed.content["relu4_2"]) ** 2).sum())
    content = 5 * 2 * half / fixed.content["relu4_2"].numel()
    squares = gram_squares(fixed)
    style = sum(500 * 0.2 * 2 * (squares[n] / 2) / channels(n) ** 2 for n in RELU)
    dx, dy = differences(fixed)
    # Their means are over the differences, ours over the pixel values.
    values = fixed.image.numel()
    tv = 100 * 2 * float((dx**2).sum() / 2 + (dy**2).sum() / 2) / values
    check(fixed, content, style, tv)
    assert (settings.weights, settings.pooling, settings.init) == ("caffe", "max", "noise")
    assert (settings.optimizer, settings.adam_beta2, settings.bounds) == ("adam", 0.999, False)
    assert settings.learning_rate == pytest.approx(10 / 255)
    assert settings.noise_std == pytest.approx(0.256 / 255)
    assert [(s.size, s.steps) for s in settings.scales] == [("original", 1000)]


def test_gordicaleksa():
    settings = preset("gordicaleksa")
    fixed = Fixed(settings, lambda n, m: n * m)
    content = 1e5 * float(((fixed.now["relu4_2"] - fixed.content["relu4_2"]) ** 2).mean())
    style = 3e4 * sum(gram_squares(fixed).values()) / 5
    dx, dy = differences(fixed)
    check(fixed, content, style, float(dx.abs().sum() + dy.abs().sum()))
    assert (settings.weights, settings.weights_input) == ("imagenet", "imagenet-255")
    assert (settings.pooling, settings.init, settings.bounds) == ("max", "content", False)
    assert [(s.size, s.steps) for s in settings.scales] == [("short:400", 1000)]


def test_jcjohnson_total_variation_has_its_gradient():
    """The source gives this term only a gradient, that of all but the last row and column."""
    fixed = Fixed(preset("jcjohnson"), lambda n, m: n * m)
    (ours,) = torch.autograd.grad(fixed.losses["tv"].sum(), fixed.image)
    x = fixed.image.detach()[0] * 255
    x_diff = x[:, :-1, :-1] - x[:, :-1, 1:]
    y_diff = x[:, :-1, :-1] - x[:, 1:, :-1]
    theirs = torch.zeros_like(x)
    theirs[:, :-1, :-1] += x_diff + y_diff
    theirs[:, :-1, 1:] -= x_diff
    theirs[:, 1:, :-1] -= y_diff
    theirs *= 1e-3
    inside = (slice(None), slice(None, -1), slice(None, -1))
    # Ours is by the image in [0, 1]: 255 times that by the image in [0, 255].
    torch.testing.assert_close(ours[0][inside] / 255, theirs[inside], rtol=1e-9, atol=1e-12)


BOUNDED = {
    "gatys-code": 0.05,
    "jcjohnson": 0.05,
    "neural-style-pt": 0.05,
    "gordicaleksa": 0.02,
    "seed-001": 0.05,
}
"""The longest step of the presets that depart from their source in it; see their comments."""


@pytest.mark.parametrize("name", sorted({*BOUNDED, "gatys-paper", "pytorch-tutorial", *SEEDS}))
def test_optimiser_of_the_sources(name: str):
    settings = preset(name)
    assert (settings.network, settings.optimizer) == ("vgg19", "lbfgs")
    assert (settings.resolved_learning_rate, settings.lbfgs_memory) == (1.0, 100)
    assert settings.longest_step == BOUNDED.get(name)
    if name in BOUNDED:
        assert settings.first_step == 0.02


@pytest.mark.parametrize(
    ("name", "content", "style"),
    [
        ("pytorch-tutorial", ["conv2_2"], ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]),
        ("gatys-paper", ["relu4_2"], RELU),
        ("gatys-code", ["relu4_2"], RELU),
        ("jcjohnson", ["relu4_2"], RELU),
    ],
)
def test_layers(name: str, content: list[str], style: list[str]):
    settings = preset(name)
    assert list(settings.active_content_layers) == content
    assert list(settings.active_style_layers) == style


def terms(settings: BatchSettings, seed: int = 3) -> tuple[Tensor, dict[str, Tensor], Targets]:
    """An image of 20×24 px, features of each layer, and targets made of other features."""
    generator = torch.Generator().manual_seed(seed)

    def features(layer: str, side: int) -> Tensor:
        shape = (1, channels(layer), side, side + 1)
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    layers = sorted({*settings.active_content_layers, *settings.active_style_layers})
    image = torch.rand(1, 3, 20, 24, generator=generator, dtype=torch.float64)
    style = {n: [features(n, 5)] for n in settings.active_style_layers}
    content = {n: features(n, 4) for n in settings.active_content_layers}
    return image, {n: features(n, 4) for n in layers}, Targets(content, style)


def ours(
    settings: BatchSettings, image: Tensor, now: dict[str, Tensor], targets: Targets
) -> dict[str, float]:
    described = {
        layer: [style_kind(settings, 20 * 24).describe(one, None) for one in regions]
        for layer, regions in targets.style.items()
    }
    loss = TransferLoss(Targets(targets.content, described), settings, (20, 24))
    return {name: value.item() for name, value in loss(image, now).items()}


def test_crowsonkb():
    settings = preset("crowsonkb")
    image, now, targets = terms(settings)
    content = 0.015 * float(((now["relu4_2"] - targets.content["relu4_2"]) ** 2).mean())
    weights = [256, 64, 16, 4, 1]
    style = 0.0
    for layer, weight in zip(RELU, weights, strict=True):
        gaussians = []
        for features in (now[layer], targets.style[layer][0]):
            f = matrix(features)
            mean, second = f.mean(dim=1), f @ f.T / f.shape[1]
            eye = 1e-4 * torch.eye(len(f), dtype=torch.float64)
            gaussians.append((mean, second - mean[:, None] * mean[None] + eye))
        (mean, covariance), (other_mean, other) = gaussians
        values, vectors = torch.linalg.eigh(other)
        root = vectors @ torch.diag(values.sqrt()) @ vectors.T
        values, vectors = torch.linalg.eigh(root @ covariance @ root)
        between = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
        distance = ((mean - other_mean) ** 2).mean()
        distance += torch.diagonal(covariance + other - 2 * between).mean()
        style += weight / 341 * distance.item()
    p = torch.nn.functional.pad(image, (1, 1, 1, 1), "replicate")
    middle = p[..., 1:-1, 1:-1]
    tv = 2 * sum(
        ((there - middle) ** 2).mean().item() / share
        for there, share in (
            (p[..., 1:-1, 2:], 3), (p[..., 2:, 1:-1], 3),
            (p[..., 2:, 2:], 12), (p[..., :-2, 2:], 12),
        )
    )  # fmt: skip
    found = ours(settings, image, now, targets)
    assert found["content"] == pytest.approx(content, rel=1e-9)
    assert found["style"] == pytest.approx(style, rel=1e-6)
    assert found["tv"] == pytest.approx(2 * tv, rel=1e-9)
    assert (settings.weights, settings.pooling, settings.init) == ("imagenet", "max", "content")
    assert (settings.optimizer, settings.learning_rate, settings.adam_beta2) == ("adam", 0.02, 0.99)
    assert (settings.average, settings.bounds) == (0.99, True)
    scales = [(s.size, s.steps) for s in settings.scales]
    assert scales == [(128, 1000), (181, 500), (256, 500), (362, 500), (512, 500)]


def test_spst():
    settings = preset("spst")
    image, now, targets = terms(settings)
    content = float(((now["relu4_2"] - targets.content["relu4_2"]) ** 2).mean())
    style = 0.0
    for layer in RELU:
        grams, means, deviations = [], [], []
        for features in (now[layer], targets.style[layer][0]):
            f = matrix(features)
            gram, mean = f @ f.T / f.shape[1], f.sum(dim=1) / f.shape[1]
            grams.append(gram)
            means.append(mean)
            deviations.append((gram.diag() - mean**2).sqrt())
        n = channels(layer)
        w = 1e3 / n**2
        style += w / n**2 * float(((grams[0] - grams[1]) ** 2).sum())
        beside = w * n**2 * 1000 / 100
        style += beside / n * float(((means[0] - means[1]) ** 2).sum())
        style += beside / n * float(((deviations[0] - deviations[1]) ** 2).sum())
    found = ours(settings, image, now, targets)
    assert found["content"] == pytest.approx(content, rel=1e-9)
    # The source adds nothing to its variances, which are not near 0 on a photograph.
    assert found["style"] == pytest.approx(style, rel=1e-4)
    assert (settings.weights, settings.pooling, settings.init) == ("caffe", "max", "content")
    assert [(s.size, s.steps) for s in settings.scales] == [("50%", 600), ("original", 200)]


def test_neural_doodle():
    settings = preset("neural-doodle")
    image, now, targets = terms(settings)
    content = 10 * float(((now["relu4_2"] - targets.content["relu4_2"]) ** 2).mean())
    style = 0.0
    for layer in ("relu3_1", "relu4_1"):
        mine, theirs = (
            [f[0, :, y : y + 3, x : x + 3].flatten()
             for y in range(f.shape[2] - 2) for x in range(f.shape[3] - 2)]
            for f in (now[layer], targets.style[layer][0])
        )  # fmt: skip
        for one in mine:
            best = max(theirs, key=lambda p: float(one @ p / p.norm()))
            style += 25 * float(((one - best) ** 2).mean()) / len(mine)
    x = image * 255
    across, down = x[..., :-1, :-1] - x[..., :-1, 1:], x[..., :-1, :-1] - x[..., 1:, :-1]
    # Their mean is over the positions that have both neighbours, ours over all.
    tv = ((across**2 + down**2) ** 1.25).sum().item() / (3 * 20 * 24)
    found = ours(settings, image, now, targets)
    assert found == pytest.approx(
        {"content": content, "style": style, "tv": tv, "total": content + style + tv}, rel=1e-9
    )
    assert (settings.pooling, settings.init, settings.lbfgs_memory) == ("avg", "noise", 5)
    assert [(s.size, s.steps) for s in settings.scales] == [(128, 100), (256, 100), (512, 100)]
