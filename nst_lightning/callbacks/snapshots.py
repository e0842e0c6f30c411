"""Saves the image as it is after some of the steps."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
from torch import Tensor

from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.writing import write_image
from nst_lightning.layout import snapshot_name
from nst_lightning.transfer.module import StyleTransfer


class Snapshots(L.Callback):
    """Saves `step-0010.png` after every N-th step, each of the first K, and further ones.

    Args:
        folders: one folder per image of the batch.
        every: N; 0 saves none.
        first: K; 0 saves none.
        at: further steps.
        offset: steps of earlier scales.
        write: takes a path and an 8-bit image (3, H, W); by default `write_image` there and then.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        every: int = 0,
        first: int = 0,
        at: Collection[int] = (),
        offset: int = 0,
        write: Callable[[Path, Tensor], object] = write_image,
    ) -> None:
        self.folders = folders
        self.every = every
        self.first = first
        self.at = at
        self.offset = offset
        self.write = write

    def due(self, step: int) -> bool:
        """Whether the image after this step (from 1) is saved."""
        every = self.every > 0 and step % self.every == 0
        return every or step <= self.first or step in self.at

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        step = self.offset + index + 1
        if self.due(step):
            images = to_levels(cast(StyleTransfer, module).shown()).cpu()
            for folder, image in zip(self.folders, images, strict=True):
                self.write(folder / snapshot_name(step), image)
