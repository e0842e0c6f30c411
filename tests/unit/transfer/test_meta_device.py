"""Targets, starts, steps and results on `meta`, which stands for any GPU: all on one device, and
no wait for it that is not named."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.imaging.mask import Mask
from nst_lightning.imaging.writing import write_image
from nst_lightning.losses.style import style_kind
from nst_lightning.settings.transfer import ColorVariant, PreserveColor, StyleLossName
from nst_lightning.transfer.detail import add_detail
from nst_lightning.transfer.keep_colours import content_colours, style_colours
from nst_lightning.transfer.module import WINDOW, build_network
from nst_lightning.transfer.start import starting_image
from nst_lightning.transfer.targets import Style, make_targets, stack_targets
from nst_lightning.vgg.network import VGG
from tests.one_device import META, Exempt, OneDevice, blank_weights, switch_off_autocast

HEIGHT, WIDTH = 40, 33
STYLE_LOSSES = get_args(StyleLossName)
LAYERS = {"content_layers": "conv2_2", "style_layers": "relu1_1,relu3_1=2"}
"""One of each is enough: what happens to a layer does not depend on how deep it lies."""

DESCRIBING: dict[str, tuple[Exempt, ...]] = {
    "patches": ("number", "positions"),  # those inside a region are as many as they are
    "wasserstein": ("check",),
}
"""Style loss → the waits that making its targets needs."""

STEPPING: dict[str, tuple[Exempt, ...]] = {"wasserstein": ("check",)}
"""Style loss → the waits of each of its steps: for eigenvalues."""


@pytest.fixture(autouse=True)
def without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    switch_off_autocast(monkeypatch)


def image(batch: int = 1, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """On the CPU, where images are read; what it shows does not matter."""
    return torch.full((batch, 3, height, width), 0.5)


def network(settings: TransferSettings) -> VGG:
    """On the CPU, as it is built."""
    return build_network(settings, blank_weights(settings.network))


def masked() -> Mask:
    """Two regions, and a part of the image in neither."""
    inside = torch.zeros(1, 2, HEIGHT, WIDTH)
    inside[:, 0, :20], inside[:, 1, 20:, 9:] = 1, 0.7
    return Mask(("#00ff00", "#ff0000"), inside)


ARRANGEMENTS: dict[str, tuple[list[Style], Mask | None]] = {
    "plain": ([Style(image(1, 30, 52))], None),
    "regions": (
        [Style(image(1, 30, 52), region="#ff0000"), Style(image(1, 44, 40), mask=masked())],
        masked(),
    ),
    "blend": ([Style(image(1, 30, 52), share=3), Style(image(1, 48, 40))], None),
}


def transfer(
    arrangement: str = "plain",
    batch: int = 1,
    dtype: torch.dtype = torch.float32,
    recompute: bool = False,
    **settings: Any,
) -> StyleTransfer:
    """As a Trainer has it: made on the CPU, brought to the device, and there its targets made."""
    deep = {"style_layers": "relu3_1"} if settings.get("style_loss") == "patches" else {}
    chosen = TransferSettings(**{"weights": "random", **LAYERS, **deep, **settings})
    styles, mask = ARRANGEMENTS[arrangement]
    net = network(chosen)
    model = StyleTransfer(
        image(batch), styles, chosen, mask=mask, network=net, recompute=recompute
    ).to(META, dtype)
    waits = DESCRIBING.get(chosen.style_loss, ())
    colours: tuple[Exempt, ...] = ("check",) if chosen.preserve_color == "match-linear" else ()
    with OneDevice("upload", *waits, *colours):
        model.prepare()
    return model


def make_steps(model: StyleTransfer, count: int = 2) -> None:
    """Makes steps and looks at where everything is."""
    waits = STEPPING.get(model.settings.style_loss, ())
    with OneDevice(*waits):
        optimizer = model.configure_optimizers()
        for step in range(1, count + 1):
            model.make_step(optimizer, step)
        assert model.image.grad is not None
        others = (*model.losses.values(), model.result(), *model.buffers())
        state = optimizer.state[model.image]
        for tensor in (model.image, model.image.grad, *others):
            assert tensor.device == META
        for name, kept in state.items():
            # Adam's own count of steps stays on the CPU, as a scalar.
            assert kept.device == META or (name == "step" and kept.ndim == 0)
    for value in model.losses.values():
        assert value.shape == (len(model.image),)
        assert value.dtype == model.image.dtype
    assert model.result().shape == model.image.shape


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
@pytest.mark.parametrize(
    ("arrangement", "batch"),
    [("plain", 1), ("plain", 3), ("regions", 1), ("regions", 3), ("blend", 3)],
)
def test_every_style_loss(style_loss: str, arrangement: str, batch: int):
    make_steps(transfer(arrangement, batch, style_loss=style_loss))


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
def test_every_style_loss_with_other_units_and_gradients(style_loss: str):
    for arrangement, changes in (
        ("plain", {"weighting": "energy", "style_scale": "0.9,1"}),
        ("regions", {"weighting": "start", "init": "noise"}),
        ("regions", {"normalize_gradients": True, "optimizer": "adam"}),
    ):
        make_steps(transfer(arrangement, 2, style_loss=style_loss, **changes), 1)


@pytest.mark.parametrize("style_loss", STYLE_LOSSES)
@pytest.mark.parametrize(
    ("precision", "arrangement"),
    [
        (torch.float64, "regions"),
        (torch.bfloat16, "plain"),
        (torch.bfloat16, "regions"),
        (torch.float16, "plain"),
        (torch.float16, "regions"),
    ],
    ids=str,
)
def test_every_precision_of_the_network(
    style_loss: str, arrangement: str, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    """Half precisions are the network's alone; the gradient in float16 has a scale."""
    half = precision in (torch.bfloat16, torch.float16)
    model = transfer(arrangement, 2, torch.float32 if half else precision, style_loss=style_loss)
    if half:
        switch_off_autocast(monkeypatch, precision)
    make_steps(model, 1)
    assert {dtype for _, dtype in model.network.prepared} >= {precision}


CHANGES: list[dict[str, Any]] = [
    {"first_step": "torch"},
    {"longest_step": "none"},
    {"bounds": False, "lbfgs_memory": 2, "learning_rate": 0.5},
    {"optimizer": "adam"},
    {"optimizer": "adam", "bounds": False, "adam_beta2": 0.9},
    {"optimizer": "adam", "normalize_gradients": True, "average": 0.9},
    {"average": 0.9},
    {"network": "vgg16", "pooling": "avg"},
    {"recompute": True},
    {"recompute": True, "pooling": "avg", "weighting": "energy"},
    {"style_weight": 0.0, "content_layers": "relu1_1,conv2_2,pool2"},
    {"content_weight": 0.0},
    {"style_fit": "content", "style_scale": "0.5,2"},
    *({"content_loss": kind} for kind in ("paper", "type0", "type1", "type2", "relative")),
    *({"gram": kind} for kind in ("tutorial", "paper", "jcjohnson", "titu1994")),
    *({"tv_weight": 2.0, "tv": kind} for kind in ("anisotropic", "squared", "titu1994")),
    {"tv_weight": 2.0, "tv": "nine-point", "tv_reduction": "sum", "pixel_range": 255},
    *({"init": start} for start in ("content", "noise", "gray", "style")),
    {"preserve_color": "luminance"},
    {"preserve_color": "match-histogram"},
    *({"preserve_color": "match-linear", "color_variant": v} for v in ("cholesky", "symmetric")),
]  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_every_other_setting(changes: dict[str, Any]):
    make_steps(transfer("plain", 2, **changes))


@pytest.mark.parametrize(
    "changes", [{"average": 0.9}, {"preserve_color": "luminance"}, {"recompute": True}], ids=str
)
def test_other_settings_with_a_part_that_stays_the_contents(changes: dict[str, Any]):
    make_steps(transfer("regions", 2, **changes))


def test_finished_targets_are_stacked():
    """Of images with regions and without, as the worker makes them."""
    settings = TransferSettings(weights="random", **LAYERS)
    net, style = network(settings).to(META), [Style(image(1, 30, 52).to(META))]
    content = image().to(META)
    with OneDevice("upload"):
        each = [make_targets(net, content, style, mask, settings) for mask in (masked(), None)]
        targets = stack_targets(each, style_kind(settings, HEIGHT * WIDTH))
        contents = image(2).to(META)
        model = StyleTransfer(contents, targets, settings, init=contents, network=net).to(META)
    make_steps(model)


def test_a_look_at_the_losses_waits_every_window_and_no_step_between():
    model = transfer(stop_below=0.01)
    model._trainer = cast(
        Any, SimpleNamespace(precision_plugin=MixedPrecision("bf16-mixed", "cpu"))
    )
    make_steps(model)
    with OneDevice():
        for step in range(WINDOW):
            assert model.on_train_batch_start(None, step) is None
    with OneDevice("number"):
        assert model.on_train_batch_start(None, WINDOW) is None
    assert model.float32_from == WINDOW + 1
    assert model.stopped_at.device == META
    make_steps(model)


def test_a_scaled_gradient():
    """GradScaler leaves its scale, a scalar of the device, to the optimiser."""
    model = transfer()
    with OneDevice():
        made = cast(Any, model.configure_optimizers())
        made.grad_scale = torch.ones((), device=META)
        model.make_step(made, 1)
        model.make_step(made, 2)


def test_losses_by_themselves_and_for_autograd():
    for style_loss in STYLE_LOSSES:
        model = transfer("regions", 2, style_loss=style_loss)
        with OneDevice(*STEPPING.get(style_loss, ())):
            terms = model.evaluate(model.image.detach())
            leaf = model.image.detach().clone().requires_grad_(True)
            through = model.loss(leaf, model.network(leaf))
            (gradient,) = torch.autograd.grad(through["total"].sum(), leaf)
        assert {value.device for value in (*terms.values(), gradient)} == {META}


def test_a_saved_image_waits_for_its_numbers_once(tmp_path: Path):
    model = transfer()
    with OneDevice("download"):
        model.save(tmp_path / "result.png")
    assert (tmp_path / "result.png").is_file()


@pytest.mark.parametrize("init", ["content", "noise", "gray", "style", "file"])
def test_every_start(init: str, tmp_path: Path):
    if init == "file":
        init = str(tmp_path / "start.png")
        write_image(Path(init), image()[0])
    settings = TransferSettings(init=init)
    contents, style = image(3).to(META), image(1, 20, 50).to(META)
    with OneDevice("upload"):
        assert starting_image(contents, style, settings, seed=3).device == META
    with OneDevice():
        if init in ("content", "gray", "style"):
            starting_image(contents, style, settings)


@pytest.mark.parametrize("how", ["none", "luminance", "match-linear", "match-histogram"])
@pytest.mark.parametrize("variant", ["symmetric", "cholesky", "pca"])
@pytest.mark.parametrize("batch", [1, 3])
def test_every_way_to_keep_colours(how: PreserveColor, variant: ColorVariant, batch: int):
    contents, style = image(batch).to(META), image(1, 20, 50).to(META)
    checks: tuple[Exempt, ...] = ("check",) if how == "match-linear" else ()
    with OneDevice(*checks):
        found = (style_colours(style, contents, how, variant), content_colours(contents, how))
    assert [one.device for one in found] == [META, META]


@pytest.mark.parametrize("keep_colours", [False, True])
def test_detail(keep_colours: bool):
    result, content = image().to(META), image(1, 80, 66).to(META)
    with OneDevice():
        large = add_detail(result, content, keep_colours=keep_colours)
    assert large.device == META


def test_a_module_of_images_on_the_device_is_all_there():
    settings = TransferSettings(**LAYERS, average=0.5, preserve_color="luminance")
    there = image().to(META)
    model = StyleTransfer.from_images(there, there, settings, init=there, network=network(settings))
    assert {tensor.device for tensor in [model.image, *model.buffers(recurse=False)]} == {META}
