"""What the losses of a layer have in common: a value for each image, and its gradient to the
features."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from nst_lightning.losses.moments import shares_of_positions
from nst_lightning.losses.upcast import upcast
from nst_lightning.windows import Window


class LayerLoss(nn.Module, ABC):
    """A loss of the features of one layer.

    What a loss needs to know of the features it gathers part by part, of which there is one where
    the layer is there as a whole. A loss needs `forward` alone; it then takes whole layers, and its
    gradient is autograd's. One that knows more has the other methods of its own.
    """

    waits = False
    """Whether an evaluation waits for the device, so that no CUDA graph can be made of it."""

    reach = 0
    """How many positions beyond a window `gather` wants to see, where the layer has them;
    `accumulate_gradient` needs twice as many for a position's gradient to be right."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""

    def gather(self, features: Tensor, window: Window, before: Any = None) -> Any:
        """Returns what the loss needs to know of the features up to and with those of a window.

        Args:
            features: (B, C, h, w) of the window grown by `reach`, of any floating type.
            window: the part of the layer, one of those that make it up.
            before: what was returned for the part before; None at the first.
        """
        return features

    def value(self, gathered: Any) -> Tensor:
        """Computes the loss, (B,), from all that was gathered."""
        value: Tensor = self(gathered)
        return value

    def value_and_slope(self, gathered: Any) -> tuple[Tensor, Any]:
        """Computes the loss and what its gradient is made of, without a graph.

        Returns:
            The loss, (B,), and its slope: here the gradient to the features, (B, C, h, w), in
            float32 at least.
        """
        with torch.enable_grad():
            leaf = upcast(gathered).detach().requires_grad_(True)
            value = self(leaf)
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), slope

    def evaluate(self, features: Tensor) -> tuple[Tensor, Any]:
        """Computes the loss, (B,), of a whole layer's features, and its slope."""
        return self.value_and_slope(self.gather(features, whole_of(features)))

    def accumulate_gradient(
        self,
        features: Tensor,
        slope: Any,
        weight: Tensor,
        gradient: Tensor,
        window: Window | None = None,
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place.

        Args:
            features: (B, C, h, w) of the window.
            slope: from `value_and_slope`.
            weight: (B,).
            gradient: (B, C, h, w) in channels_last, of any floating type.
            window: the part of the layer; by default all of it.
        """
        gradient.add_((slope * weight[:, None, None, None]).to(gradient.dtype))

    def steepest(self, features: Tensor, slope: Any) -> Tensor:
        """Returns about how large the gradient to the features of a whole layer is at most, (B,),
        for the scale that float16 needs; by default the largest of the slope."""
        largest: Tensor = slope.reshape(len(slope), -1).abs().amax(dim=1)
        return largest

    def energy(self, channels: int) -> Tensor:
        """Computes the loss for features of zero, (B,)."""
        target = next(self.buffers())
        value: Tensor = self(target.new_zeros(len(target), channels, 3, 3))
        return value


class StyleLoss(LayerLoss):
    """A loss that compares features with what is kept of a style.

    Args:
        guide: (B, 1, h, w) in [0, 1], what each position counts; by default all count alike.
    """

    shares: Tensor | None
    """What each position counts, (B, 1, h, w), with a sum of 1; None: all alike."""

    def __init__(self, guide: Tensor | None = None) -> None:
        super().__init__()
        shares = None if guide is None else self.shares_of(guide)
        self.register_buffer("shares", shares, persistent=False)

    def shares_of(self, guide: Tensor) -> Tensor:
        """Returns what each position counts by a guide, both (B, 1, h, w)."""
        return shares_of_positions(guide)

    def energy(self, channels: int) -> Tensor:
        """Computes the loss for features of zero, (B,)."""
        if self.shares is None:
            return super().energy(channels)
        zeros = self.shares.new_zeros(len(self.shares), channels, *self.shares.shape[-2:])
        value: Tensor = self(zeros)
        return value


class StatisticsLoss(StyleLoss):
    """A loss that knows features by their moments, which are means over the positions.

    It goes from the features to their moments, to the value and its gradient to the moments, and
    from there to the gradient to the features; only the first and the last step see positions, so
    that the moments of parts of an image, weighted by their positions, make up those of the whole.
    """

    @abstractmethod
    def moments(self, features: Tensor, window: Window) -> Tensor:
        """Computes what features (B, C, h, w) of a window add to the moments of the whole layer,
        (B, …), in float32 at least."""

    @abstractmethod
    def value(self, gathered: Tensor) -> Tensor:
        """Computes the loss, (B,), from the moments."""

    def value_and_slope(self, gathered: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its gradient to the moments, shaped as they are."""
        with torch.enable_grad():
            leaf = gathered.detach().requires_grad_(True)
            value = self.value(leaf)
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), slope

    def gather(self, features: Tensor, window: Window, before: Tensor | None = None) -> Tensor:
        """Returns the moments of all parts so far, (B, …)."""
        own = self.moments(features, window)
        return own if before is None else before + own

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""
        return self.value(self.moments(features, whole_of(features)))


class AffineLoss(StatisticsLoss):
    """A loss of means and second moments, whose gradient at a position is affine in the position's
    own features."""

    @abstractmethod
    def gradient(self, features: Tensor, slope: Tensor) -> Tensor:
        """Computes the gradient to features (B, C, h, w), of the same shape, in float32 at least,
        as if each position's share were 1."""

    def position_shares(self, window: Window) -> Tensor | float:
        """Returns what each position of a window counts."""
        return 1 / window.count if self.shares is None else window.cut(self.shares)

    def accumulate_gradient(
        self,
        features: Tensor,
        slope: Tensor,
        weight: Tensor,
        gradient: Tensor,
        window: Window | None = None,
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place; see `LayerLoss`."""
        shares = self.position_shares(window or whole_of(features))
        slope = weight[:, None, None] * slope
        if isinstance(shares, float):
            own = self.gradient(features, slope * shares)
        else:
            own = self.gradient(features, slope) * shares
        gradient.add_(own.to(gradient.dtype))

    def steepest(self, features: Tensor, slope: Tensor) -> Tensor:
        """Returns about how large the gradient to the features is at most, (B,)."""
        count = 1 if self.shares is not None else whole_of(features).count
        return self.gradient(features, slope / count).abs().amax(dim=(1, 2, 3))


def whole_of(features: Tensor) -> Window:
    """Returns the window of all positions of features (B, C, h, w)."""
    return Window.all_of(*features.shape[-2:])


def empty_gradient(features: Tensor) -> Tensor:
    """Returns zeros to accumulate the gradient to features (B, C, h, w) in: of the same shape, in
    channels_last, in float32 at least."""
    exact = torch.promote_types(features.dtype, torch.float32)
    return torch.zeros_like(features, dtype=exact, memory_format=torch.channels_last)


def by_position(features: Tensor) -> Tensor:
    """Returns (B, C, h, w) as (B, h·w, C): a view of channels_last, a copy of another layout."""
    batch, channels = features.shape[:2]
    return features.permute(0, 2, 3, 1).reshape(batch, -1, channels)


def add_by_position(gradient: Tensor, features: Tensor, matrix: Tensor) -> None:
    """Adds matrix·F to a gradient, in place, in the gradient's precision.

    Args:
        gradient: (B, C, h, w) in channels_last.
        features: F, (B, C, h, w).
        matrix: (B, C, C), symmetric.
    """
    batch, channels = gradient.shape[:2]
    rows = gradient.permute(0, 2, 3, 1).view(batch, -1, channels)  # never a copy
    rows.baddbmm_(by_position(features.to(gradient.dtype)), matrix.to(gradient.dtype))
