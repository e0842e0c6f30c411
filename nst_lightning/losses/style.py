"""The style losses by name: how a style is described, how several are blended, how far one is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nst_lightning.losses import mean_variance, patches, sliced_wasserstein, wasserstein
from nst_lightning.losses.gram import GramLoss, gram
from nst_lightning.settings import TransferSettings


@dataclass(frozen=True)
class StyleKind:
    """One way to compare styles."""

    describe: Callable[[Tensor, Tensor | None], Tensor]
    """Features (B, C, h, w) of styles and a guide (B, 1, h, w), or None, → what is kept of them."""
    blend: Callable[[list[Tensor], list[float]], Tensor]
    """Descriptions of several styles and their shares, which sum to 1 → that of the blend."""
    loss: Callable[[Tensor], nn.Module]
    """The distance of features from a description."""
    alike: Callable[[list[Tensor]], list[Tensor]] = list
    """Brings descriptions of several styles to one shape."""


def style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """The way that the settings name.

    Args:
        settings: `style_loss` and `gram`.
        pixels: H·W of the picture that is optimised.
    """
    if settings.style_loss == "gram":
        return StyleKind(
            lambda features, guide: gram(features, settings.gram, guide),
            weighted_mean,
            partial(GramLoss, normalisation=settings.gram, pixels=pixels),
        )
    return KINDS[settings.style_loss]


def weighted_mean(described: list[Tensor], parts: list[float]) -> Tensor:
    """Σ share·description: of moments, those of the mixture."""
    if len(described) == 1:
        return described[0]
    return torch.stack([part * one for one, part in zip(described, parts, strict=True)]).sum(dim=0)


def mean_of_quantiles(described: list[Tensor], parts: list[float]) -> Tensor:
    """The quantiles of the Wasserstein barycentre along each direction."""
    return weighted_mean(sliced_wasserstein.alike(described), parts)


KINDS = {
    "mean-variance": StyleKind(
        mean_variance.describe, weighted_mean, mean_variance.MeanVarianceLoss
    ),
    "wasserstein": StyleKind(wasserstein.describe, weighted_mean, wasserstein.WassersteinLoss),
    "sliced-wasserstein": StyleKind(
        sliced_wasserstein.describe,
        mean_of_quantiles,
        sliced_wasserstein.SlicedWassersteinLoss,
        sliced_wasserstein.alike,
    ),
    "patches": StyleKind(patches.describe, patches.blend, patches.PatchLoss, patches.alike),
}
