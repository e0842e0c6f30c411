"""A distance that does not depend on the scale of what is compared."""

import torch
from torch import Tensor


def relative_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """‖x − y‖ / ‖y‖ over all but the first dimension.

    Args:
        found: x, (B, …).
        wanted: y, (B, …) or (1, …).

    Returns:
        (B,); nan or infinite where y is all zero.
    """
    difference = torch.linalg.vector_norm((found - wanted).flatten(1), dim=1)
    relative: Tensor = difference / torch.linalg.vector_norm(wanted.flatten(1), dim=1)
    return relative
