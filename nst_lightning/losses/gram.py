"""Style loss: how far the Gram matrix of features is from the style's."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nst_lightning.losses.upcast import upcast

# With F the N×M matrix of a layer's features and G = F·Fᵀ: what G is divided by, and the factor on
# mean((G/d − A/d)²), the mean being over the N² entries; `pixels` = W·H of the picture.
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
    # titu1994/Neural-Style-Transfer, Network.py: Σ(G−A)²/(4·3²·(W·H)²), W·H of the picture.
    "titu1994": (lambda n, m: 1.0, lambda n, pixels: n**2 / (4 * 3**2 * pixels**2)),
}


def gram(features: Tensor, normalisation: str) -> Tensor:
    """Gram matrix of features, divided as `normalisation` says.

    The division by its own number of positions lets a style of another size be compared.

    Args:
        features: (B, C, h, w) of any floating type; the sums are taken in float32 at least.
        normalisation: a key of `NORMALISATIONS`.

    Returns:
        (B, C, C) in float32 (float64 for float64 features).
    """
    divisor = NORMALISATIONS[normalisation][0](features.shape[1], features[0, 0].numel())
    with torch.autocast(features.device.type, enabled=False):
        # Under channels_last this flattening is a view, so nothing is copied.
        f = upcast(features.flatten(2))
        return torch.bmm(f, f.transpose(1, 2)) / divisor


class GramLoss(nn.Module):
    """Squared distance between Gram matrices, at one layer.

    Args:
        target: the style's Gram matrix, (B, C, C) or (1, C, C), made with the same normalisation.
        normalisation: a key of `NORMALISATIONS`.
        pixels: W·H of the picture being optimised, which only `titu1994` wants to know.
    """

    target: Tensor

    def __init__(self, target: Tensor, normalisation: str, pixels: int) -> None:
        super().__init__()
        self.register_buffer("target", target.detach(), persistent=False)
        self.normalisation = normalisation
        self.factor = NORMALISATIONS[normalisation][1](target.shape[-1], pixels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) features → (B,) in float32 (float64 for float64 features)."""
        difference = gram(features, self.normalisation) - self.target
        return difference.square().mean(dim=(1, 2)) * self.factor
