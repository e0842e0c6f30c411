"""How far the Gram matrix of features is from the style's, relative to the style's."""

from torch import Tensor

from nst_lightning.evaluation.per_image import PerImage
from nst_lightning.evaluation.relative import relative_distance


def gram_distance(gram: Tensor, style: Tensor) -> Tensor:
    """‖G − A‖_F / ‖A‖_F of Gram matrices divided by their positions.

    The style loss of Gatys, Ecker & Bethge 2016 (eq. 4) made free of scale: 0 for the style itself,
    1 for features that are all zero.

    Args:
        gram: G, (B, C, C): `second` of `losses.moments.moments`.
        style: A, (B, C, C) or (1, C, C).

    Returns:
        (B,), at least 0.
    """
    return relative_distance(gram, style)


class GramDistance(PerImage):
    """`gram_distance` of each image, at one layer."""

    higher_is_better = False

    def measure(self, *inputs: Tensor) -> Tensor:
        """G and A, (B, C, C) each, → (B,)."""
        return gram_distance(*inputs)
