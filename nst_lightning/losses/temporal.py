"""Temporal loss, which holds a frame of a film to what the frames before it have become."""

import torch
from torch import Tensor, nn

from nst_lightning.video.temporal_target import Temporal
from nst_lightning.windows import Window


class TemporalLoss(nn.Module):
    """The mean over pixel values of weight·(x − target)² (Ruder, Dosovitskiy & Brox 2016, eq. 8).

    Args:
        temporal: the target, with its weight.
    """

    image: Tensor
    weight: Tensor

    def __init__(self, temporal: Temporal) -> None:
        super().__init__()
        self.register_buffer("image", temporal.image, persistent=False)
        self.register_buffer("weight", temporal.weight, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Computes the loss of images (B, 3, H, W) in [0, 1], (B,)."""
        return (self.weight * (image - self.image).square()).mean(dim=(1, 2, 3))

    @torch.no_grad()
    def value_and_gradient(self, image: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        """Computes what a window adds to the loss of images, (B,), and the gradient of the whole
        loss there, (B, 3, h, w).

        Args:
            image: (B, 3, H, W) in [0, 1].
            window: of the image.
        """
        apart = window.cut(image) - window.cut(self.image)
        pulled = window.cut(self.weight) * apart
        count = 3 * window.count
        return (pulled * apart).sum(dim=(1, 2, 3)) / count, 2 / count * pulled
