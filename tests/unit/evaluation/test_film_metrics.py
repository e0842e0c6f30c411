"""The numbers of films against their formulas, written again, and on films with known faults."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning.evaluation.film_metrics import film_metrics
from nst_lightning.video.flow import flow_between
from nst_lightning.video.reliability import reliable
from nst_lightning.video.temporal_target import revealed_areas
from nst_lightning.video.warping import warp
from tests.moving_images import Camera, Disc, texture, with_noise

SIZE = (64, 96)
LUMA = np.array([0.299, 0.587, 0.114]).reshape(3, 1, 1)


def pan(seed: int, count: int, step: float = 1.5) -> list[Tensor]:
    colours = texture(seed)
    return [Camera(*SIZE, shift=(step * time, 0.0)).frame(colours) for time in range(count)]


def still(count: int, noise: float = 0.0) -> list[Tensor]:
    frame = Camera(*SIZE).frame(texture())
    return [with_noise(frame, noise, time) if noise else frame for time in range(count)]


def array(image: Tensor) -> np.ndarray:
    return image[0].double().numpy()


def brightness(image: Tensor) -> float:
    return 255 * float((array(image) * LUMA).sum(axis=0).mean())


def expected_e_warp(frames: list[Tensor], shown: list[Tensor], index: int) -> float:
    now, before = frames[index], frames[index - 1]
    backward, forward = flow_between(now, before), flow_between(before, now)
    seen = array(reliable(backward, forward))[0] == 1
    moved = array(warp(shown[index - 1], backward)).clip(0, 1)
    return float(((array(shown[index]) - moved) ** 2)[:, seen].mean())


def test_every_number_is_its_formula():
    frames = [Disc(96, 24.0, (7.0, 3.0)).frame(time) for time in range(4)] + [
        Disc(96, 24.0, (-5.0, 2.0)).frame(time) * 0.9 for time in range(3)
    ]
    random = torch.Generator().manual_seed(0)
    results = [torch.rand(frame.shape, generator=random) * 0.5 + frame / 2 for frame in frames]
    found = film_metrics(iter(frames), iter(results), [4], joins=[2, 6])

    later = [1, 2, 3, 5, 6]
    errors = {index: expected_e_warp(frames, results, index) for index in later}
    assert found.e_warp == pytest.approx(np.mean([*errors.values()]), rel=1e-4)
    own = [expected_e_warp(frames, frames, index) for index in later]
    assert found.e_warp_input == pytest.approx(np.mean(own), rel=1e-4)
    at_joins, others = [errors[2], errors[6]], [errors[1], errors[3], errors[5]]
    assert found.join_ratio == pytest.approx(np.mean(at_joins) / np.mean(others), rel=1e-4)

    drifts = []
    for first, last in ((0, 3), (4, 6)):
        change = brightness(results[last]) - brightness(results[first])
        drifts.append(change - brightness(frames[last]) + brightness(frames[first]))
    assert found.luma_drift == pytest.approx(max(drifts, key=abs), abs=1e-3)

    inner, outer, largest = [], [], 0.0
    for first, lasts in ((0, (1, 2, 3)), (4, (5, 6))):
        never_moved = np.ones((96, 96), bool)
        for index in lasts:
            backward = flow_between(frames[index], frames[index - 1])
            seen = reliable(backward, flow_between(frames[index - 1], frames[index]))
            area = array(revealed_areas(1 - seen, backward))[0] == 1
            change = np.abs(array(results[index]) - array(frames[index]))
            inner.append(change[:, area].ravel())
            outer.append(change[:, ~area].ravel())
            never_moved &= np.linalg.norm(array(backward), axis=0) <= 0.1
            lumas = [(array(frames[at]) * LUMA).sum(axis=0) for at in (index, first)]
            same = never_moved & (255 * np.abs(lumas[0] - lumas[1]) <= 2)
            square = (array(results[index]) - array(results[first])) ** 2
            largest = max(largest, 255 * math.sqrt(square[:, same].mean()))
    ratio = np.concatenate(inner).mean() / np.concatenate(outer).mean()
    assert found.revealed_change == pytest.approx(ratio, rel=1e-4)
    assert found.first_rms == pytest.approx(largest, rel=1e-4)


def test_the_input_as_its_own_result_has_no_faults():
    frames = pan(0, 5)
    found = film_metrics(frames, frames, [])
    assert found.e_warp == found.e_warp_input < 1e-4
    assert found.luma_drift == 0
    assert math.isnan(found.join_ratio)


def test_a_still_film_that_walks_away_is_seen():
    frames = still(6, noise=1)
    walking = [frame * (1 - 0.01 * time) for time, frame in enumerate(still(6))]
    found = film_metrics(frames, walking, [])
    mean = brightness(walking[0])
    assert found.luma_drift == pytest.approx(-0.05 * mean, abs=0.2)
    energy = float(walking[0].square().mean().sqrt())
    assert found.first_rms == pytest.approx(255 * 0.05 * energy, rel=0.1)
    steady = film_metrics(frames, still(6), [])
    assert abs(steady.luma_drift) < 0.1
    assert steady.first_rms == 0


def test_flicker_is_seen_and_cuts_are_none():
    frames = pan(0, 4) + pan(1, 4)
    clean = film_metrics(frames, frames, [4])
    noisy = [with_noise(frame, 20, time) for time, frame in enumerate(frames)]
    found = film_metrics(frames, noisy, [4])
    assert found.e_warp > 50 * clean.e_warp
    assert found.e_warp_input == clean.e_warp_input
    assert film_metrics(frames, noisy, [4], joins=[2]).join_ratio == pytest.approx(1, abs=0.2)


def test_a_join_is_seen():
    frames = still(6)
    shown = [frame * (0.9 if time >= 3 else 1.0) for time, frame in enumerate(frames)]
    shown = [with_noise(frame, 1, time) for time, frame in enumerate(shown)]
    assert film_metrics(frames, shown, [], joins=[3]).join_ratio > 20
    assert film_metrics(frames, shown, [], joins=[4]).join_ratio < 1


def test_revealed_areas_that_stay_photographic_are_seen():
    disc = Disc(96, 24.0, (8.0, 3.0))
    frames = [disc.frame(time) for time in range(4)]
    styled = [1 - frame for frame in frames]
    assert film_metrics(frames, styled, []).revealed_change == pytest.approx(1, abs=0.35)
    left = styled[:1]
    for time in range(1, 4):
        revealed = disc.revealed(time, time - 1)
        left.append(torch.where(revealed, frames[time], styled[time]))
    whole, part = (film_metrics(frames, each, []).revealed_change for each in (styled, left))
    assert part < 0.85 * whole


def test_where_there_is_nothing_to_measure_the_number_is_nan():
    frame = still(1)
    for frames, cuts in ((frame, []), (frame * 3, [1, 2]), ([], [])):
        found = film_metrics(frames, frames, cuts)
        assert all(math.isnan(value) for value in vars(found).values())
    moving = film_metrics(pan(0, 3), pan(0, 3), [])
    assert math.isnan(moving.first_rms)


@pytest.mark.parametrize(("more", "fewer"), [(3, 2), (2, 3)])
def test_every_frame_needs_a_result(more: int, fewer: int) -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        film_metrics(still(more), still(fewer), [])


def test_frames_are_taken_one_by_one_and_let_go():
    alive = 0
    most = 0

    class Counted:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def counted(make: Callable[[], list[Tensor]]) -> Iterator[Tensor]:
        for frame in make():
            copy = frame.clone()
            copy.keeper = Counted()  # type: ignore[attr-defined]
            yield copy
            del copy

    film_metrics(counted(lambda: still(9)), counted(lambda: still(9)), [])
    assert most <= 8
