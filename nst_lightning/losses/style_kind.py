"""What a style loss consists of; every style loss's file makes one of these."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nst_lightning.losses.layer_loss import StyleLoss
from nst_lightning.windows import Window


class MakeStyleLoss(Protocol):
    """Makes the loss of a description and a guide (B, 1, h, w), by default none."""

    def __call__(self, target: Tensor, guide: Tensor | None = None) -> StyleLoss:
        """Makes the loss."""


class DescribeStyle(Protocol):
    """Turns features of styles into what is kept of the styles, (B, …)."""

    def __call__(
        self, features: Tensor, guide: Tensor | None, window: Window | None = None
    ) -> Tensor:
        """Describes features.

        Args:
            features: (B, C, h, w), of any floating type.
            guide: (B, 1, h, w) of the whole layer, what each position counts; None: all alike.
            window: the part of the layer that the features are; by default all of it. Descriptions
                of parts add up to that of the whole, where the kind says so.
        """


@dataclass(frozen=True)
class StyleKind:
    """One way to compare styles."""

    describe: DescribeStyle
    blend: Callable[[list[Tensor], list[float]], Tensor]
    """Turns descriptions of several styles and their shares, which sum to 1, into that of the
    blend."""
    loss: MakeStyleLoss
    """Makes the loss that computes the distance of features from a description."""
    match_shapes: Callable[[list[Tensor]], list[Tensor]] = list
    """Brings descriptions of several styles to one shape, so that they can stand in one batch."""
    adds_up: bool = False
    """Whether descriptions of a layer's parts add up to that of the layer."""
    reach: int = 0
    """How many positions beyond its own the loss looks at; see `LayerLoss`."""


def weighted_mean(described: list[Tensor], shares: list[float]) -> Tensor:
    """Computes Σ share·description: of moments, those of the mixture."""
    if len(described) == 1:
        return described[0]
    return torch.stack([share * one for one, share in zip(described, shares, strict=True)]).sum(0)
