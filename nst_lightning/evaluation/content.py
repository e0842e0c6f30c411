"""How far features are from the content's, position by position, relative to the content's."""

from torch import Tensor

from nst_lightning.evaluation.per_image import PerImage
from nst_lightning.evaluation.relative import relative_distance


def content_distance(features: Tensor, content: Tensor) -> Tensor:
    """‖F − P‖ / ‖P‖: the content loss of Gatys, Ecker & Bethge 2016 (eq. 1) made free of scale.

    Args:
        features: F, (B, C, h, w).
        content: P, (B, C, h, w).

    Returns:
        (B,), at least 0: 0 for the content itself, 1 for features that are all zero.
    """
    return relative_distance(features, content)


class ContentDistance(PerImage):
    """`content_distance` of each image."""

    higher_is_better = False

    def measure(self, *inputs: Tensor) -> Tensor:
        """F and P, (B, C, h, w) each, → (B,)."""
        return content_distance(*inputs)
