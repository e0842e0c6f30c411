"""A step as a CUDA graph: all its kernels launched by one call."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nst_lightning.benchmark.cases import Ours

STEPS_BEFORE = 3
"""Steps made one kernel at a time before the recording, as the optimiser's first differs."""


def record_step(ours: Ours) -> Callable[[], Tensor]:
    """Records an evaluation with the optimiser's step, on CUDA, after `STEPS_BEFORE` of them.

    Returns:
        What makes one step more; it returns the losses at its start, (B,).
    """
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(STEPS_BEFORE):
            ours.step()
    torch.cuda.current_stream().wait_stream(aside)
    graph, step = torch.cuda.CUDAGraph(), step_in_place(ours)
    with torch.cuda.graph(graph, stream=aside):
        losses = step()

    def replay() -> Tensor:
        graph.replay()
        return losses

    return replay


def step_in_place(ours: Ours) -> Callable[[], Tensor]:
    """Returns a step that leaves what is remembered in the tensors where it lay before.

    A graph reads and writes the same memory in each replay, while a step puts new tensors in the
    place of some old ones.
    """
    model, memory = ours.model, ours.optimizer.state[ours.model.image]
    owners: list[tuple[dict[str, Any], list[str]]] = [
        (memory, list(memory)),
        (model._buffers, ["failed_at"]),
        (vars(model), ["last_good"]),
    ]
    places = [(owner, name, owner[name]) for owner, names in owners for name in names]

    def step() -> Tensor:
        losses = ours.step()
        for owner, name, place in places:
            if owner[name] is not place:
                place.copy_(owner[name])
                owner[name] = place
        return losses

    return step
