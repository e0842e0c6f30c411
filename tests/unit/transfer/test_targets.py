"""Blends and regions: what an image is drawn to."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings, UserError
from nst_lightning.imaging.mask import Mask
from nst_lightning.losses.style import style_kind
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.targets import Style, make_targets, stack_targets
from tests.fitting import fit

SMALL = {"weights": "random", "content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1"}


def image(seed: int, batch: int = 1, side: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, side, side + 4, generator=generator)


def halves(height: int, width: int, colours: tuple[str, str] = ("#000000", "#ffffff")) -> Mask:
    """Left and right."""
    inside = torch.zeros(1, 2, height, width)
    inside[:, 0, :, : width // 2], inside[:, 1, :, width // 2 :] = 1, 1
    return Mask(colours, inside)


def fitted(model: StyleTransfer) -> StyleTransfer:
    fit(model)
    return model


def model(styles: Tensor | list[Style], mask: Mask | None = None, **changes: Any) -> StyleTransfer:
    settings = TransferSettings(**{"steps": 6, **SMALL, **changes})
    return StyleTransfer.from_images(image(0), styles, settings, mask=mask)


def losses(made: StyleTransfer, image: Tensor) -> list[float]:
    with torch.no_grad():
        return [float(value) for value in made.evaluate(image).values()]


@pytest.mark.parametrize("name", ["gram", "mean-variance", "wasserstein", "sliced-wasserstein"])
def test_a_mask_of_one_region_is_no_mask(name: str):
    whole = Mask(("#ffffff",), torch.ones(1, 1, 24, 28))
    plain = model(image(1), style_loss=name)
    for own in (None, whole):
        masked = model([Style(image(1), mask=own)], whole, style_loss=name)
        assert losses(masked, image(2)) == pytest.approx(losses(plain, image(2)), rel=1e-4)
        assert masked.kept is not None
        assert masked.kept.max() == 0


def test_a_region_without_style_keeps_the_content():
    mask = halves(24, 28)
    for init in ("content", "noise"):
        made = fitted(model([Style(image(1), region="#ffffff")], mask, init=init))
        drawn = made.result()
        assert torch.equal(drawn[..., :14], image(0)[..., :14])
        assert (drawn[..., 14:] - image(0)[..., 14:]).abs().mean() > 0.01


def test_soft_edges_are_between():
    mask = Mask(("#ffffff",), torch.full((1, 1, 24, 28), 0.25))
    made = model([Style(image(1))], mask)
    with torch.no_grad():
        made.image.copy_(image(3))
    expected = 0.25 * image(3) + 0.75 * image(0)
    assert torch.allclose(made.result(), expected, atol=1e-6)


def test_each_region_has_its_own_style():
    """What is drawn in a region comes nearer to the style of that region than to the other's."""
    dark, light = image(4) * 0.2, 1 - image(5) * 0.2
    styles = [Style(dark, region="#000000"), Style(light, region="#ffffff")]
    made = fitted(model(styles, halves(24, 28), steps=30, content_weight=0.0))
    drawn = made.result()
    assert drawn[..., :13].mean() < 0.35
    assert drawn[..., 15:].mean() > 0.65
    other = fitted(
        model(styles, halves(24, 28, ("#ffffff", "#000000")), steps=30, content_weight=0.0)
    )
    assert other.result()[..., :13].mean() > 0.65


def test_regions_of_a_style_are_matched_by_colour():
    two = torch.cat([image(4)[..., :14] * 0.2, 1 - image(5)[..., :14] * 0.2], dim=3)
    style = Style(two, mask=halves(24, 28, ("#ff0000", "#00ff00")))
    made = fitted(
        model([style], halves(24, 28, ("#00ff00", "#ff0000")), steps=30, content_weight=0.0)
    )
    assert made.result()[..., :13].mean() > 0.65 > 0.35 > made.result()[..., 15:].mean()


def test_no_region_with_a_style():
    with pytest.raises(UserError, match="none of the content's regions"):
        model([Style(image(1), region="#123456")], halves(24, 28)).prepare()


def test_shares_of_a_blend():
    alone = losses(model(image(1)), image(2))
    one_and_nothing = [Style(image(1), 1.0), Style(image(3), 0.0)]
    assert losses(model(one_and_nothing), image(2)) == pytest.approx(alone, rel=1e-5)
    settings = TransferSettings(**SMALL)
    network = build_network(settings)
    made = [
        make_targets(network, image(0), styles, None, settings).style["relu2_1"][0]
        for styles in (
            [Style(image(1), 3.0), Style(image(3), 1.0)],
            [Style(image(1))],
            [Style(image(3))],
        )
    ]
    assert torch.allclose(made[0], 0.75 * made[1] + 0.25 * made[2])


def test_sizes_of_strokes_are_blended():
    settings = TransferSettings(**SMALL, style_scale="0.5,1")
    network = build_network(settings)
    both, small, large = (
        make_targets(
            network, image(0), [Style(image(1))], None, settings.model_copy(update=change)
        ).style["relu1_1"][0]
        for change in ({}, {"style_scale": [0.5]}, {"style_scale": [1.0]})
    )
    assert torch.allclose(both, (small + large) / 2)
    assert not torch.allclose(small, large, rtol=0.01)


@pytest.mark.parametrize("name", ["gram", "sliced-wasserstein", "patches"])
def test_a_batch_is_its_images_alone(name: str):
    """Images without regions, with two and with three, and styles of different sizes."""
    layers = "relu3_1" if name == "patches" else "relu2_1"
    settings = TransferSettings(**SMALL | {"style_layers": layers}, style_loss=name)
    network = build_network(settings)
    kind = style_kind(settings, 24 * 28)
    three = torch.zeros(1, 3, 24, 28)
    three[:, 0, :, :9], three[:, 1, :, 9:18], three[:, 2, :, 18:] = 1, 1, 1
    masks = [None, halves(24, 28), Mask(("#000000", "#111111", "#ffffff"), three)]
    styles = [
        [Style(image(1))],
        [Style(image(2), region="#ffffff")],
        [Style(image(3, side=30)), Style(image(4, side=20), region="#111111")],
    ]
    single = [make_targets(network, image(5 + i), styles[i], masks[i], settings) for i in range(3)]
    contents = torch.cat([image(5 + i) for i in range(3)])
    start = image(9, batch=3)
    targets = stack_targets(single, kind)
    together = StyleTransfer(contents, targets, settings, init=start, network=network)
    with torch.no_grad():
        found = together.evaluate(start)["total"]
        drawn = together.composed(start)
    for i in range(3):
        own = start[i : i + 1]
        alone = StyleTransfer(contents[i : i + 1], single[i], settings, init=own, network=network)
        expected = losses(alone, own)[-1]
        # Quantiles of a smaller style are interpolated in a batch with a larger one.
        assert float(found[i]) == pytest.approx(expected, rel=0.02 if "sliced" in name else 1e-4)
        assert torch.equal(drawn[i], alone.composed(own)[0])


def test_the_average_is_that_of_a_literal_loop():
    made = model(image(1), optimizer="adam", average=0.8, steps=5)
    seen = [made.image.detach().clone()]
    step = made.training_step

    def noted(batch: Any, batch_idx: int) -> None:
        step(batch, batch_idx)
        seen.append(made.image.detach().clone())

    made.training_step = noted  # type: ignore[method-assign]
    fit(made)
    value, accumulated = torch.zeros_like(seen[0]), 1.0
    for one in seen:
        value = 0.8 * value + 0.2 * one
        accumulated *= 0.8
    assert torch.allclose(made.result(), value / (1 - accumulated), atol=1e-6)
    assert not torch.allclose(made.result(), seen[-1], atol=1e-4)
