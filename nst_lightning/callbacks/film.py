"""Keeps frames of the optimisation for a film."""

from typing import Any, cast

import lightning as L
from torch import Tensor

from nst_lightning.imaging.levels import to_levels
from nst_lightning.transfer.module import StyleTransfer

FRAMES = 60
"""Of a film, about: at 1024² they take 190 MB until the film is written."""


class Film(L.Callback):
    """Keeps 8-bit frames of each image of a batch, over all its scales: give it to every fit.

    Args:
        steps: after which a frame is taken.
    """

    def __init__(self, steps: set[int]) -> None:
        self.steps = steps
        self.step = 0
        self.frames: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self.step += 1
        if self.step in self.steps:
            image = cast(StyleTransfer, module).shown()
            self.frames.append(to_levels(image.nan_to_num()).cpu())

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "frames": self.frames}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.step = state_dict["step"]
        self.frames = state_dict["frames"]

    def of(self, index: int) -> list[Tensor]:
        """Returns the frames of image `index`, (3, H, W) of 0 … 255 each."""
        return [frame[index] for frame in self.frames]


def frame_steps(total: int, every: int, first: int) -> set[int]:
    """Returns after which of `total` steps a frame is taken.

    With neither `every` nor `first`, about `FRAMES` of them, denser early (by the square of time),
    because most changes there.
    """
    if every == 0 and first == 0:
        return {max(1, round(total * (k / FRAMES) ** 2)) for k in range(1, FRAMES + 1)}
    regular = range(every, total + 1, every) if every else range(0)
    return {*range(1, min(first, total) + 1), *regular, total}
