"""What the losses of a layer have in common: a value for each image, and its gradient to the
features."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from nst_lightning.losses.moments import shares_of_positions
from nst_lightning.losses.upcast import upcast


class LayerLoss(nn.Module, ABC):
    """A loss of the features of one layer.

    A loss needs `forward` alone; its gradient is autograd's then. One that knows a shorter way has
    `evaluate` and `accumulate_gradient` of its own.
    """

    waits = False
    """Whether an evaluation waits for the device, so that no CUDA graph can be made of it."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""

    def evaluate(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss and what its gradient is made of, without a graph.

        Args:
            features: (B, C, h, w), of any floating type.

        Returns:
            The loss, (B,), and its slope: here the gradient to the features, (B, C, h, w), in
            float32 at least. The slope's first dimension are the images.
        """
        with torch.enable_grad():
            leaf = upcast(features).detach().requires_grad_(True)
            value = self(leaf)
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), slope

    def accumulate_gradient(
        self, features: Tensor, slope: Tensor, weight: Tensor, gradient: Tensor
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place.

        Args:
            features: (B, C, h, w).
            slope: from `evaluate`; it is used up.
            weight: (B,).
            gradient: (B, C, h, w) in channels_last, of any floating type.
        """
        gradient.add_(slope.mul_(weight[:, None, None, None]).to(gradient.dtype))

    def steepest(self, features: Tensor, slope: Tensor) -> Tensor:
        """Returns about how large the gradient to the features is at most, (B,), for the scale that
        float16 needs; by default the largest of the slope."""
        return slope.reshape(len(slope), -1).abs().amax(dim=1)

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

    guide: Tensor | None

    def __init__(self, guide: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("guide", guide, persistent=False)

    def energy(self, channels: int) -> Tensor:
        """Computes the loss for features of zero, (B,)."""
        if self.guide is None:
            return super().energy(channels)
        zeros = self.guide.new_zeros(len(self.guide), channels, *self.guide.shape[-2:])
        value: Tensor = self(zeros)
        return value


class StatisticsLoss(StyleLoss):
    """A loss that knows features by their moments, which are means over the positions.

    It goes from the features to their moments, to the value and its gradient to the moments, and
    from there to the gradient to the features; only the first and the last step see positions, so
    that the moments of parts of an image, weighted by their positions, make up those of the whole.
    """

    @abstractmethod
    def moments(self, features: Tensor) -> Tensor:
        """Computes the moments of features (B, C, h, w), (B, …), in float32 at least."""

    @abstractmethod
    def distance(self, moments: Tensor) -> Tensor:
        """Computes the loss, (B,), from the moments."""

    def value_and_slope(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its gradient to the moments, shaped as they are."""
        with torch.enable_grad():
            leaf = moments.detach().requires_grad_(True)
            value = self.distance(leaf)
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), slope

    def share_of_position(self, features: Tensor) -> float:
        """Returns what each position counts in the moments, apart from its guide."""
        return 1 / features[0, 0].numel() if self.guide is None else 1.0

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""
        return self.distance(self.moments(features))

    def evaluate(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its slope: the gradient to the moments, times what each
        position counts in them."""
        value, slope = self.value_and_slope(self.moments(features))
        return value, slope * self.share_of_position(features)


class AffineLoss(StatisticsLoss):
    """A loss of means and second moments, whose gradient at a position is affine in the position's
    own features."""

    @abstractmethod
    def gradient(self, features: Tensor, slope: Tensor) -> Tensor:
        """Computes the gradient to features (B, C, h, w), of the same shape, in float32 at least,
        as if all positions counted alike."""

    def accumulate_gradient(
        self, features: Tensor, slope: Tensor, weight: Tensor, gradient: Tensor
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place; see `LayerLoss`."""
        own = self.gradient(features, weight[:, None, None] * slope)
        if self.guide is not None:
            own = own * shares_of_positions(self.guide)
        gradient.add_(own.to(gradient.dtype))

    def steepest(self, features: Tensor, slope: Tensor) -> Tensor:
        """Returns how large the gradient to the features is at most, (B,)."""
        return self.gradient(features, slope).abs().amax(dim=(1, 2, 3))


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
