"""Films are cut into segments that cover every frame, and faded where they meet."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from nst_lightning.grid.sources import Film, Source
from nst_lightning.run.cost import content_flops, step_flops
from nst_lightning.run.film_plan import (
    FADED,
    WARM_UP,
    fading,
    mixing,
    rough_shape,
    segments,
    segments_of,
    shots,
    still_frames,
    work_of,
)
from nst_lightning.settings import build
from nst_lightning.video.clip import Clip


def film(frames: int, *cuts: int) -> Film:
    clip = Clip(Path("a.mp4"), (90, 160), tuple(range(frames)), 1, Fraction(1, 25), Fraction(25))
    return Film(clip, cuts)


def test_shots_begin_at_cuts():
    assert shots(film(10)) == [(0, 10)]
    assert shots(film(10, 4, 7)) == [(0, 4), (4, 7), (7, 10)]


@pytest.mark.parametrize("length", [0, 1, 60, 97, 300])
@pytest.mark.parametrize("known", [film(1), film(300), film(530, 5, 190), film(121, 120)])
def test_segments_show_every_frame_once(known: Film, length: int):
    found = segments(known, length)
    shown = [frame for one in found for frame in range(one.start, one.stop)]
    assert shown == list(range(known.clip.frames))
    for one in found:
        first, end = one.shot
        before = first if one.start == first else max(first, one.start - FADED - WARM_UP)
        assert before == one.begin <= one.start < one.stop <= end
        if length == 0:
            assert (one.begin, one.stop) == one.shot


def test_frames_are_shared_out_without_a_jump():
    found = segments(film(300), 100)
    assert len(found) == 3
    shares: dict[str, list[float]] = {one.name: [] for one in found}
    for number in range(300):
        mixed = mixing(found, number)
        assert sum(share for _, share in mixed) == pytest.approx(1)
        assert all(one.begin <= number < one.stop for one, _ in mixed)
        named = {one.name: share for one, share in mixed}
        for name, each in shares.items():
            each.append(named.get(name, 0))
    for each in shares.values():
        assert max(abs(b - a) for a, b in pairwise(each)) <= 1 / (FADED + 1) + 1e-12


def test_nothing_is_faded_across_a_cut():
    found = segments(film(60, 30), 100)
    assert [mixing(found, number)[0][0].start for number in (29, 30)] == [0, 30]
    assert all(len(mixing(found, number)) == 1 for number in range(60))


def test_work_is_that_of_first_and_later_frames():
    content = Source(Path("a.mp4"), "a", (90, 160), film=film(30, 10))
    settings = build({"scales": "160:50", "frame_steps": 4})
    parts = segments_of(content, settings)
    assert sum(work_of(one, settings) for one in parts) == 2 * 50 + 28 * 4
    few = build({"scales": "80:50,160:3", "frame_steps": 4})
    assert sum(work_of(one, few) for one in parts) == 2 * 53 + 28 * 3
    one = step_flops(settings, 90, 160)
    assert content_flops(content, settings) == pytest.approx((2 * 50 + 28 * 4) * one)


def test_rough_frames_are_a_quarter_but_not_too_small():
    content = Source(Path("a.mp4"), "a", (720, 1280), film=film(300))
    assert rough_shape(content, build({"size": 1280})) == (180, 320)
    assert rough_shape(content, build({"size": 256})) == (64, 114)
    assert rough_shape(content, build({"size": 64})) == (36, 64)


@pytest.mark.parametrize("known", [film(300, 130), film(53), film(250, 5, 30), film(9)])
def test_fading_frames_are_those_whose_mix_differs_from_the_last(known: Film):
    found = segments(known, 1)
    mixes = [[(s.start, share) for s, share in mixing(found, k)] for k in range(known.clip.frames)]
    changed = {k for k in range(1, len(mixes)) if mixes[k] != mixes[k - 1]}
    assert fading(found) == changed - set(known.cuts)


def test_stills_are_spread_over_a_film():
    assert still_frames(8) == [1, 3, 5, 7]
    assert still_frames(1) == [0, 0, 0, 0]
