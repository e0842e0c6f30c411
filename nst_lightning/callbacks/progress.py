"""Reports each step, and of long ones how far they are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import lightning as L

from nst_lightning.transfer.module import StyleTransfer


class Progress(L.Callback):
    """Calls `report(step, losses)` after each step.

    Args:
        report: gets the number of steps done and a function that returns the batch's mean of each
            loss term; that function waits for the device. An exception that it raises ends the fit.
        offset: steps of earlier scales.
        part: is called while a step of an image in tiles is made, with the share that is done.
    """

    def __init__(
        self,
        report: Callable[[int, Callable[[], dict[str, float]]], None],
        offset: int = 0,
        part: Callable[[float], None] | None = None,
    ) -> None:
        self.report = report
        self.offset = offset
        self.part = part

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        model = cast(StyleTransfer, module)
        if model.walk.side:
            model.walk = replace(model.walk, watch=self.part)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        model = cast(StyleTransfer, module)

        def losses() -> dict[str, float]:
            return {name: float(values.mean()) for name, values in model.losses.items()}

        self.report(self.offset + index + 1, losses)
