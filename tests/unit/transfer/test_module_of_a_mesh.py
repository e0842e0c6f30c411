"""StyleTransfer of the texels of a mesh, whose views the losses see."""

from pathlib import Path
from typing import Any, cast

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings, UserError
from nst_lightning.imaging.mask import Mask
from nst_lightning.losses.regions import RegionalLoss
from nst_lightning.mesh.cameras import turntable
from nst_lightning.mesh.texels import Rendering, render_map
from nst_lightning.transfer.keep_colours import luma
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.targets import held_colours
from tests.fitting import fit
from tests.unit.mesh.test_texels import chain, two_materials

LAYERS = {"content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1=0.5,relu3_1"}
SIDE = 28


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def module(
    background: float = 0.5, mask: Mask | None = None, **changes: Any
) -> tuple[StyleTransfer, Tensor]:
    """Returns the module of a ball before a wall in five views, and its texels."""
    surface, texels, atlas = two_materials()
    cameras = turntable(surface, 5)
    rendering = render_map(
        surface, atlas, cameras, SIDE, 2, background=background, dtype=torch.float64
    )
    settings = TransferSettings(**{"weights": "random", "steps": 6, **LAYERS, **changes})
    network = build_network(settings).double()
    model = StyleTransfer.from_images(
        texels.double(),
        noise(1, 3, 20, 24),
        settings,
        rendering=rendering,
        mask=mask,
        network=network,
    )
    return model.double(), texels.double()


def of_views(model: StyleTransfer) -> Rendering:
    assert model.rendering is not None
    return model.rendering


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tv_weight": 3.0},
        {"style_loss": "mean-variance"},
        {"style_loss": "sliced-wasserstein"},
        {"style_loss": "patches", "style_layers": "relu3_1"},
        {"weighting": "start", "init": "noise"},
    ],
)
def test_the_gradient_is_autograds_through_the_whole_chain(changes: dict[str, Any]):
    model, texels = module(**changes)
    start = texels.lerp(noise(*texels.shape, seed=7), 0.5)
    leaf = start.clone().requires_grad_()
    surface, _, atlas = two_materials()
    views = chain(surface, leaf, atlas, turntable(surface, 5), SIDE, 2)
    expected = model.loss(views, model.network(views))
    (gradient,) = torch.autograd.grad(expected["total"].sum(), leaf)
    model.image.data = start.clone()
    losses = model.evaluate(model.see(model.image))
    losses["total"].sum().backward()
    own = model.image.grad
    assert own is not None
    assert float((own - gradient).norm() / gradient.norm()) < 1e-10
    assert losses["total"].tolist() == pytest.approx(expected["total"].tolist(), rel=1e-10)


def test_the_gradient_is_that_of_finite_differences():
    # Without max pooling and with squares alone, the loss has no corners but those of ReLUs.
    model, texels = module(pooling="avg")
    start = texels.lerp(noise(*texels.shape, seed=7), 0.5)
    model.image.data = start.clone()
    model.evaluate(model.see(model.image))["total"].sum().backward()
    way = noise(*texels.shape, seed=8) - 0.5

    def value(step: float) -> float:
        return float(model.evaluate(model.see(start + step * way))["total"].detach())

    step = 1e-6
    slope = (value(step) - value(-step)) / (2 * step)
    assert model.image.grad is not None
    assert slope == pytest.approx(float((model.image.grad * way).sum()), rel=1e-5)


def test_the_background_has_no_say():
    one, texels = module(0.5)
    other, _ = module(0.1)
    covered = of_views(one).coverage
    for layer, loss in one.loss.style.items():
        (guided,) = cast(RegionalLoss, loss).losses
        guide = cast(Tensor, guided.shares)
        halvings = int(layer[4]) - 1
        there = F.adaptive_avg_pool2d(covered, (guide.shape[-2], guide.shape[-1]))
        assert (guide[there == 0] == 0).all()
        assert float(there[guide > 0].min()) > 0
        assert guide.shape[-1] == covered.shape[-1] >> halvings
    # A background that changes further from the mesh than the layers see changes no style.
    near = F.max_pool2d(covered, 29, 1, 14) > 0
    assert not near.all()
    views = one.see(texels)
    changed = torch.where(near, views, noise(*views.shape, seed=9))
    a, b = (one.evaluate(each)["style"].tolist() for each in (views, changed))
    assert b == pytest.approx(a, rel=1e-12)
    # What the background is, the content's is too: at its own start no content is lost.
    for model in (one, other):
        assert model.evaluate(model.see(texels))["content"].tolist() == pytest.approx(
            [0], abs=1e-20
        )


def test_it_is_fitted_and_bounded_and_unseen_texels_stay():
    model, texels = module(init="noise", average=0.5)
    start = model.image.detach().clone()
    before = float(model.evaluate(model.see(start))["total"].detach())
    fit(model, precision="64-true")
    result = model.result()
    assert result.shape == texels.shape
    assert float(model.evaluate(model.see(result))["total"].detach()) < 0.7 * before
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    unseen = (of_views(model).texel_pixels == 0).expand_as(texels)
    assert unseen.any()
    assert torch.equal(model.image.detach()[unseen], start[unseen])
    torch.testing.assert_close(model.shown(), of_views(model).see(result))


def test_its_colours_are_kept_on_the_texels():
    model, texels = module(preserve_color="luminance")
    fit(model, precision="64-true")
    gray = model.optimised()
    result = model.result()
    torch.testing.assert_close(luma(result), luma(gray), rtol=0, atol=1e-6)
    # Where there is room, the difference from gray is that of the texture.
    free = ((result > 0) & (result < 1)).all(dim=1, keepdim=True)
    difference = (result - luma(result)) - (texels - luma(texels))
    assert float(difference[free.expand_as(difference)].abs().median()) < 1e-6


def test_the_colours_of_the_mesh_are_those_in_front_of_the_background():
    guide = torch.tensor([[[[0.0, 0.5, 1.0, 1.0]]]])
    image = torch.arange(12.0).view(1, 3, 1, 4)
    assert held_colours(image, guide).tolist() == [[[[2.0, 3.0]], [[6.0, 7.0]], [[10.0, 11.0]]]]
    assert held_colours(image, guide / 2).shape == (1, 3, 1, 2)


def test_a_batch_is_its_meshes_alone():
    model, texels = module()
    settings, network, rendering = model.settings, model.network, of_views(model)
    styles = noise(2, 3, 20, 24, seed=5)
    both = StyleTransfer.from_images(
        torch.cat([texels, texels]), styles, settings, rendering=rendering, network=network
    ).double()
    together = both.evaluate(both.see(both.image))["total"]
    for b in range(2):
        alone = StyleTransfer.from_images(
            texels, styles[b : b + 1], settings, rendering=rendering, network=network
        ).double()
        total = alone.evaluate(alone.see(alone.image))["total"]
        assert total.tolist() == pytest.approx(together[b : b + 1].tolist(), rel=1e-10)


class SaveAt(L.Callback):
    """Saves a checkpoint after the third step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if index == 2:
            trainer.save_checkpoint(self.path)


def test_an_interrupted_fit_goes_on_bit_for_bit(tmp_path: Path):
    model, _ = module()
    saved = tmp_path / "at-3.ckpt"
    fit(model, precision="64-true", callbacks=[SaveAt(saved)])
    rest = StyleTransfer.load_from_checkpoint(
        saved, rendering=of_views(model), network=model.network
    )
    assert not torch.equal(rest.image, model.image)
    fit(rest, saved, precision="64-true")
    assert torch.equal(rest.image, model.image)


def test_a_mask_is_refused():
    with pytest.raises(UserError, match="no regions"):
        module(mask=Mask(("#000000",), torch.ones(1, 1, 4, 4)))


def test_the_rendering_goes_where_the_module_goes():
    model, _ = module()
    assert of_views(model).coverage.dtype == torch.float64
    assert of_views(model.float()).matrix.weights.dtype == torch.float32
