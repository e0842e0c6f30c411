"""Content loss that compares features with the content's, position by position."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nst_lightning.losses.layer_loss import LayerLoss, whole_of
from nst_lightning.losses.upcast import upcast
from nst_lightning.windows import Window

Scale = Callable[[int, int, int], float]

# F and P are features of C channels and M positions of an image of `pixels` = W·H pixels; each kind
# is Σ(F−P)² times what stands here.
KINDS: dict[str, Scale] = {
    # Mean of squares: PyTorch tutorial, Gatys' code, jcjohnson/neural-style.
    "mse": lambda channels, positions, pixels: 1 / (channels * positions),
    # ½Σ(F−P)²: Gatys, Ecker & Bethge 2016, eq. 1.
    "paper": lambda channels, positions, pixels: 0.5,
    # titu1994/Neural-Style-Transfer, Network.py, content_loss_type 0, 1 and 2.
    "type0": lambda channels, positions, pixels: 1.0,
    "type1": lambda channels, positions, pixels: 1 / (2 * math.sqrt(channels) * math.sqrt(pixels)),
    "type2": lambda channels, positions, pixels: 1 / (channels * pixels),
    # Σ(F−P)²/ΣP²: the same at every layer and in every network; ΣP² is the content's own.
    "relative": lambda channels, positions, pixels: 1.0,
}


SMALLEST = 1e-12
"""ΣP² is at least this, so that a content without any feature has a loss."""


class ContentLoss(LayerLoss):
    """Squared distance between features and the content's, at one layer.

    Args:
        target: the content's features, (B, C, h, w) or (1, C, h, w).
        kind: a key of `KINDS`.
        pixels: W·H of the image being optimised (`type1` and `type2` count its pixels, not the
            layer's positions).
    """

    target: Tensor
    scale: Tensor
    squares: Tensor
    """ΣP², (B,)."""
    held: Window | None = None
    """What the target is of; None: the whole layer."""

    def __init__(self, target: Tensor, kind: str, pixels: int) -> None:
        super().__init__()
        self.register_buffer("target", upcast(target.detach()), persistent=False)
        channels, height, width = target.shape[-3:]
        scale = self.target.new_full((1,), KINDS[kind](channels, height * width, pixels))
        self.register_buffer("squares", sum_of_squares(self.target), persistent=False)
        if kind == "relative":
            scale = 1 / self.squares.clamp(min=SMALLEST)
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""
        return self.value(self.gather(features, whole_of(features)))

    def gather(self, features: Tensor, window: Window, before: Tensor | None = None) -> Tensor:
        """Returns Σ(F − P)² over all parts so far, (B,)."""
        # The difference is in the target's precision, without a copy of the features in it.
        own = sum_of_squares(features - window.cut(self.target, self.held))
        return own if before is None else before + own

    def value(self, gathered: Tensor) -> Tensor:
        """Computes the loss, (B,), from Σ(F − P)²."""
        return gathered * self.scale

    def value_and_slope(self, gathered: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its slope: what F − P is multiplied by in the gradient,
        (B,)."""
        value = self.value(gathered)
        return value, (2 * self.scale).expand_as(value)

    def accumulate_gradient(
        self,
        features: Tensor,
        slope: Tensor,
        weight: Tensor,
        gradient: Tensor,
        window: Window | None = None,
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place; see `LayerLoss`."""
        factor = (slope * weight)[:, None, None, None]
        target = (window or whole_of(features)).cut(self.target, self.held)
        gradient.add_((features - target).mul_(factor).to(gradient.dtype))

    def energy(self, channels: int) -> Tensor:
        """Computes the loss for features of zero, (B,)."""
        return self.squares * self.scale

    def hold(self, window: Window) -> None:
        """Keeps a part of the target alone, of which all later features are."""
        self.target = window.cut(self.target, self.held).clone()
        self.held = window


def sum_of_squares(x: Tensor) -> Tensor:
    """Computes the sum of squares of each image, (B,), of (B, C, h, w)."""
    # Position by position first: a norm adds squares up one after the other, and was off by 1e-3
    # in float32 where a layer has 11 million values.
    norms: Tensor = torch.linalg.vector_norm(x, dim=1)
    return norms.square().sum(dim=(1, 2))
