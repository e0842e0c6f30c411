"""Style loss that compares the Gram matrix of features with the style's."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nst_lightning.losses.layer_loss import (
    StatisticsLoss,
    add_by_position,
    by_position,
    whole_of,
)
from nst_lightning.losses.moments import moments, position_shares
from nst_lightning.losses.style_kind import StyleKind, weighted_mean
from nst_lightning.losses.upcast import upcast
from nst_lightning.settings import TransferSettings
from nst_lightning.vgg.onednn import served_by_onednn
from nst_lightning.windows import Window

# With F the N×M matrix of a layer's features and G = F·Fᵀ: what G is divided by, and the factor on
# mean((G/d − A/d)²), the mean being over the N² entries; `pixels` = W·H of the image.
Divisor = Callable[[int, int], float]
Factor = Callable[[int, int], float]
NORMALISATIONS: dict[str, tuple[Divisor, Factor]] = {
    # PyTorch tutorial: gram_matrix divides by a·b·c·d, a (the batch) being 1 there.
    "tutorial": (lambda n, m: n * m, lambda n, pixels: 1.0),
    # Gatys' code (PytorchNeuralStyleTransfer): GramMatrix divides by h·w.
    "positions": (lambda n, m: m, lambda n, pixels: 1.0),
    # Gatys et al. 2016, eq. 4: Σ(G−A)²/(4N²M²) = ¼·mean((G/M − A/M)²).
    "paper": (lambda n, m: m, lambda n, pixels: 0.25),
    # jcjohnson/neural-style: StyleLoss divides by nElement, C·H·W: the tutorial's formula.
    "jcjohnson": (lambda n, m: n * m, lambda n, pixels: 1.0),
    # titu1994/Neural-Style-Transfer, Network.py: Σ(G−A)²/(4·3²·(W·H)²), W·H of the image.
    "titu1994": (lambda n, m: 1.0, lambda n, pixels: n**2 / (4 * 3**2 * pixels**2)),
}


def gram(
    features: Tensor,
    normalisation: str,
    guide: Tensor | None = None,
    window: Window | None = None,
) -> Tensor:
    """Computes the Gram matrix of features, divided as `normalisation` says.

    The division by its own number of positions lets a style of another size be compared. With a
    guide it is that of Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017 ("Controlling Perceptual
    Factors in Neural Style Transfer", eq. 5), as large as if the region filled the image.

    Args:
        features: (B, C, h, w) of any floating type; the sums are taken in float32 at least.
        normalisation: a key of `NORMALISATIONS`.
        guide: (B, 1, h, w) of the whole layer, what each position counts; by default all count
            alike.
        window: the part of the layer that the features are, whose Gram matrix adds up with those
            of the other parts; by default all of it.

    Returns:
        (B, C, C) in float32 (float64 for float64 features).
    """
    window = window or whole_of(features)
    if guide is not None:
        shares = position_shares(features, guide, window)
        return moments(features, shares)[1] * guided_scale(normalisation, features, window)
    with torch.autocast(features.device.type, enabled=False):
        # Under channels_last this flattening is a view, so nothing is copied.
        f = upcast(features.flatten(2))
        divisor = NORMALISATIONS[normalisation][0](features.shape[1], window.count)
        return torch.bmm(f, f.transpose(1, 2)) / divisor


def guided_scale(normalisation: str, features: Tensor, window: Window) -> float:
    """Returns by how much the Gram matrix is larger than the second moment."""
    divisor = NORMALISATIONS[normalisation][0](features.shape[1], window.count)
    return window.count / divisor


class GramLoss(StatisticsLoss):
    """Squared distance between Gram matrices, at one layer.

    Its moments are Gram matrices less the style's, so that what is rounded in low precision is the
    small difference.

    Args:
        target: the style's Gram matrix, (B, C, C) or (1, C, C), made with the same normalisation.
        guide: (B, 1, h, w), what each position counts; by default all count alike.
        normalisation: a key of `NORMALISATIONS`.
        pixels: W·H of the image being optimised, which only `titu1994` wants to know.
    """

    target: Tensor

    def __init__(
        self, target: Tensor, guide: Tensor | None = None, *, normalisation: str, pixels: int
    ) -> None:
        super().__init__(guide)
        self.register_buffer("target", target.detach(), persistent=False)
        self.normalisation = normalisation
        self.factor = NORMALISATIONS[normalisation][1](target.shape[-1], pixels)

    def moments(self, features: Tensor, window: Window) -> Tensor:
        """Computes the Gram matrix of a window less its share of the target's, (B, C, C), in
        float32 (float64 for float64)."""
        exact = features.dtype in (torch.float32, torch.float64)
        target = self.target * window.share
        if self.shares is None and (exact or not features.requires_grad):
            share, f = self.share_of_position(features, window), by_position(features)
            if exact:
                return torch.baddbmm(target, f.mT, f, beta=-1, alpha=share)
            if f.device.type == "cuda":
                # Products summed in float32 have no backward in PyTorch.
                return torch.bmm(f.mT, f, out_dtype=torch.float32) * share - target
            if served_by_onednn(features):
                # oneDNN sums products of bfloat16 in float32, but rounds the sum to bfloat16. Most
                # of the target is therefore taken off within the product: what is rounded is no
                # more the Gram matrix but the small difference, and what is left of the target
                # follows.
                most = target.to(f.dtype)
                sums = torch.baddbmm(most.expand(len(f), -1, -1), f.mT, f, beta=-1, alpha=share)
                return sums.float() - (target - most.float())
        return gram(features, self.normalisation, self.shares, window) - target

    def value(self, gathered: Tensor) -> Tensor:
        """Computes the loss, (B,), from Gram matrices minus the target's."""
        return gathered.square().mean(dim=(1, 2)) * self.factor

    def value_and_slope(self, gathered: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its gradient to the moments: ∂/∂D factor·mean(D²) =
        2·factor/N²·D."""
        return self.value(gathered), gathered * (2 * self.factor / gathered.shape[-1] ** 2)

    def share_of_position(self, features: Tensor, window: Window) -> float:
        """Returns what each position counts in the Gram matrix, apart from its guide."""
        if self.shares is not None:
            return guided_scale(self.normalisation, features, window)
        return 1 / NORMALISATIONS[self.normalisation][0](features.shape[1], window.count)

    def accumulate_gradient(
        self,
        features: Tensor,
        slope: Tensor,
        weight: Tensor,
        gradient: Tensor,
        window: Window | None = None,
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place; see `LayerLoss`.

        The slope S being symmetric, the gradient of tr(Sᵀ·F·Fᵀ) is 2·S·F.
        """
        window = window or whole_of(features)
        guided = features if self.shares is None else features * window.cut(self.shares)
        share = self.share_of_position(features, window)
        add_by_position(gradient, guided, (2 * share * weight)[:, None, None] * slope)

    def steepest(self, features: Tensor, slope: Tensor) -> Tensor:
        """Returns about how large the gradient to the features is at most, (B,)."""
        share = self.share_of_position(features, whole_of(features))
        return super().steepest(features, slope * share)


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: gram` names; see `style_kind`."""

    def describe(features: Tensor, guide: Tensor | None, window: Window | None = None) -> Tensor:
        return gram(features, settings.gram, guide, window)

    return StyleKind(
        describe,
        weighted_mean,
        partial(GramLoss, normalisation=settings.gram, pixels=pixels),
        adds_up=True,
    )
