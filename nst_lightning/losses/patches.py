"""Style loss that compares each patch of features with the most similar patch of the style.

Li & Wand 2016, "Combining Markov Random Fields and Convolutional Neural Networks for Image
Synthesis" (CNN-MRF).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.losses.layer_loss import StyleLoss
from nst_lightning.losses.moments import shares_of_positions
from nst_lightning.losses.style_kind import StyleKind
from nst_lightning.losses.upcast import upcast
from nst_lightning.settings import TransferSettings

SIDE = 3
"""The side of a patch in positions (the paper's section 3.1)."""

MOST = 4096
"""The most patches that are kept of a style at a layer, evenly spaced: 64 × 64 positions are all
there are at relu4_1 up to 512 px."""

INSIDE = 0.5
"""A position must hold at least so much of a region for its patch to count."""


def describe(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """Cuts features into overlapping patches.

    Args:
        features: (B, C, h, w), h and w at least 3.
        guide: (1, 1, h, w) in [0, 1], the region from which patches are taken; by default all.

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

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64)."""
        patches = unfold(upcast(features))
        return self.mean_square(patches - most_similar(patches.detach(), self.target))

    def evaluate(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its gradient to the features, (B, C, h, w), in half of the
        memory that autograd takes."""
        patches = unfold(upcast(features))
        differences = patches.sub_(most_similar(patches, self.target))
        value = self.mean_square(differences)
        slopes = differences.mul_(2 / differences.shape[1] * self.shares(differences)[:, None])
        return value, F.fold(slopes, features.shape[2:], SIDE)

    def mean_square(self, differences: Tensor) -> Tensor:
        """Computes the loss, (B,), from the differences of patches, (B, 9·C, n)."""
        return (differences.square().mean(dim=1) * self.shares(differences)).sum(dim=1)

    def shares(self, patches: Tensor) -> Tensor:
        """Returns what each of the patches (B, 9·C, n) counts, (B, n) or (1, n)."""
        if self.guide is None:
            return patches.new_full((1, patches.shape[2]), 1 / patches.shape[2])
        return shares_of_positions(self.guide[..., 1:-1, 1:-1]).flatten(1)


def most_similar(patches: Tensor, style: Tensor) -> Tensor:
    """Finds the style's patch of the highest normalised cross-correlation with each patch.

    Args:
        patches: (B, 9·C, n).
        style: (B, P, 9·C) or (1, P, 9·C).

    Returns:
        (B, 9·C, n).
    """
    unit = F.normalize(style, dim=2)
    at_once = max(1, LARGEST // (len(patches) * style.shape[1]))
    parts = torch.split(patches, at_once, dim=2)
    nearest = [(unit @ part).argmax(dim=1) for part in parts]
    images = torch.arange(len(style), device=style.device)[:, None]
    return style[images, torch.cat(nearest, dim=1)].mT


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: patches` names; see `style_kind`."""
    return StyleKind(describe, blend, PatchLoss, match_shapes)
