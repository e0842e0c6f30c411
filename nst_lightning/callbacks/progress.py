"""Reports each step."""

from collections.abc import Callable
from typing import Any, cast

import lightning as L

from nst_lightning.transfer.module import StyleTransfer


class Progress(L.Callback):
    """Calls `report(step, losses)` after each step.

    Args:
        report: gets the number of steps done and a function that returns the batch's mean of each
            loss term; that function waits for the device. An exception that it raises ends the fit.
        offset: steps of earlier scales.
    """

    def __init__(
        self, report: Callable[[int, Callable[[], dict[str, float]]], None], offset: int = 0
    ) -> None:
        self.report = report
        self.offset = offset

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        model = cast(StyleTransfer, module)

        def losses() -> dict[str, float]:
            return {name: float(values.mean()) for name, values in model.losses.items()}

        self.report(self.offset + index + 1, losses)
