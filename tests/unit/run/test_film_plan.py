"""Which frames of films belong together."""

from fractions import Fraction
from pathlib import Path

import pytest

from nst_lightning.grid.sources import Film
from nst_lightning.run.film_plan import fading, mixing, segments, still_frames
from nst_lightning.video.clip import Clip


def film(frames: int, *cuts: int) -> Film:
    clip = Clip(Path("a.mp4"), (48, 64), tuple(range(frames)), 1, Fraction(1, 25), Fraction(25))
    return Film(clip, cuts)


@pytest.mark.parametrize(("frames", "cuts"), [(100, (40,)), (13, ()), (50, (5, 30)), (9, ())])
def test_fading_frames_are_those_whose_mix_differs_from_the_last(frames: int, cuts: tuple[int]):
    parts = segments(film(frames, *cuts), 12)
    mixes = [[(one.start, share) for one, share in mixing(parts, k)] for k in range(frames)]
    other = {k for k in range(1, frames) if mixes[k] != mixes[k - 1] and k not in cuts}
    assert fading(parts) == other


def test_stills_are_spread_over_a_film():
    assert still_frames(8) == [1, 3, 5, 7]
    assert still_frames(1) == [0, 0, 0, 0]
