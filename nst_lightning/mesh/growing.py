"""Islands of a texture, grown beyond their borders."""

import torch
from torch import Tensor

from nst_lightning.extras import need_extra

GROWN = 16
"""Texels by which islands grow: smaller levels of a texture mix what lies around them."""


def grow(texels: Tensor, kept: Tensor, by: int = GROWN) -> Tensor:
    """Gives texels beside islands the colour of the nearest one that lies on an island.

    Args:
        texels: (..., H, W) of one texture.
        kept: (H, W) bool, the islands.
        by: how far, in texels.

    Returns:
        New texels of the same shape.

    Raises:
        UserError: scipy is not installed.
    """
    need_extra("mesh", "textures", "scipy")
    from scipy.ndimage import distance_transform_edt

    if not bool(kept.any()):
        return texels.clone()
    far, nearest = distance_transform_edt(~kept.cpu().numpy(), return_indices=True)
    row, column = torch.from_numpy(nearest).long().to(texels.device)
    near = (torch.from_numpy(far) <= by).to(texels.device)
    return torch.where(near, texels[..., row, column], texels)
