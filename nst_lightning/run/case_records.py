"""The records of the pairs of a case, whatever they are of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nst_lightning.run.task import CaseSettings
from nst_lightning.store.job import Job
from nst_lightning.store.records import Record, Resolved, Status, make_record
from nst_lightning.vgg.weights import Weights


@dataclass(frozen=True)
class CaseRecords:
    """Makes the records of the pairs of a case.

    case: its settings.
    out: the output folder.
    weights: of the network.
    device: that the pairs are made on.
    """

    case: CaseSettings
    out: Path
    weights: Weights
    device: torch.device

    def make(self, job: Job, status: Status, **facts: Any) -> Record:
        """Returns the record of a pair; see `make_record`."""
        return make_record(
            job,
            self.out,
            self.case.asked,
            status=status,
            weights_checksum=self.weights.checksum,
            weights_input=self.weights.input,
            **facts,
        )

    def where_made(self, shape: Sequence[int]) -> dict[str, Any]:
        """Returns what a record says of where a result of (height, width) was made, and with
        what."""
        settings = self.case.resolved
        return {
            "device": device_name(self.device),
            "resolved": Resolved(
                learning_rate=settings.resolved_learning_rate,
                accelerator=self.device.type,
                precision=settings.precision,
                width=shape[1],
                height=shape[0],
            ),
        }


def device_name(device: torch.device) -> str:
    """Returns `cpu` or the accelerator's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
