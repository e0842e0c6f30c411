"""What the style losses of a mean and a whole second moment have in common."""

import torch
from torch import Tensor

from nst_lightning.losses.layer_loss import AffineLoss, by_position
from nst_lightning.losses.moments import moments, position_shares
from nst_lightning.losses.upcast import upcast
from nst_lightning.windows import Window


def describe(features: Tensor, guide: Tensor | None = None, window: Window | None = None) -> Tensor:
    """Computes mean and raw second moment of features (B, C, h, w), side by side: (B, C, 1 + C);
    see `StyleKind.describe`."""
    return side_by_side(features, position_shares(features, guide, window))


def side_by_side(features: Tensor, shares: Tensor | float) -> Tensor:
    """Computes mean and raw second moment of features by the shares of positions, (B, C, 1 + C)."""
    mean, second = moments(features, shares)
    return torch.cat([mean[:, :, None], second], dim=2)


class SecondMomentsLoss(AffineLoss):
    """A loss of the means and the raw second moments of all channels, as `describe` has them."""

    def moments(self, features: Tensor, window: Window) -> Tensor:
        """Computes mean and raw second moment, side by side: (B, C, 1 + C)."""
        return side_by_side(features, self.position_shares(window))

    def gradient(self, features: Tensor, slope: Tensor) -> Tensor:
        """Returns a + 2·S·F, with a and S the slopes of mean and second moment, in float32: S is
        large in the directions in which the features are small, where rounding would be seen."""
        a, s = slope[:, None, :, 0], 2 * slope[:, :, 1:]
        rows = torch.baddbmm(a, by_position(upcast(features)), s)
        return rows.mT.reshape(features.shape)
