"""Paired timing: calls take turns in one process; medians and ratios of what they took."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import torch
from torch.utils.benchmark import Timer, timer

from nst_lightning.run.cost import flops_per_second

WARM_UP = 3
"""Rounds before the first that counts."""

LONG_PRODUCT = 0.5
"""Seconds of a matrix product beyond which no larger one is tried."""


def seconds_of(call: Callable[[], Any]) -> float:
    """Returns the seconds of one call, until the device has done what it was asked."""
    began = timer()
    call()
    return timer() - began


def paired(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of every call by name: each round makes all of them once, in turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for k in range(WARM_UP + rounds):
        for name, call in calls.items():
            seconds = seconds_of(call)
            if k >= WARM_UP:
                times[name].append(seconds)
    return times


def median_ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the median of the ratios of calls of the same round."""
    return median(x / y for x, y in zip(a, b, strict=True))


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Returns the operations per second of a large matrix product or of a convolution, whichever
    are more: on some processors the library for products is the slower one."""
    largest = 8192 if device.type == "cuda" else 2048
    for n in (512, 1024, 2048, 4096, 8192):
        a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
        product = partial(torch.matmul, a, b)
        product()
        # Where a type is only emulated, a large product would take minutes.
        if n == largest or seconds_of(product) > LONG_PRODUCT:
            break
    timed = Timer("product()", globals={"product": product}, num_threads=torch.get_num_threads())
    by_product = 2 * n**3 / min(timed.blocked_autorange(min_run_time=0.2).times)
    return max(by_product, flops_per_second(device, dtype))
