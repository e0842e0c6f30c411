"""Style loss: each patch of features against the most similar patch of the style.

Li & Wand 2016, "Combining Markov Random Fields and Convolutional Neural Networks for Image
Synthesis" (CNN-MRF).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.losses.moments import shares
from nst_lightning.losses.upcast import upcast

SIDE = 3
"""Of a patch, in positions (the paper's section 3.1)."""

MOST = 4096
"""Patches kept of a style at a layer: 64 × 64 positions, all there are at relu4_1 up to 512 px;
of more, evenly spaced ones."""

INSIDE = 0.5
"""Of a region, a position must hold at least so much for its patch to count."""


def describe(features: Tensor, guide: Tensor | None = None) -> Tensor:
    """The patches of features.

    Args:
        features: (1, C, h, w), h and w at least 3.
        guide: (1, 1, h, w) in [0, 1], the region from which patches are taken; by default all.

    Returns:
        (1, P, 9·C), P at most `MOST`.
    """
    found = unfold(upcast(features))[0].T
    if guide is not None:
        middle = F.unfold(guide, SIDE)[0, SIDE * SIDE // 2]
        inside = middle >= min(INSIDE, float(middle.max()))
        found = found[inside]
    return evenly(found, MOST)[None]


def unfold(features: Tensor) -> Tensor:
    """(B, C, h, w) → the patch around each inner position: (B, 9·C, (h−2)·(w−2))."""
    return F.unfold(features, SIDE)


def evenly(rows: Tensor, most: int) -> Tensor:
    """At most so many of the rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, most).round().long().to(rows.device)]


def blend(described: list[Tensor], parts: list[float]) -> Tensor:
    """Of each style (1, P, 9·C) the part of its patches that its share (they sum to 1) allows."""
    largest = max(parts)
    kept = [
        evenly(one[0], max(1, round(one.shape[1] * part / largest)))
        for one, part in zip(described, parts, strict=True)
    ]
    return torch.cat(kept)[None]


def alike(described: list[Tensor]) -> list[Tensor]:
    """Patches of several styles, repeated until there are as many of each: that changes no loss."""
    most = max(one.shape[1] for one in described)
    wanted = torch.arange(most, device=described[0].device)
    return [one[:, wanted % one.shape[1]] for one in described]


class PatchLoss(nn.Module):
    """Mean squared distance of each patch to the style's patch of the highest normalised
    cross-correlation.

    Args:
        target: from `describe`, (B, P, 9·C) or (1, P, 9·C).
    """

    target: Tensor

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target.detach(), persistent=False)

    def forward(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """(B, C, h, w) features → (B,) in float32 (float64 for float64 features)."""
        patches = unfold(upcast(features))
        with torch.no_grad():
            target = self.target.expand(len(patches), -1, -1)
            wanted = torch.stack(
                [most_similar(mine, one) for mine, one in zip(patches, target, strict=True)]
            )
        distances = (patches - wanted).square().mean(dim=1)
        if guide is None:
            return distances.mean(dim=1)
        middle = guide[..., 1:-1, 1:-1]
        return (distances * shares(middle).flatten(1)).sum(dim=1)


def most_similar(patches: Tensor, style: Tensor) -> Tensor:
    """For each of the patches (9·C, n) the style's (P, 9·C) of the highest normalised
    cross-correlation: (9·C, n)."""
    return style[(F.normalize(style, dim=1) @ patches).argmax(dim=0)].T
