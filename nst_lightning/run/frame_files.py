"""The frames of a film that are made, as files: an image each, and in it how it was made."""

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.grid.sources import Shape
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.metadata import Metadata, read_metadata
from nst_lightning.imaging.resize import resize
from nst_lightning.imaging.writing import write_image
from nst_lightning.layout import FRAMES
from nst_lightning.run.film_plan import Segment
from nst_lightning.store.job import Job
from nst_lightning.video.temporal_target import GROWN

FACTS = "nst-lightning frame"
"""The keyword of the text in a frame's file that says how it was made."""

AGE = "age"
"""The fact that says for how long each pixel has been seen."""


def frames_folder(out: Path, job: Job) -> Path:
    """Returns the folder of the frames of a pair."""
    return out / FRAMES / job.fingerprint[:32]


def segment_folder(out: Path, job: Job, segment: Segment) -> Path:
    """Returns the folder of the frames of a segment."""
    return frames_folder(out, job) / segment.name


def to_tensor(levels: "np.ndarray[Any, Any]", shape: Shape) -> Tensor:
    """Returns a frame (H, W, 3) of a clip at the size at which it is made, (1, 3, h, w)."""
    most = np.iinfo(levels.dtype).max
    values = torch.from_numpy(levels.astype(np.float32)).permute(2, 0, 1)[None] / most
    return resize(values.contiguous(), *shape)


def write_frame(
    path: Path, image: Tensor, age: Tensor | None, facts: Mapping[str, Any], bits: int
) -> Tensor:
    """Writes a frame, and returns it as its file has it, (1, 3, H, W) in [0, 1].

    Args:
        path: of its file.
        image: (3, H, W) in [0, 1].
        age: (1, 1, H, W), see `Known`; None where all has been seen for long.
        facts: how it was made.
        bits: 8 or 16 of a channel.

    Raises:
        OSError: it cannot be written.
    """
    if age is not None and bool((age < GROWN).any()):
        facts = {**facts, AGE: _packed(age)}
    write_image(path, to_levels(image, bits), None, Metadata({FACTS: json.dumps(facts)}), bits=bits)
    return cast(Tensor, read_frame(path, (image.shape[-2], image.shape[-1])))


def read_frame(path: Path, shape: Shape) -> Tensor | None:
    """Returns a frame that was made, (1, 3, H, W) in [0, 1]; None where there is none that can be
    read."""
    from nst_lightning.imaging.reading import read_image

    if not path.is_file():
        return None
    try:
        rgb = read_image(path, max_pixels=max(1, shape[0] * shape[1])).rgb
    except UserError:
        return None
    return rgb if rgb.shape[-2:] == shape else None


def read_facts(path: Path) -> dict[str, Any]:
    """Returns how a frame was made; nothing where its file does not say it."""
    try:
        found = json.loads(read_metadata(path).get(FACTS, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def age_of(facts: Mapping[str, Any], shape: Shape) -> Tensor:
    """Returns for how long each pixel of a frame has been seen, (1, 1, H, W), from how it was made;
    for long, where that is not said."""
    height, width = shape
    try:
        packed = base64.b64decode(facts.get(AGE, ""))
        levels = bytearray(zlib.decompressobj().decompress(packed, height * width + 1))
    except (TypeError, ValueError, zlib.error):
        levels = bytearray()
    if len(levels) != height * width:
        return torch.full((1, 1, height, width), float(GROWN))
    age = torch.frombuffer(levels, dtype=torch.uint8).view(1, 1, height, width)
    return age.clamp(max=GROWN).float()


def _packed(age: Tensor) -> str:
    """Returns ages as text."""
    levels = age.to("cpu", torch.uint8).contiguous().numpy().tobytes()
    return base64.b64encode(zlib.compress(levels)).decode("ascii")
