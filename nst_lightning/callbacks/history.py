"""Records the losses of every step."""

import time
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor

from nst_lightning.drawing.loss_history import TERMS, Row, make_rows
from nst_lightning.transfer.module import StyleTransfer


class History(L.Callback):
    """Keeps the losses of each step of a batch, over all its scales: give it to every fit.

    The losses stay on the device until `of` is called, so no step waits for it; on a GPU, which
    runs behind, the seconds are therefore when a step was asked for, not when it was done.
    """

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.seconds: list[float] = []
        self.losses: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        losses = cast(StyleTransfer, module).losses
        self.seconds.append(time.perf_counter() - self.begun)
        self.losses.append(torch.stack([losses[term] for term in TERMS]))

    def state_dict(self) -> dict[str, Any]:
        # (B, steps, terms): the images first, as in all that a checkpoint holds.
        return {"seconds": self.seconds, "losses": torch.stack(self.losses).permute(2, 0, 1)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds = state_dict["seconds"]
        self.losses = list(state_dict["losses"].permute(1, 2, 0))
        self.begun = time.perf_counter() - self.seconds[-1]

    def of(self, index: int) -> list[Row]:
        """Returns the rows of image `index` of the batch."""
        if not self.losses:
            return []
        values = torch.stack(self.losses)[:, :, index].tolist()
        return make_rows(self.seconds, values)
