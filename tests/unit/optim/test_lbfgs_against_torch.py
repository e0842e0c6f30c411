"""BatchedLBFGS against torch.optim.LBFGS, image by image."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from nst_lightning.losses.content import ContentLoss
from nst_lightning.losses.gram import GramLoss, gram
from nst_lightning.optim.lbfgs import BatchedLBFGS
from nst_lightning.vgg.network import VGG
from nst_lightning.vgg.weights import load_weights

Objective = Callable[[Tensor], Tensor]
AS_TORCH: dict[str, Any] = {"first_step": None, "tolerance_grad": 1e-7, "tolerance_change": 1e-9}


def smooth(x: Tensor) -> Tensor:
    """A curved, non-quadratic valley; (B, n) → (B,)."""
    scale = torch.linspace(1, 30, x.shape[-1], dtype=x.dtype)
    bend = ((x[..., 1:] * x[..., :-1]) ** 2).sum(-1)
    return (scale * (x - 1) ** 2).sum(-1) + 0.5 * (1 - torch.cos(2 * x)).sum(-1) + 0.1 * bend


def by_torch(objective: Objective, start: Tensor, steps: int, memory: int) -> Tensor:
    x = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([x], lr=1, max_iter=1, history_size=memory)
    losses = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective(x).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(optimizer.step(closure).item())
    return torch.tensor(losses, dtype=torch.float64)


def by_ours(
    objective: Objective, start: Tensor, steps: int, memory: int, units: float = 1.0
) -> Tensor:
    """(steps, B)"""
    x = torch.nn.Parameter(start.clone())
    optimizer = BatchedLBFGS([x], memory=memory, units=units, **AS_TORCH)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = objective(x)
        loss.sum().backward()
        optimizer.step()
        losses.append(loss.detach().double())
    return torch.stack(losses)


@pytest.fixture(scope="module")
def real_objective() -> tuple[Objective, Tensor]:
    """Content and Gram losses on a VGG, for two images of 40×36 px, in float64."""
    network = VGG(load_weights("random"), ["relu1_1", "relu2_1", "relu3_1"]).double()
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(3, 3, 40, 36, generator=generator, dtype=torch.float64)
    images = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    features = network(images)
    style = {
        n: GramLoss(gram(f[:1], "positions"), normalisation="positions", pixels=1)
        for n, f in features.items()
    }
    content = ContentLoss(features["relu3_1"][1:2], "mse", 40 * 36)

    def objective(x: Tensor) -> Tensor:
        found = network(x)
        return content(found["relu3_1"]) + 10 * sum(style[n](f) for n, f in found.items())

    return objective, images[1:]


@pytest.mark.parametrize("memory", [100, 10, 3])
def test_follows_torch_on_a_smooth_function(memory: int):
    start = 0.5 * torch.randn(
        3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    ours = by_ours(smooth, start, 40, memory)
    for b in range(3):
        theirs = by_torch(smooth, start[b : b + 1], 40, memory)
        assert ((ours[:, b] - theirs).abs() / theirs).max() < 1e-9


def test_follows_torch_on_the_real_objective(real_objective: tuple[Objective, Tensor]):
    objective, start = real_objective
    ours = by_ours(objective, start[:1], 100, 100)[:, 0]
    theirs = by_torch(objective, start[:1], 100, 100)
    assert theirs[-1] < 0.2 * theirs[0]
    assert ((ours - theirs).abs() / theirs).max() < 1e-6
    batch = by_ours(objective, start, 100, 100)
    assert ((batch[:, 0] - ours).abs() / ours).max() < 1e-6


def test_follows_torch_in_float32():
    start = 0.5 * torch.randn(1, 500, generator=torch.Generator().manual_seed(0))
    ours, theirs = by_ours(smooth, start, 10, 100)[:, 0], by_torch(smooth, start, 10, 100)
    assert ((ours - theirs).abs() / theirs).max() < 1e-3


def test_a_first_step_lost_in_rounding_is_followed_by_whole_ones_as_in_torch():
    def objective(x: Tensor) -> Tensor:
        return 0.05 * x.square().sum(-1)

    start = 1e5 + torch.rand(1, 4096, generator=torch.Generator().manual_seed(0))
    ours, theirs = by_ours(objective, start, 10, 10)[:, 0], by_torch(objective, start, 10, 10)
    assert ours[1] == ours[0]
    assert ours[-1] < 1e-3 * ours[0]
    torch.testing.assert_close(ours[:3], theirs[:3], rtol=1e-5, atol=0)


def test_the_scale_of_the_loss_does_not_matter():
    start = torch.randn(1, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def run(scale: float) -> Tensor:
        x = torch.nn.Parameter(start.clone())
        optimizer = BatchedLBFGS([x])
        for _ in range(20):
            optimizer.zero_grad()
            (scale * smooth(x)).sum().backward()
            optimizer.step()
        return x.detach()

    assert torch.allclose(run(1.0), run(1e-9), rtol=1e-6)


def test_the_first_step_has_the_given_length():
    x = torch.nn.Parameter(torch.rand(2, 3, 8, 8))
    before = x.detach().clone()
    x.grad = torch.randn(2, 3, 8, 8) * torch.tensor([1e-6, 1e6]).view(2, 1, 1, 1)
    BatchedLBFGS([x], first_step=0.03).step()
    moved = x.detach() - before
    assert moved.square().mean((1, 2, 3)).sqrt() == pytest.approx([0.03, 0.03], rel=1e-4)
    assert (moved * x.grad <= 0).all()


def test_no_step_is_longer_than_the_longest():
    def run(longest: float | None) -> list[float]:
        x = torch.nn.Parameter(torch.full((1, 2), 5.0, dtype=torch.float64))
        optimizer = BatchedLBFGS([x], first_step=0.01, longest_step=longest)
        lengths = []
        for _ in range(20):
            before = x.detach().clone()
            x.grad = 1e3 * torch.tensor([[1.0, 30.0]], dtype=torch.float64) * (x.detach() - 1)
            optimizer.step()
            lengths.append(float((x.detach() - before).square().mean().sqrt()))
        return lengths

    assert max(run(None)) > 1
    capped = run(0.5)
    assert max(capped) == pytest.approx(0.5)
    assert capped[-1] < 1e-3  # it arrived all the same


def test_the_displacement_within_bounds_enters_the_memory():
    x = torch.nn.Parameter(torch.full((1, 4), 0.99))
    optimizer = BatchedLBFGS([x], first_step=0.5, bounds=(0.0, 1.0))
    x.grad = torch.full((1, 4), -1.0)
    optimizer.step()
    assert torch.equal(x.detach(), torch.ones(1, 4))
    assert optimizer.state[x]["displacement"] == pytest.approx(torch.full((1, 4), 0.01), abs=1e-6)


def test_one_broken_image_leaves_the_others_alone():
    start = torch.randn(3, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def run(rows: list[int], poison: int | None) -> Tensor:
        x = torch.nn.Parameter(start[rows].clone())
        optimizer = BatchedLBFGS([x])
        for step in range(15):
            optimizer.zero_grad()
            smooth(x).sum().backward()
            if x.grad is not None and poison is not None and step == 5:
                x.grad[poison] = float("nan")
            optimizer.step()
        return x.detach()

    together = run([0, 1, 2], poison=1)
    assert together.isfinite().all()
    assert torch.allclose(together[[0, 2]], run([0, 2], poison=None), rtol=1e-9)


def operators(batch: int) -> Counter[str]:
    x = torch.nn.Parameter(torch.rand(batch, 3, 16, 16))
    optimizer = BatchedLBFGS([x], bounds=(0.0, 1.0))
    for _ in range(3):
        x.grad = torch.randn_like(x)
        optimizer.step()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        optimizer.step()
    return Counter(event.name for event in recorded.events() if event.name.startswith("aten::"))


def test_no_loop_over_images_and_no_waiting_for_the_device():
    one, eight = operators(1), operators(8)
    assert sum(one.values()) > 50
    assert one["aten::_local_scalar_dense"] == eight["aten::_local_scalar_dense"] == 0
    assert sum(eight.values()) == sum(one.values())


def test_autocast_does_not_reach_the_products():
    def run(autocast: bool) -> Tensor:
        x = torch.nn.Parameter(torch.linspace(-1, 1, 40).view(2, 20))
        optimizer = BatchedLBFGS([x])
        for _ in range(8):
            optimizer.zero_grad()
            smooth(x).sum().backward()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                optimizer.step()
        return x.detach()

    assert torch.equal(run(True), run(False))


def test_the_scale_of_a_grad_scaler_is_undone():
    def run(scale: float | None) -> Tensor:
        x = torch.nn.Parameter(torch.linspace(-1, 1, 40).view(2, 20))
        optimizer = BatchedLBFGS([x])
        for _ in range(5):
            optimizer.zero_grad()
            (smooth(x) * (scale or 1.0)).sum().backward()
            if scale:
                optimizer.grad_scale = torch.tensor(scale)  # type: ignore[attr-defined]  # as torch.amp does
            optimizer.step()
        return x.detach()

    assert torch.equal(run(1024.0), run(None))


def test_takes_exactly_one_parameter():
    with pytest.raises(ValueError, match="exactly one"):
        BatchedLBFGS([torch.nn.Parameter(torch.zeros(1)) for _ in range(2)])


@pytest.mark.parametrize("loss_scale", [1e-3, 1.0, 1e6])
def test_units_are_those_in_which_torch_works(loss_scale: float):
    """From [0, 1], the steps that torch takes on 0 … 255."""

    def objective(x: Tensor) -> Tensor:
        return loss_scale * smooth(4 * x)

    start = torch.linspace(0.1, 0.9, 12, dtype=torch.float64)[None]
    theirs = by_torch(lambda x: objective(x / 255), 255 * start, 12, 5)
    ours = by_ours(objective, start, 12, 5, units=255)[:, 0]
    assert ours.tolist() == pytest.approx(theirs.tolist(), rel=1e-8)


def test_steps_without_a_memory_are_torchs_in_its_units():
    """Where the curvature is negative no pair is remembered: each step is along −g, whole."""
    start = torch.full((1, 6), 0.3, dtype=torch.float64)
    theirs = by_torch(lambda x: -((x / 255) ** 2).sum(-1), 255 * start, 4, 5)
    x = torch.nn.Parameter(start.clone())
    optimizer = BatchedLBFGS([x], memory=5, units=255, **AS_TORCH)
    ours = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = -(x**2).sum()
        loss.backward()
        optimizer.step()
        ours.append(loss.item())
    assert ours == pytest.approx(theirs.tolist(), rel=1e-12)
    assert int(optimizer.state[x]["pairs"]) == 0


def test_a_state_of_before_there_were_units_is_taken():
    x = torch.nn.Parameter(torch.ones(1, 4))
    optimizer = BatchedLBFGS([x])
    (x**2).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    del state["param_groups"][0]["units"]
    again = BatchedLBFGS([x])
    again.load_state_dict(state)
    again.step()
    assert bool(x.isfinite().all())
