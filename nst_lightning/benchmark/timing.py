"""Paired timing: alternating in one process, medians and ratios."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3
"""Rounds before the first that counts."""


def wait(device: torch.device) -> None:
    """Until the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(step: Callable[[], Any], device: torch.device) -> float:
    """Of one call."""
    wait(device)
    began = time.perf_counter()
    step()
    wait(device)
    return time.perf_counter() - began


def paired(
    steps: Mapping[str, Callable[[], Any]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of every call: each round calls all once, in turn."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for k in range(WARM_UP + rounds):
        for name, step in steps.items():
            seconds = seconds_of(step, device)
            if k >= WARM_UP:
                times[name].append(seconds)
    return times


def median(values: list[float]) -> float:
    """Of a list that is not empty."""
    return statistics.median(values)


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product, the best of a few."""
    n = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))

    def product() -> Tensor:
        return a @ b

    return 2 * n**3 / min(paired({"product": product}, 5, device)["product"])
