"""Into which parts the frames of a film are divided, each made one frame after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from nst_lightning.grid.sources import Film, Source, shape_at
from nst_lightning.settings import BatchSettings

FADED = 48
"""Frames over which one segment is faded into the next. Their strokes differ by some 50 levels
(root mean square, in a pan); over 8 frames, the step of that from one to the next was ten times
(mean square) what frames differ by elsewhere."""

WARM_UP = 4
"""Frames before those, which a segment makes and throws away: by then it has settled."""


@dataclass(frozen=True)
class Segment:
    """Frames of one shot that are made one after the other.

    begin: the first that is made; before `start` where a segment of the same shot comes before.
    start: the first that is shown alone.
    stop: the one after the last.
    shot: the first frame of the shot, and the one after its last.
    """

    begin: int
    start: int
    stop: int
    shot: tuple[int, int]

    @property
    def frames(self) -> int:
        """How many frames are made."""
        return self.stop - self.begin

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.start:06d}"


def shots(film: Film) -> list[tuple[int, int]]:
    """Returns the first frame of each shot, and the one after its last."""
    return list(pairwise([0, *film.cuts, film.clip.frames]))


def segments(film: Film, length: int) -> list[Segment]:
    """Returns the segments of a film in order: its shots, long ones cut into about equal parts.

    Args:
        film: with its cuts.
        length: the most frames that a segment shows alone; 0: any number.
    """
    found = []
    for first, end in shots(film):
        count = ceil((end - first) / max(length, FADED + WARM_UP)) if length else 1
        starts = [first + (end - first) * k // count for k in range(count + 1)]
        for start, stop in pairwise(starts):
            begin = first if start == first else max(first, start - FADED - WARM_UP)
            found.append(Segment(begin, start, stop, (first, end)))
    return found


def segments_of(content: Source, settings: BatchSettings) -> list[Segment]:
    """Returns the segments of a content, which is a film that can be read."""
    assert content.film is not None
    return segments(content.film, settings.segment)


def work_of(segment: Segment, settings: BatchSettings) -> int:
    """Returns the steps that a segment takes, those of its rough frames not counted."""
    return settings.total_steps + (segment.frames - 1) * later_steps(settings)


def later_steps(settings: BatchSettings) -> int:
    """Returns how many steps a frame takes at most that others came before: no more than an image
    takes at its last scale, which starts no nearer."""
    return min(settings.frame_steps, settings.scales[-1].steps)


def mixing(film_segments: Sequence[Segment], number: int) -> list[tuple[Segment, float]]:
    """Returns which segments a frame is shown from, each with its share."""
    at = next(k for k, segment in enumerate(film_segments) if number < segment.stop)
    segment, later = film_segments[at], film_segments[at + 1 : at + 2]
    for following in later:
        fading = number - (following.start - FADED) + 1
        if following.begin < segment.stop and fading > 0:
            share = fading / (FADED + 1)
            return [(segment, 1 - share), (following, share)]
    return [(segment, 1.0)]


def fading(film_segments: Sequence[Segment]) -> set[int]:
    """Returns the frames that are mixed otherwise than the one before them, in the same shot."""
    return {
        number
        for segment in film_segments
        if segment.start > segment.shot[0]
        for number in range(max(segment.shot[0] + 1, segment.start - FADED), segment.start + 1)
    }


def still_frames(frames: int) -> list[int]:
    """Returns which four frames of a film show it, from 0."""
    return [frames * (2 * k + 1) // 8 for k in range(4)]


def rough_shape(content: Source, settings: BatchSettings) -> tuple[int, int]:
    """Returns the (height, width) of the rough frames of a shot of several segments: a quarter of
    the result's, but not below 64 pixels."""
    height, width = shape_at(content, settings.scales[-1], settings)
    by = min(4.0, max(1.0, min(height, width) / 64))
    return max(2, round(height / by)), max(2, round(width / by))
