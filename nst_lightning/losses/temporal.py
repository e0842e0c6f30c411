"""Temporal loss, which holds a frame of a film to what the frames before it have become."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nst_lightning.windows import Window


@dataclass(frozen=True)
class Temporal:
    """What the frames before one say of it, brought to where things are now.

    image: (B, 3, H, W) in [0, 1], the earlier results along the motion.
    weight: (B, 1, H, W) in [0, 1], how far each pixel of it can be trusted.
    revealed: (B, 1, H, W) in [0, 1], what was hidden before and is painted by a style of its own.
    """

    image: Tensor
    weight: Tensor
    revealed: Tensor

    def to(self, image: Tensor) -> "Temporal":
        """Returns it on the device and in the precision of an image."""
        return Temporal(self.image.to(image), self.weight.to(image), self.revealed.to(image))


class TemporalLoss(nn.Module):
    """The mean over pixel values of weight·(x − target)² (Ruder, Dosovitskiy & Brox 2016, eq. 8).

    They measure it in 0 … 255, with a weight of 200 beside one of 100 for the style of another
    norm; here it is in [0, 1].

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
