"""Style loss with a target of its own in each region of an image."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lightning.losses.layer_loss import LayerLoss
from nst_lightning.windows import Window


class RegionalLoss(LayerLoss):
    """The sum over regions of the loss in each, weighted by its share of the image.

    With this weight a position is drawn as strongly as without regions, whatever their sizes.

    Args:
        losses: one a region, which know their guides.
        guides: (B, R, h, w) in [0, 1], which position is in which region; all zeros: in none.
    """

    shares: Tensor

    def __init__(self, losses: Sequence[LayerLoss], guides: Tensor) -> None:
        super().__init__()
        self.losses = nn.ModuleList(losses)
        self.waits = any(loss.waits for loss in losses)
        self.reach = max(loss.reach for loss in losses)
        self.register_buffer("shares", guides.mean(dim=(2, 3)), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Computes the loss of features (B, C, h, w), (B,)."""
        return self._sum([loss(features) for loss in self.losses])

    def gather(
        self, features: Tensor, window: Window, before: Sequence[Any] | None = None
    ) -> Sequence[Any]:
        """Returns what each region's loss has gathered so far."""
        each = [None] * len(self.losses) if before is None else before
        return [
            loss.gather(features, window, own) for loss, own in zip(self._each(), each, strict=True)
        ]

    def value(self, gathered: Sequence[Any]) -> Tensor:
        """Computes the loss, (B,), from what each region's loss has gathered."""
        each = zip(self._each(), gathered, strict=True)
        return self._sum([loss.value(own) for loss, own in each])

    def value_and_slope(self, gathered: Sequence[Any]) -> tuple[Tensor, Sequence[Any]]:
        """Computes the loss, (B,), and the slope of each region's."""
        each = zip(self._each(), gathered, strict=True)
        values, slopes = zip(*(loss.value_and_slope(own) for loss, own in each), strict=True)
        return self._sum(list(values)), slopes

    def accumulate_gradient(
        self,
        features: Tensor,
        slope: Sequence[Any],
        weight: Tensor,
        gradient: Tensor,
        window: Window | None = None,
    ) -> None:
        """Adds weight·∂loss/∂features to the gradient, in place; see `LayerLoss`."""
        for loss, own, share in self._shared(slope):
            loss.accumulate_gradient(features, own, share * weight, gradient, window)

    def steepest(self, features: Tensor, slope: Sequence[Any]) -> Tensor:
        """Returns about how large the gradient to the features is at most, (B,)."""
        each = [share * loss.steepest(features, own) for loss, own, share in self._shared(slope)]
        return torch.stack(each).sum(dim=0)

    def energy(self, channels: int) -> Tensor:
        """Computes the loss for features of zero, (B,)."""
        return self._sum([loss.energy(channels) for loss in self._each()])

    def _shared(self, slopes: Sequence[Any]) -> Iterator[tuple[LayerLoss, Any, Tensor]]:
        """Yields each region's loss with its slope and its share of each image, (B,)."""
        return zip(self._each(), slopes, self.shares.unbind(dim=1), strict=True)

    def _each(self) -> Sequence[LayerLoss]:
        return cast(Sequence[LayerLoss], self.losses)

    def _sum(self, values: list[Tensor]) -> Tensor:
        return (torch.stack(values, dim=1) * self.shares).sum(dim=1)


def with_revealed(
    regions: Sequence[Tensor], guides: Tensor | None, revealed: Tensor
) -> tuple[Sequence[Tensor], Tensor | None]:
    """Returns regions and their guides with each region in two: what was seen before, and what is
    revealed.

    The statistics of a whole frame are met already by what it has from the frames before, so that
    nothing would draw what is new; a region of its own is drawn until it meets them itself.

    Args:
        regions: what is kept of the style in each.
        guides: (B, R, H, W), which pixel is in which region; None where there is one region.
        revealed: (B, 1, H, W) in [0, 1].
    """
    if not bool(revealed.any()):
        return regions, guides
    whole = torch.ones_like(revealed) if guides is None else guides.to(revealed)
    both = torch.cat([whole * (1 - revealed), whole * revealed], dim=1)
    return [*regions, *regions], both


def guides_at_layer(guides: Tensor, height: int, width: int) -> Tensor:
    """Averages guides (B, R, H, W) over areas to a layer's resolution, (B, R, height, width)."""
    return F.adaptive_avg_pool2d(guides, (height, width))
