"""When the frames of a film are shown, from the stamps in its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate


@dataclass(frozen=True)
class Times:
    """When the frames of a film are shown; see `Clip`."""

    time_base: Fraction
    times: tuple[int, ...]
    last: int
    stamped: bool


def times_of(
    stamps: Sequence[int | None], duration: int, time_base: Fraction | None, rate: Fraction
) -> Times:
    """Returns when the frames of a film are shown.

    A frame that is not later than the one before is moved one unit behind it. Where that pushes
    frames up to the end, or the file does not stamp all of them, they are counted at the rate.

    Args:
        stamps: of each frame, None where there is none.
        duration: of the last frame; 0 where the file does not tell.
        time_base: of the stamps and the duration.
        rate: frames a second.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    if time_base and len(known) == len(stamps):
        times = tuple(accumulate(known, lambda before, now: max(before + 1, now)))
        if times[-1] == known[-1]:
            usual = times[-1] - times[-2] if len(times) > 1 else round(1 / rate / time_base)
            return Times(time_base, times, duration or max(1, usual), times == tuple(known))
    first = round(known[0] * time_base * rate) if known and time_base else 0
    return Times(1 / rate, tuple(range(first, first + len(stamps))), 1, False)
