"""What the saved state of a batch in progress holds."""

from dataclasses import dataclass
from typing import Any, TypedDict

from torch import Tensor


@dataclass
class BatchProgress:
    """How far a batch has come."""

    steps: Tensor
    """The number that each image made in the finished scales, (B,)."""
    scale: int = 0
    """The index of the current scale."""
    offset: int = 0
    """Steps of the finished scales, made or saved by an early stop."""
    float32_from: int | None = None
    """The step from which on the network ran in float32, if it did."""
    seconds: float = 0.0
    """Spent on the batch so far, by earlier runs too."""
    resumed: tuple[int, ...] = ()
    """The steps after which it was interrupted."""


class ImageState(TypedDict):
    """What the module keeps of its images from one step to the next."""

    losses: dict[str, Tensor]
    earlier: Tensor
    last_good: Tensor


class SavedState(TypedDict):
    """The parts of Lightning's checkpoint of a fit that are looked into."""

    state_dict: dict[str, Tensor]
    optimizer_states: list[Any]
    callbacks: dict[str, Any]
    global_step: int
    images: ImageState
    run: dict[str, Any]
    """The fields of a `BatchProgress`: PyTorch reads no classes of others."""


def without_memory(state: SavedState) -> bool:
    """Returns whether a state lacks the memory of L-BFGS; see `BatchedLBFGS.state_dict`."""
    each = (one for group in state["optimizer_states"] for one in group["state"].values())
    return any("gamma" in one and "basis" not in one for one in each)
