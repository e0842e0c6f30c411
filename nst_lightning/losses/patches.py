"""Style loss that compares each patch of features with the most similar patch of the style.

Li & Wand 2016, "Combining Markov Random Fields and Convolutional Neural Networks for Image
Synthesis" (CNN-MRF).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.losses.layer_loss import StyleLoss, empty_gradient, whole_of
from nst_lightning.losses.moments import shares_of_positions
from nst_lightning.losses.style_kind import StyleKind
from nst_lightning.losses.upcast import upcast
from nst_lightning.settings import TransferSettings
from nst_lightning.windows import Window

SIDE = 3
"""The side of a patch in positions (the paper's section 3.1)."""

MOST = 4096
"""The most patches that are kept of a style at a layer, evenly spaced: 64 × 64 positions are all
there are at relu4_1 up to 512 px."""

INSIDE = 0.5
"""A position must hold at least so much of a region for its patch to count."""


def describe(features: Tensor, guide: Tensor | None = None, window: Window | None = None) -> Tensor:
    """Cuts features into overlapping patches.

    Args:
        features: (B, C, h, w), h and w at least 3.
        guide: (1, 1, h, w) in [0, 1], the region from which patches are taken; by default all.
        window: all of the layer.

    Returns:
        (B, P, 9·C), P at most `MOST`.
    """
    patches = unfold(upcast(features)).mT
    if guide is not None:
        middle = guide[0, 0, 1:-1, 1:-1].flatten()
        patches = patches[:, middle >= min(INSIDE, float(middle.max()))]
    return keep_evenly(patches, MOST).contiguous()


def unfold(features: Tensor) -> Tensor:
    """Copies the patch around each inner position of (B, C, h, w): (B, 9·C, (h−2)·(w−2)).

    `F.unfold` gives the same, but starts a kernel for each image on a GPU.
    """
    windows = features.unfold(2, SIDE, 1).unfold(3, SIDE, 1).permute(0, 1, 4, 5, 2, 3)
    return windows.clone(memory_format=torch.contiguous_format).flatten(4).flatten(1, 3)


def keep_evenly(patches: Tensor, most: int) -> Tensor:
    """Returns at most so many of the patches (B, P, 9·C), evenly spaced."""
    count = patches.shape[1]
    if count <= most:
        return patches
    kept = torch.linspace(0, count - 1, most).round().long()
    return patches[:, kept.to(patches.device)]


def blend(described: list[Tensor], shares: list[float]) -> Tensor:
    """Joins as many of each style's patches (B, P, 9·C) as its share (they sum to 1) allows."""
    largest = max(shares)
    kept = [
        keep_evenly(one, max(1, round(one.shape[1] * share / largest)))
        for one, share in zip(described, shares, strict=True)
    ]
    return torch.cat(kept, dim=1)


def match_shapes(described: list[Tensor]) -> list[Tensor]:
    """Repeats patches until every style has as many, which changes no loss."""
    most = max(one.shape[1] for one in described)
    positions = torch.arange(most, device=described[0].device)
    return [one[:, positions % one.shape[1]] for one in described]


LARGEST = 1 << 25
"""The most similarities at a time, 128 MiB in float32: of all pairs of patches they would be 260 MB
for each image of 512 px at relu3_1."""


class PatchLoss(StyleLoss):
    """Mean squared distance of each patch to the style's patch of the highest normalised
    cross-correlation.

    Args:
        target: from `describe`, (B, P, 9·C) or (1, P, 9·C).
        guide: (B, 1, h, w), what each position counts; by default all count alike.
    """

    target: Tensor

    def __init__(self, target: Tensor, guide: Tensor | None = None) -> None:
        super().__init__(guide)
        self.register_buffer("target", target.detach(), persistent=False)

    reach = 1

    def shares_of(self, guide: Tensor) -> Tensor:
        """Returns what each position counts by a guide: those of the border, around which there is
        no patch, nothing."""
        return F.pad(shares_of_positions(guide[..., 1:-1, 1:-1]), [1, 1, 1, 1])

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""
        return self.value(self.gather(features, whole_of(features)))

    def gather(
        self, features: Tensor, window: Window, before: tuple[Tensor, Tensor | None] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Returns the loss of all parts so far, (B,), and which of the style's patches is the most
        similar one of each inner position, (B, 1, h − 2, w − 2), as far as it is known."""
        own, known = before if before else (0, None)
        inner = middles(window)
        if not math.prod(inner.shape):
            return (features.new_zeros(len(features)), known) if before is None else before
        patches = unfold(upcast(features))
        nearest = most_similar(patches.detach(), self.target)
        differences = patches - self._chosen(nearest)
        shares = self.position_shares(inner, differences)
        value = own + (differences.square().mean(dim=1) * shares).sum(dim=1)
        return value, inner.put(nearest.reshape(-1, 1, *inner.shape), known)

    def value(self, gathered: tuple[Tensor, Tensor | None]) -> Tensor:
        """Returns the loss, (B,)."""
        return gathered[0]

    def value_and_slope(
        self, gathered: tuple[Tensor, Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Returns the loss, (B,), and which patches are the most similar ones."""
        return gathered

    def accumulate_gradient(
        self,
        features: Tensor,
        slope: Tensor,
        weight: Tensor,
        gradient: Tensor,
        window: Window | None = None,
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place; see `LayerLoss`."""
        window = window or whole_of(features)
        inner = middles(window, 1)
        if not math.prod(inner.shape):
            return
        patches = unfold(upcast(features))
        differences = patches.sub_(self._chosen(inner.cut(slope).flatten(2)[:, 0]))
        share = weight[:, None] * self.position_shares(inner, differences)
        slopes = differences.mul_(2 / differences.shape[1] * share[:, None])
        gradient.add_(F.fold(slopes, features.shape[2:], SIDE).to(gradient.dtype))

    def steepest(self, features: Tensor, slope: Tensor) -> Tensor:
        """Returns about how large the gradient to the features is at most, (B,)."""
        gradient = empty_gradient(features)
        ones = gradient.new_ones(len(features))
        self.accumulate_gradient(features, slope, ones, gradient)
        return gradient.abs().amax(dim=(1, 2, 3))

    def position_shares(self, inner: Window, patches: Tensor) -> Tensor:
        """Returns what each of the patches (B, 9·C, n) around a window of the inner positions
        counts, (B, n) or (1, n)."""
        if self.shares is None:
            return patches.new_full((1, patches.shape[2]), 1 / inner.count)
        return inner.cut(self.shares[..., 1:-1, 1:-1]).flatten(1)

    def _chosen(self, nearest: Tensor) -> Tensor:
        """Returns the style's patches of these numbers (B, n): (B, 9·C, n)."""
        images = torch.arange(len(self.target), device=nearest.device)[:, None]
        return self.target[images, nearest].mT


def middles(window: Window, margin: int = 0) -> Window:
    """Returns the positions of a window around which there is a patch, among the inner positions of
    the layer.

    Args:
        window: of a layer.
        margin: how far from the window's own border they stay; where that is the layer's border,
            one.
    """
    height, width = (max(0, side - 2) for side in window.whole)

    def within(first: int, last: int, length: int) -> tuple[int, int]:
        first, last = first + margin - 1, last - margin - 1
        first = max(0, first)
        return first, max(first, min(length, last))

    (top, bottom), (left, right) = (
        within(window.top, window.bottom, height),
        within(window.left, window.right, width),
    )
    return Window(top, left, bottom, right, (height, width))


def most_similar(patches: Tensor, style: Tensor) -> Tensor:
    """Finds the style's patch of the highest normalised cross-correlation with each patch.

    Args:
        patches: (B, 9·C, n).
        style: (B, P, 9·C) or (1, P, 9·C).

    Returns:
        Their numbers, (B, n).
    """
    unit = F.normalize(style, dim=2)
    at_once = max(1, LARGEST // (len(patches) * style.shape[1]))
    parts = torch.split(patches, at_once, dim=2)
    return torch.cat([(unit @ part).argmax(dim=1) for part in parts], dim=1)


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: patches` names; see `style_kind`."""
    return StyleKind(describe, blend, PatchLoss, match_shapes, reach=PatchLoss.reach)
