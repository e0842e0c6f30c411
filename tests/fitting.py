"""One fit on the CPU by a Trainer that logs, saves and shows nothing."""

from pathlib import Path
from typing import Any

import lightning as L

from nst_lightning import StyleTransfer


def fit(model: StyleTransfer, ckpt_path: Path | None = None, **trainer: Any) -> L.Trainer:
    """Makes all steps of a model, from a checkpoint on if there is one; `trainer` holds further
    arguments of the Trainer."""
    quiet: dict[str, Any] = {
        "max_epochs": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    made = L.Trainer(**{**quiet, **trainer})
    made.fit(model, ckpt_path=ckpt_path)
    return made
