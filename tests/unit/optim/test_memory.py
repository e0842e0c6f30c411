"""The memory of L-BFGS: gone through in chunks, on the host, in bfloat16, and not saved."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nst_lightning.optim import lbfgs
from nst_lightning.optim.lbfgs import BatchedLBFGS, Lengths

COUNT = 700


def problem(image: Tensor) -> Tensor:
    """Two valleys of different curvature in every direction, one an image."""
    curvature = torch.logspace(-1, 1, COUNT, dtype=image.dtype)
    return ((image - 0.4) ** 2 * curvature + 0.1 * torch.sin(3 * image)).sum(dim=1)


def start() -> torch.nn.Parameter:
    values = torch.rand(2, COUNT, generator=torch.Generator().manual_seed(1))
    return torch.nn.Parameter(values.double())


def descend(image: torch.nn.Parameter, optimizer: BatchedLBFGS, steps: int) -> list[float]:
    totals = []
    for _ in range(steps):
        optimizer.zero_grad()
        total = problem(image).sum()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    return totals


def make(**options: Any) -> tuple[torch.nn.Parameter, BatchedLBFGS]:
    image = start()
    bounded = {"bounds": (0.0, 1.0), "longest_step": 0.05}
    return image, BatchedLBFGS([image], memory=5, **{**bounded, **options})


@pytest.mark.parametrize("chunk", [1, 64, 699, 700, 10_000])
def test_chunks_change_only_the_rounding(chunk: int, monkeypatch: pytest.MonkeyPatch):
    expected = descend(*make(), 25)
    monkeypatch.setattr(lbfgs, "CHUNK_ON_CPU", chunk)
    assert descend(*make(), 25) == pytest.approx(expected, rel=1e-9)


def test_float32_sums_of_large_images_are_exact():
    """The products of 5 million values that are all positive, in which rounding adds up."""
    g = torch.rand(2, 5_000_001, generator=torch.Generator().manual_seed(2))
    state = {"displacement": g.flip(1), "gradient": g.flip(0) / 2}
    found = Lengths.of(state, g, None)
    exact = Lengths.of({name: x.double() for name, x in state.items()}, g.double(), None)
    for name in ("sy", "yy", "ss", "gg", "absolute"):
        wanted = getattr(exact, name).tolist()
        assert getattr(found, name).tolist() == pytest.approx(wanted, rel=2e-5), name


def test_on_the_host_it_is_the_same():
    assert descend(*make(history="host"), 25) == descend(*make(), 25)


def test_in_bfloat16_it_comes_down_too():
    image, optimizer = make(history_dtype=torch.bfloat16)
    totals = descend(image, optimizer, 40)
    (state,) = optimizer.state.values()
    assert state["basis"].dtype == torch.bfloat16
    assert state["gradient"].dtype == torch.float64
    best = descend(*make(), 80)[-1]
    assert totals[-1] - best < 0.02 * (totals[0] - best)
    again = BatchedLBFGS([image], memory=5, history_dtype=torch.bfloat16)
    again.load_state_dict(optimizer.state_dict())
    (restored,) = again.state.values()
    assert restored["basis"].dtype == torch.bfloat16
    assert torch.equal(restored["basis"], state["basis"])


def test_a_memory_that_is_too_large_is_not_saved(monkeypatch: pytest.MonkeyPatch):
    image, optimizer = make()
    descend(image, optimizer, 10)
    monkeypatch.setattr(lbfgs, "LARGEST_SAVED", 0)
    saved = optimizer.state_dict()
    assert saved["state"][0].keys() == {"gamma", "displacement", "gradient", "pairs"}
    (kept,) = optimizer.state.values()
    assert kept["pairs"].tolist() == [9, 9]  # what is used is left as it is
    _, again = make()
    again.param_groups[0]["params"] = [image]
    again.load_state_dict(saved)
    before = problem(image).sum().item()
    totals = descend(image, again, 15)
    assert totals[0] == before
    (state,) = again.state.values()
    assert state["pairs"].tolist() == [15, 15]  # the first is that of the step before
    assert totals[-1] < totals[5] < totals[0]


def test_curvature_is_handed_on_to_another_size():
    """The mean of (x − 0.5)² over n values has a curvature of 2/n: one step is exact at any n."""

    def coarse_to_fine(count: int, before: BatchedLBFGS | None) -> tuple[Tensor, BatchedLBFGS]:
        image = torch.nn.Parameter(torch.linspace(0.4, 0.6, 2 * count).double().view(2, count))
        known = before.inverse_curvature() if before else None
        optimizer = BatchedLBFGS([image], first_step=1.0, curvature=known)
        for _ in range(1 if before else 3):
            optimizer.zero_grad()
            ((image - 0.5) ** 2).mean(dim=1).sum().backward()
            optimizer.step()
        return image.detach(), optimizer

    _, small = coarse_to_fine(10, None)
    assert small.inverse_curvature().tolist() == pytest.approx([0.5, 0.5])  # n/2 for n values
    large, _ = coarse_to_fine(40, small)
    assert torch.allclose(large, torch.full_like(large, 0.5), rtol=0, atol=1e-12)


def test_the_first_step_is_never_longer_for_a_curvature():
    for curvature, length in ((1e9, 0.02), (torch.inf, 0.02), (1e-12, 0.0)):
        image = start()
        before = image.detach().clone()
        known = torch.full((2,), curvature, dtype=torch.float64)
        descend(image, BatchedLBFGS([image], first_step=0.02, curvature=known), 1)
        moved = (image.detach() - before).square().mean(dim=1).sqrt()
        assert moved.tolist() == pytest.approx([length, length], abs=1e-6)


def test_nothing_remembered_says_nothing_of_the_curvature():
    image, optimizer = make()
    descend(image, optimizer, 1)
    assert optimizer.inverse_curvature().tolist() == [torch.inf, torch.inf]
