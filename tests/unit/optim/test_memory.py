"""The memory of L-BFGS: gone through in chunks, on the host, in bfloat16, and not saved."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nst_lightning.optim import lbfgs
from nst_lightning.optim.lbfgs import BatchedLBFGS

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
    monkeypatch.setattr(lbfgs, "CHUNK", chunk)
    assert descend(*make(), 25) == pytest.approx(expected, rel=1e-9)


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
