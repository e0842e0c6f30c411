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
        features: (1, C, h, w), h and w at least 3.
        guide: (1, 1, h, w) in [0, 1], the region from which patches are taken; by default all.

    Returns:
        (1, P, 9·C), P at most `MOST`.
    """
    patches = unfold(upcast(features))[0].T
    if guide is not None:
        middle = F.unfold(guide, SIDE)[0, SIDE * SIDE // 2]
        inside = middle >= min(INSIDE, float(middle.max()))
        patches = patches[inside]
    return keep_evenly(patches, MOST)[None]


def unfold(features: Tensor) -> Tensor:
    """Turns (B, C, h, w) into the patch around each inner position, (B, 9·C, (h−2)·(w−2))."""
    return F.unfold(features, SIDE)


def keep_evenly(rows: Tensor, most: int) -> Tensor:
    """Returns at most so many of the rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, most).round().long().to(rows.device)]


def blend(described: list[Tensor], shares: list[float]) -> Tensor:
    """Joins as many of each style's patches (1, P, 9·C) as its share (they sum to 1) allows."""
    largest = max(shares)
    kept = [
        keep_evenly(one[0], max(1, round(one.shape[1] * share / largest)))
        for one, share in zip(described, shares, strict=True)
    ]
    return torch.cat(kept)[None]


def match_shapes(described: list[Tensor]) -> list[Tensor]:
    """Repeats patches until every style has as many, which changes no loss."""
    most = max(one.shape[1] for one in described)
    positions = torch.arange(most, device=described[0].device)
    return [one[:, positions % one.shape[1]] for one in described]


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
        with torch.no_grad():
            target = self.target.expand(len(patches), -1, -1)
            nearest = torch.stack(
                [most_similar(image, style) for image, style in zip(patches, target, strict=True)]
            )
        distances = (patches - nearest).square().mean(dim=1)
        if self.guide is None:
            return distances.mean(dim=1)
        middle = self.guide[..., 1:-1, 1:-1]
        return (distances * shares_of_positions(middle).flatten(1)).sum(dim=1)


def most_similar(patches: Tensor, style: Tensor) -> Tensor:
    """Finds the style's patch (P, 9·C) of the highest normalised cross-correlation with each of the
    patches (9·C, n): (9·C, n)."""
    return style[(F.normalize(style, dim=1) @ patches).argmax(dim=0)].T


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: patches` names; see `style_kind`."""
    return StyleKind(describe, blend, PatchLoss, match_shapes)
