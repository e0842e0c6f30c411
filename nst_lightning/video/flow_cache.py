"""Flows on disk, so that each is computed once."""

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nst_lightning.files import write_bytes

SUFFIX = ".flow"
DIGEST_BYTES = 16


class FlowCache:
    """Keeps flows in a folder, which several processes may share.

    Flows are rounded to float16, to at most 1/32 px up to 64 px: those that are made too, so that
    it makes no difference to a result which of them were kept.

    Args:
        folder: its files that end in `.flow` may be removed at any time.
        most_bytes: what the flows may take up there; those used longest ago go first.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def get(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """Returns a flow, which is made only where it is not kept whole.

        Args:
            key: says everything that the flow depends on.
            make: returns it, (1, 2, H, W) in pixels.

        Returns:
            (1, 2, H, W), float32 on the CPU.
        """
        path = self.folder / f"{_digest(key.encode()).hex()}{SUFFIX}"
        flow = _read(path)
        if flow is None:
            flow = make().cpu().to(torch.float16)
            with suppress(OSError):  # it is made again, then
                write_bytes(path, _packed(flow))
                self._remove_oldest()
        return flow.float()

    def _remove_oldest(self) -> None:
        used = []
        for path in self.folder.glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):  # another process removed it
                state = path.stat()
                used.append((state.st_mtime_ns, state.st_size, path))
        excess = sum(size for _, size, _ in used) - self.most_bytes
        for _, size, path in sorted(used):
            if excess <= 0:
                return
            with suppress(OSError):  # removed, or being read on Windows
                path.unlink()
            excess -= size


def _read(path: Path) -> Tensor | None:
    """Returns the flow of a file and notes that it was used; None if it is not there or damaged."""
    try:
        data = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    digest, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    return torch.from_numpy(np.load(io.BytesIO(body))) if digest == _digest(body) else None


def _packed(flow: Tensor) -> bytes:
    """Returns the bytes of a file: an array as numpy saves it, after its digest."""
    file = io.BytesIO()
    np.save(file, flow.numpy())
    return _digest(file.getvalue()) + file.getvalue()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
