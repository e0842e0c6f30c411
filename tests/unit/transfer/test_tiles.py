"""An image in tiles has the losses and the gradient that it has as a whole."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings, UserError
from nst_lightning.imaging.mask import Mask
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.objective import compute_terms, value_and_gradient
from nst_lightning.transfer.targets import Style, make_targets
from nst_lightning.transfer.walk import make_walk
from nst_lightning.vgg.network import VGG

LAYERS = "conv1_1=0.5,relu1_2,relu2_1=0.7,conv3_1,pool3=0.3,relu4_1,relu5_1"
HEIGHT, WIDTH = 131, 149


def image(seed: int, height: int = HEIGHT, width: int = WIDTH, batch: int = 1) -> Tensor:
    """Smooth enough for features at all depths, and with some detail."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 9, 7, generator=generator).double()
    fine = torch.rand(batch, 3, height, width, generator=generator).double()
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (0.7 * smooth + 0.3 * fine).clamp(0, 1)


def module(regions: bool = False, batch: int = 1, **changes: Any) -> StyleTransfer:
    fixed = {"weights": "random", "style_layers": LAYERS, "content_layers": "relu2_1,relu4_2=0.3"}
    settings = TransferSettings(**{**fixed, "style_weight": 1e3, "tv_weight": 2.0, **changes})
    network = build_network(settings).double()
    styles, mask = [Style(image(2, 80, 101)), Style(image(5, 84, 77), share=2.0)], None
    if regions:
        inside = torch.zeros(1, 2, HEIGHT, WIDTH)
        inside[:, 0, :70], inside[:, 1, 70:, 31:] = 1, 0.7
        mask = Mask(("#00ff00", "#ff0000"), inside)
        styles = [styles[0], Style(image(5, 84, 77), region="#ff0000")]
    content = image(1, batch=batch)
    return StyleTransfer.from_images(content, styles, settings, mask=mask, network=network).double()


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


CASES: list[dict[str, Any]] = [
    {},
    {"regions": True},
    {"batch": 2, "pooling": "avg", "tv": "squared"},
    {"padding": "replicate", "tv": "titu1994"},
    {"padding": "reflect", "pooling": "avg", "tv": "nine-point"},
    {"network": "vgg16", "gram": "titu1994", "tv_reduction": "sum"},
    {"gram": "tutorial", "content_loss": "type1", "weighting": "energy"},
    {"style_loss": "mean-variance", "regions": True},
    {"style_loss": "gram-moments", "regions": True, "weighting": "start", "init": "noise"},
    {"style_loss": "wasserstein", "style_layers": "relu1_1,relu2_1,relu3_1"},
    {"style_loss": "wasserstein", "style_layers": "relu1_1,relu3_1", "regions": True},
    {"style_loss": "patches", "style_layers": "conv3_1,relu3_4,pool3,relu4_1"},
    {"style_loss": "patches", "style_layers": "relu3_1,relu4_1", "regions": True},
    {"preserve_color": "luminance"},
]


@pytest.mark.parametrize("tile", [64, 128])
@pytest.mark.parametrize("changes", CASES, ids=str)
def test_the_gradient_is_that_of_the_whole(changes: dict[str, Any], tile: int):
    model = module(**changes)
    start = image(3, batch=len(model.image))
    terms, gradient = value_and_gradient(model.network, model.loss, start, torch.float64)
    walk = make_walk(model.settings, tile)
    own, found = value_and_gradient(model.network, model.loss, start, torch.float64, walk)
    # Roots of matrices pass on more of what was rounded.
    tolerance = 1e-9 if model.settings.style_loss == "wasserstein" else 1e-12
    for name, value in terms.items():
        assert own[name].tolist() == pytest.approx(value.tolist(), rel=tolerance)
    assert distance(found, gradient) < tolerance
    alone = compute_terms(model.network, model.loss, start, torch.float64, walk)
    assert alone["total"].tolist() == pytest.approx(own["total"].tolist(), rel=tolerance)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "changes",
    [{}, {"padding": "reflect"}, {"style_loss": "patches", "style_layers": "relu3_4,relu4_1"}],
    ids=str,
)
def test_a_margin_that_is_short_is_seen(
    changes: dict[str, Any], which: int, monkeypatch: pytest.MonkeyPatch
):
    """It changes so little that only float64 tells."""
    model = module(**changes)
    start = image(3)
    _, gradient = value_and_gradient(model.network, model.loss, start, torch.float64)
    block = VGG._block

    def shorter(self: VGG, *arguments: Any) -> Any:
        made = block(self, *arguments)
        forward, backward = made.margins
        made.margins = (forward - 2 * (which == 0), backward - 2 * (which == 1))
        return made

    monkeypatch.setattr(VGG, "_block", shorter)
    walk = make_walk(model.settings, 64)
    _, found = value_and_gradient(model.network, model.loss, start, torch.float64, walk)
    assert distance(found, gradient) > 1e-10


@pytest.mark.parametrize("style_loss", ["gram", "patches", "sliced-wasserstein"])
def test_targets_are_those_of_the_whole(style_loss: str):
    layers = "relu3_1,relu4_1"
    settings = TransferSettings(weights="random", style_loss=style_loss, style_layers=layers)
    network = build_network(settings).double()
    styles = [Style(image(2, 80, 101))]
    each = [
        make_targets(network, image(1), styles, None, settings, walk)
        for walk in (make_walk(settings, None), make_walk(TransferSettings(), 64))
    ]
    for layer, whole in each[0].content.items():
        assert distance(each[1].content[layer], whole) < 1e-12
    for layer, (whole,) in each[0].style.items():
        assert distance(each[1].style[layer][0], whole) < 1e-12


def test_tiles_of_any_size_have_one_loss_in_float32():
    model = module().float()
    start = image(3).float()
    losses = [
        value_and_gradient(
            model.network, model.loss, start, torch.float32, make_walk(model.settings, tile)
        )[0]["total"].item()
        for tile in (None, 32, 64, 128)
    ]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-5)


def test_in_bfloat16_tiles_are_as_near_as_the_whole():
    model = module().float()
    start = image(3).float()
    network, loss = model.network, model.loss
    _, exact = value_and_gradient(network, loss, start, torch.float32)
    _, rough = value_and_gradient(network, loss, start, torch.bfloat16)
    walk = make_walk(model.settings, 64)
    _, tiled = value_and_gradient(network, loss, start, torch.bfloat16, walk)
    assert 0 < distance(tiled, exact) < 1.2 * distance(rough, exact)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"style_loss": "sliced-wasserstein"}, "sorts the features of the whole image"),
        ({"normalize_gradients": True}, "needs the gradient of the whole image"),
    ],
)
def test_what_needs_the_whole_says_so(changes: dict[str, Any], said: str):
    with pytest.raises(UserError, match=said):
        make_walk(TransferSettings(**changes), 64)


def test_tiles_meet_on_a_grid():
    for tile in (0, 8, 40):
        with pytest.raises(UserError, match=f"tile {tile}: should be a multiple of 16"):
            make_walk(TransferSettings(), tile)
