"""What a frame's result should look like where earlier frames show the same: their results."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.video.reliability import boxed, matching, reliable
from nst_lightning.video.warping import inside, warp

BACK = (1, 2, 4, 8, 16)
"""How many frames before a frame its references lie, beside the first of its shot; Ruder,
Dosovitskiy & Brox 2016, section 4.3, look up to 40 back."""

STILL = 0.5
"""Pixels; what has moved by less since the first frame of the shot stands still."""

SAME = 8 / 255
"""Results that differ by less, root mean square in a box, have the same strokes."""

THINNEST = 5
"""Pixels across that an area inside a frame needs to count as revealed: boundaries of motion are
thinner. What enters at the border is new, however thin."""

GROWN = 8
"""Frames over which what has come into view is painted: each is held to the one before a little
more than that was. Held at once, a pan of 2.3 px a frame and 128 px drew out what had entered into
streaks, for deep layers see no strip of 2 px, and it was not painted later either. With 12 frames
it was painted no better, and changed by a third more (mean square, over the whole frame)."""


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
    """(1, 1, H, W) in [0, 1]: how much the image holds; 0 where it says nothing."""
    revealed: Tensor
    """(1, 1, H, W): 1 in areas that came into view lately, which need strokes of their own."""

    def to(self, image: Tensor) -> "Temporal":
        """Returns it on the device and in the precision of an image."""
        return Temporal(self.image.to(image), self.weight.to(image), self.revealed.to(image))


@dataclass(frozen=True)
class Known:
    """What earlier frames say of one."""

    temporal: Temporal
    new: Tensor
    """(1, 1, H, W): 1 in areas that no earlier frame shows."""
    age: Tensor
    """(1, 1, H, W): for how many frames each pixel has been seen, 0 to `GROWN`, which stands for
    that many and more."""


def reference_frames(frame: int, first: int) -> list[int]:
    """Lists the frames that a frame refers to, the closest first and that of the shot last.

    Args:
        frame: its index, above `first`.
        first: that of the first frame of its shot.
    """
    return [*(frame - back for back in BACK if frame - back > first), first]


def temporal_target(
    frame: Tensor,
    first: Reference,
    closest: Reference,
    others: Iterable[Reference],
    age: Tensor,
) -> Known:
    """Puts together the results of earlier frames, moved to where this frame shows the same.

    What has not moved since the first frame of the shot is that of the first frame, so that what
    stands still does not drift; but not where a camera comes back and strokes have become others,
    which would jump. All else is that of the closest result in which it can be found
    (Ruder, Dosovitskiy & Brox 2016, section 4.3): each warp blurs strokes a little, the steps that
    follow make them sharp again, and the next frame takes them as they are. Taken from further
    back, they would be made sharp anew in every frame, each time in another way: in a pan of 2.3
    px a frame, frames then differed by ten times as much (mean square) from one to the next.

    What has come into view is held more and more over `GROWN` frames, and a region of its own until
    then. What was hidden and has come back is not new.

    A reference counts where its flows agree and, but for the closest, where its frame matches too:
    that one counts through flashes and fades.

    Args:
        frame: (1, 3, H, W) in [0, 1].
        first: of the shot.
        closest: the frame before.
        others: the closest first; they are asked for as long as there are areas to be found.
        age: for how many frames each pixel of the frame before has been seen, (1, 1, H, W).
    """
    near, before = reliable(closest.backward, closest.forward), _moved(closest)
    anchor = _moved(first)
    still = (first.backward.square().sum(dim=1, keepdim=True) < STILL**2).float()
    same = (boxed((anchor - before).square().mean(dim=1, keepdim=True)) < SAME**2).float()
    anchored = still * torch.maximum(same, 1 - near) * _shown(frame, first)
    image = torch.where(near > 0, before, frame)
    image = torch.where(anchored > 0, anchor, image)
    age = (warp(age, closest.backward, "bilinear").round() + 1).clamp(max=GROWN)
    age = torch.where(anchored > 0, GROWN, age)
    missing = (1 - near) * (1 - anchored)
    rest = iter(others)
    while bool(areas(missing, THINNEST).any()) and (reference := next(rest, None)) is not None:
        found = missing * _shown(frame, reference)
        image = torch.where(found > 0, _moved(reference), image)
        age = torch.where(found > 0, GROWN, age)
        missing = missing - found
    new = revealed_areas(missing, closest.backward)
    age = torch.where(new > 0, 0, age)
    weight = (1 - missing) * age / GROWN
    return Known(Temporal(image, weight, (age < GROWN).float()), new, age)


def _shown(frame: Tensor, reference: Reference) -> Tensor:
    """Says which pixels of a frame are seen in a reference that may lie far back."""
    matches = matching(frame, warp(reference.frame, reference.backward, "bilinear"))
    return reliable(reference.backward, reference.forward) * matches


def _moved(reference: Reference) -> Tensor:
    return warp(reference.result, reference.backward).clamp(0, 1)


def revealed_areas(missing: Tensor, backward: Tensor) -> Tensor:
    """Returns the areas that have come into view: what is missing, without boundaries of motion.

    Args:
        missing: the pixels (1, 1, H, W) in {0, 1} that are not seen in earlier frames.
        backward: the flow (1, 2, H, W) to the frame before.

    Returns:
        (1, 1, H, W) in {0, 1}.
    """
    entering = missing * (1 - inside(backward))
    return torch.maximum(areas(missing, THINNEST), entering)


def areas(mask: Tensor, thinnest: int) -> Tensor:
    """Returns the areas of a mask (1, 1, H, W) in {0, 1} without what is thinner than so many
    pixels."""
    return _widest(-_widest(-mask, thinnest // 2), thinnest // 2)


def _widest(mask: Tensor, radius: int) -> Tensor:
    """Returns the largest value within a square around each pixel."""
    for box in ((1, 2 * radius + 1), (2 * radius + 1, 1)):
        mask = F.max_pool2d(mask, box, 1, (box[0] // 2, box[1] // 2))
    return mask
