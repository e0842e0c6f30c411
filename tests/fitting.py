"""One fit on the CPU by a Trainer that logs, saves and shows nothing."""

from typing import Any

import lightning as L

from nst_lightning import StyleTransfer


def fit(model: StyleTransfer, **trainer: Any) -> L.Trainer:
    """Makes all steps of a model; `trainer` holds further arguments of the Trainer."""
    quiet: dict[str, Any] = {
        "max_epochs": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    made = L.Trainer(**{**quiet, **trainer})
    made.fit(model)
    return made
