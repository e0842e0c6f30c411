"""Style loss that compares the Gram matrix of features with the style's."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from nst_lightning.losses.moments import moments
from nst_lightning.losses.style_kind import StyleKind, weighted_mean
from nst_lightning.losses.upcast import upcast
from nst_lightning.settings import TransferSettings
from nst_lightning.vgg.onednn import served_by_onednn

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


def gram(features: Tensor, normalisation: str, guide: Tensor | None = None) -> Tensor:
    """Computes the Gram matrix of features, divided as `normalisation` says.

    The division by its own number of positions lets a style of another size be compared. With a
    guide it is that of Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017 ("Controlling Perceptual
    Factors in Neural Style Transfer", eq. 5), as large as if the region filled the image.

    Args:
        features: (B, C, h, w) of any floating type; the sums are taken in float32 at least.
        normalisation: a key of `NORMALISATIONS`.
        guide: (B, 1, h, w), what each position counts; by default all count alike.

    Returns:
        (B, C, C) in float32 (float64 for float64 features).
    """
    positions = features[0, 0].numel()
    divisor = NORMALISATIONS[normalisation][0](features.shape[1], positions)
    if guide is not None:
        return moments(features, guide)[1] * (positions / divisor)
    with torch.autocast(features.device.type, enabled=False):
        # Under channels_last this flattening is a view, so nothing is copied.
        f = upcast(features.flatten(2))
        return torch.bmm(f, f.transpose(1, 2)) / divisor


class GramLoss(nn.Module):
    """Squared distance between Gram matrices, at one layer.

    Args:
        target: the style's Gram matrix, (B, C, C) or (1, C, C), made with the same normalisation.
        normalisation: a key of `NORMALISATIONS`.
        pixels: W·H of the image being optimised, which only `titu1994` wants to know.
    """

    target: Tensor

    def __init__(self, target: Tensor, normalisation: str, pixels: int) -> None:
        super().__init__()
        self.register_buffer("target", target.detach(), persistent=False)
        self.normalisation = normalisation
        self.factor = NORMALISATIONS[normalisation][1](target.shape[-1], pixels)

    def forward(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Computes the loss of features (B, C, h, w): (B,) in float32 (float64 for float64).

        With a guide (B, 1, h, w) only its region counts.
        """
        return self.value(gram(features, self.normalisation, guide) - self.target)

    def difference(self, features: Tensor) -> Tensor:
        """Returns Gram matrices minus the target's, (B, C, C), in float32 (float64 for float64)."""
        divisor = self._divisor(features)
        f = by_position(features)
        if f.dtype in (torch.float32, torch.float64):
            return torch.baddbmm(self.target, f.mT, f, beta=-1, alpha=1 / divisor)
        if f.device.type == "cuda":
            return torch.bmm(f.mT, f, out_dtype=torch.float32) / divisor - self.target
        if served_by_onednn(features):
            # oneDNN sums products of bfloat16 in float32, but rounds the sum to bfloat16. Most of
            # the target is therefore taken off within the product: what is rounded is no more
            # the Gram matrix but the small difference, and what is left of the target follows.
            most = self.target.to(f.dtype)
            sums = torch.baddbmm(most.expand(len(f), -1, -1), f.mT, f, beta=-1, alpha=1 / divisor)
            return sums.float() - (self.target - most.float())
        return gram(features, self.normalisation) - self.target

    def value(self, difference: Tensor) -> Tensor:
        """Computes the loss, (B,), from `difference`."""
        return difference.square().mean(dim=(1, 2)) * self.factor

    def accumulate_gradient(
        self, features: Tensor, gradient: Tensor, weight: Tensor, difference: Tensor
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place.

        With D the (symmetric) difference, d the divisor and N channels:
        ∂/∂F factor·mean(D²) = 4·factor/(N²·d)·D·F.

        Args:
            features: (B, C, h, w).
            gradient: (B, C, h, w) in channels_last, of the features' type.
            weight: (B,).
            difference: from the method of this name.
        """
        d = (weight * self.slope(features))[:, None, None] * difference
        by_position(gradient).baddbmm_(by_position(features), d.to(gradient.dtype))

    def slope(self, features: Tensor) -> float:
        """Returns what D·F is multiplied by in the gradient (see `accumulate_gradient`)."""
        return 4 * self.factor / (features.shape[1] ** 2 * self._divisor(features))

    def _divisor(self, features: Tensor) -> float:
        return NORMALISATIONS[self.normalisation][0](features.shape[1], features[0, 0].numel())


def by_position(features: Tensor) -> Tensor:
    """Views (B, C, h, w) in channels_last as (B, h·w, C)."""
    batch, channels, height, width = features.shape
    return features.permute(0, 2, 3, 1).view(batch, height * width, channels)


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: gram` names; see `style_kind`."""
    return StyleKind(
        lambda features, guide: gram(features, settings.gram, guide),
        weighted_mean,
        partial(GramLoss, normalisation=settings.gram, pixels=pixels),
    )
