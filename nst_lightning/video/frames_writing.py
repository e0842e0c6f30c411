"""Frames → a folder of numbered PNGs."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_lightning.imaging.metadata import Metadata

_NAME = re.compile(r"\d{6}\.png")

_NOTHING = Metadata()


def write_frames_folder(
    folder: Path,
    frames: Iterable[npt.NDArray[Any]],
    *,
    bits: int = 8,
    metadata: Metadata = _NOTHING,
) -> int:
    """Writes frames as 000001.png and so on, each seen whole or not at all.

    Frames beyond the last one, which a longer clip has left there, are removed.

    Args:
        folder: is made if need be.
        frames: (H, W, 3) RGB, uint8, or uint16 of 0 to 65535.
        bits: 8 or 16 of a channel.
        metadata: of every file.

    Returns:
        The number of frames.

    Raises:
        OSError: one cannot be written.
    """
    import torch

    from nst_lightning.imaging.writing import write_image

    count = 0
    for count, frame in enumerate(frames, 1):
        white = 65535 if frame.dtype == np.uint16 else 255
        values = torch.from_numpy(frame.transpose(2, 0, 1).astype(np.float64) / white)
        write_image(folder / f"{count:06d}.png", values, metadata=metadata, bits=bits)
    if folder.is_dir():
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name) and int(path.stem) > count:
                path.unlink()
    return count
