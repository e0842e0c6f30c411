"""How Lightning reads and writes the states of images."""

import errno
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from nst_lightning.callbacks.saved_state import SavedState
from nst_lightning.files import atomic_file


class CheckpointFiles(CheckpointIO):
    """Lightning's way to disk: writes whole, synced files; gives back a state that was read
    before.

    Args:
        state: what `load_checkpoint` returns.
    """

    def __init__(self, state: SavedState | None = None) -> None:
        self.state = state

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        """Writes a state in the place of an earlier one.

        Raises:
            OSError: it cannot be written.
        """
        with atomic_file(Path(path)) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # so torch says that a disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Returns the state; the path only names where it came from."""
        assert self.state is not None
        return {**self.state}

    def remove_checkpoint(self, path: Any) -> None:
        """Removes a state."""
        Path(path).unlink(missing_ok=True)
