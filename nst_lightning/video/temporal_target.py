"""What a frame's result should look like where earlier frames show the same: their results."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.video.reliability import matching, reliable
from nst_lightning.video.warping import inside, warp

BACK = (1, 4)
"""How many frames before a frame its references lie, beside the first of its shot. With 2 and 8 as
well there are five references instead of three, and errors a seventh smaller in a pan, a twentieth
in a zoom."""

THINNEST = 5
"""Pixels across that an area inside a frame needs to count as revealed: boundaries of motion are
thinner. What enters at the border is new, however thin."""
GROWN = 4
"""Pixels by which revealed areas are grown, to meet what is known around them."""


@dataclass(frozen=True)
class Reference:
    """An earlier frame, its result, and the motion between it and the frame in hand."""

    frame: Tensor
    """(1, 3, H, W) in [0, 1]."""
    result: Tensor
    """(1, 3, H, W) in [0, 1]."""
    backward: Tensor
    """The flow (1, 2, H, W) from the frame in hand to this one."""
    forward: Tensor
    """The flow (1, 2, H, W) from this one to the frame in hand."""


@dataclass(frozen=True)
class Temporal:
    """The target of the temporal loss."""

    image: Tensor
    """(1, 3, H, W) in [0, 1]; without a reference, the frame."""
    weight: Tensor
    """(1, 1, H, W): 1 where the image holds, 0 elsewhere."""
    revealed: Tensor
    """(1, 1, H, W): 1 in areas that no reference shows, which need strokes of their own; nowhere
    without a reference."""


def reference_frames(frame: int, first: int) -> list[int]:
    """Lists the frames that a frame refers to, oldest first.

    Args:
        frame: its index.
        first: that of the first frame of its shot.
    """
    near = {frame - back for back in BACK if frame - back > first}
    return sorted(near | {first}) if frame > first else []


def temporal_target(frame: Tensor, references: Sequence[Reference]) -> Temporal:
    """Puts together the results of earlier frames, moved to where this frame shows the same.

    Each pixel is that of the oldest result in which it can be found: it has been sampled the
    fewest times, so that films neither blur nor drift. Ruder, Dosovitskiy & Brox 2016, section 4.3,
    take the closest instead. Over 30 frames of a photograph in motion, each result only warped from
    earlier ones, the oldest left errors of 0.1 (still), 1.5 (pan), 2.0 (rotation) and 2.4 (zoom)
    levels RMS, the closest 0.3, 6.0, 9.0 and 8.5; the gradients' energy after them was 0.98 to 1.04
    and 1.0 to 2.5 times what it should be.

    A reference counts where its flows agree and, but for the closest, where its frame matches too:
    that one counts through flashes and fades.

    Args:
        frame: (1, 3, H, W) in [0, 1].
        references: oldest first; the last one is the closest.
    """
    image, missing = frame.clone(), torch.ones_like(frame[:, :1])
    for reference in references:
        found = missing * reliable(reference.backward, reference.forward)
        if reference is not references[-1]:
            found *= matching(frame, warp(reference.frame, reference.backward, "bilinear"))
        moved = warp(reference.result, reference.backward).clamp(0, 1)
        image = torch.where(found > 0, moved, image)
        missing -= found
    if not references:
        return Temporal(image, 1 - missing, torch.zeros_like(missing))
    revealed = revealed_areas(missing, references[-1].backward)
    return Temporal(image, 1 - missing, _widest(revealed, GROWN))


def revealed_areas(missing: Tensor, backward: Tensor) -> Tensor:
    """Returns the areas that have come into view: what is missing, without boundaries of motion.

    Args:
        missing: the pixels (1, 1, H, W) in {0, 1} that are not seen in earlier frames.
        backward: the flow (1, 2, H, W) to the frame before.

    Returns:
        (1, 1, H, W) in {0, 1}.
    """
    opened = _widest(-_widest(-missing, THINNEST // 2), THINNEST // 2)
    entering = missing * (1 - inside(backward))
    return torch.maximum(opened, entering)


def _widest(mask: Tensor, radius: int) -> Tensor:
    """Returns the largest value within a square around each pixel."""
    for box in ((1, 2 * radius + 1), (2 * radius + 1, 1)):
        mask = F.max_pool2d(mask, box, 1, (box[0] // 2, box[1] // 2))
    return mask
