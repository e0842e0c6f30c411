"""Style loss that compares the Gram matrix of features with the style's."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from nst_lightning.losses.layer_loss import StatisticsLoss, add_by_position, by_position
from nst_lightning.losses.moments import moments, shares_of_positions
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

    def moments(self, features: Tensor) -> Tensor:
        """Computes Gram matrices minus the target's, (B, C, C), in float32 (float64 for
        float64)."""
        exact = features.dtype in (torch.float32, torch.float64)
        if self.guide is None and (exact or not features.requires_grad):
            share, f = self.share_of_position(features), by_position(features)
            if exact:
                return torch.baddbmm(self.target, f.mT, f, beta=-1, alpha=share)
            if f.device.type == "cuda":
                # Products summed in float32 have no backward in PyTorch.
                return torch.bmm(f.mT, f, out_dtype=torch.float32) * share - self.target
            if served_by_onednn(features):
                # oneDNN sums products of bfloat16 in float32, but rounds the sum to bfloat16. Most
                # of the target is therefore taken off within the product: what is rounded is no
                # more the Gram matrix but the small difference, and what is left of the target
                # follows.
                most = self.target.to(f.dtype)
                sums = torch.baddbmm(most.expand(len(f), -1, -1), f.mT, f, beta=-1, alpha=share)
                return sums.float() - (self.target - most.float())
        return gram(features, self.normalisation, self.guide) - self.target

    def distance(self, moments: Tensor) -> Tensor:
        """Computes the loss, (B,), from Gram matrices minus the target's."""
        return moments.square().mean(dim=(1, 2)) * self.factor

    def value_and_slope(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss, (B,), and its gradient to the moments: ∂/∂D factor·mean(D²) =
        2·factor/N²·D."""
        return self.distance(moments), moments * (2 * self.factor / moments.shape[-1] ** 2)

    def share_of_position(self, features: Tensor) -> float:
        """Returns what each position counts in the Gram matrix, apart from its guide."""
        positions = features[0, 0].numel()
        share = 1 / NORMALISATIONS[self.normalisation][0](features.shape[1], positions)
        return share if self.guide is None else share * positions

    def accumulate_gradient(
        self, features: Tensor, slope: Tensor, weight: Tensor, gradient: Tensor
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place; see `LayerLoss`.

        The slope S being symmetric, the gradient of tr(Sᵀ·F·Fᵀ) is 2·S·F.
        """
        guided = features if self.guide is None else features * shares_of_positions(self.guide)
        add_by_position(gradient, guided, (2 * weight)[:, None, None] * slope)


def make_style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Makes the kind that `style_loss: gram` names; see `style_kind`."""
    return StyleKind(
        lambda features, guide: gram(features, settings.gram, guide),
        weighted_mean,
        partial(GramLoss, normalisation=settings.gram, pixels=pixels),
    )
