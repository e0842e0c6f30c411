"""Cuts are found to the frame; motion, noise and flashes are none."""

import pytest
import torch
from torch import Tensor

from nst_lightning.video.shots import ShotFinder
from tests.moving_images import Camera, as_bytes, texture, with_noise

SIZE = (72, 128)


def pan(seed: int, count: int, step: float = 2.0) -> list[Tensor]:
    colours = texture(seed)
    return [Camera(*SIZE, shift=(step * time, 0.0)).frame(colours) for time in range(count)]


def zoom(count: int) -> list[Tensor]:
    return [Camera(*SIZE, zoom=1.05**time).frame(texture()) for time in range(count)]


def noise(count: int, frame: Tensor) -> list[Tensor]:
    return [with_noise(frame, 8, time) for time in range(count)]


def flash(length: int) -> list[Tensor]:
    frames = pan(0, 16)
    frames[7 : 7 + length] = [(frame + 0.8).clamp(max=1) for frame in frames[7 : 7 + length]]
    return frames


def fade(count: int) -> list[Tensor]:
    """From one shot to black, and from there to another."""
    out = [frame * (1 - time / (count - 1)) for time, frame in enumerate(pan(0, count))]
    return out + [frame * time / (count - 1) for time, frame in enumerate(pan(1, count))]


def cuts(frames: list[Tensor]) -> list[int]:
    finder = ShotFinder()
    for frame in frames:
        finder.see(as_bytes(frame))
    return finder.cuts


@pytest.mark.parametrize(
    "frames",
    [
        pan(0, 12, 3.5),
        pan(0, 12, 30.0),
        zoom(12),
        noise(12, Camera(*SIZE).frame(texture())),
        noise(12, torch.full((1, 3, *SIZE), 0.4)),
        flash(1),
        flash(2),
        pan(0, 1),
        [],
    ],
    ids=["pan", "fast", "zoom", "noise", "grey", "flash", "longer flash", "one frame", "none"],
)
def test_one_shot_has_no_cut(frames: list[Tensor]) -> None:
    assert cuts(frames) == []


def test_cuts_are_found_to_the_frame():
    assert cuts(pan(0, 9) + pan(1, 8)) == [9]
    assert cuts(pan(0, 9) + pan(1, 8) + pan(2, 7)) == [9, 17]
    assert cuts(pan(0, 4) + pan(1, 3) + pan(2, 5)) == [4, 7]
    assert cuts(noise(8, pan(0, 1)[0]) + noise(8, pan(1, 1)[0])) == [8]


def test_a_cut_is_known_two_frames_later():
    finder = ShotFinder()
    known = []
    for frame in pan(0, 6) + pan(1, 6):
        finder.see(as_bytes(frame))
        known.append(list(finder.cuts))
    assert known[7] == []
    assert known[8] == [6]


def test_a_fade_through_black_has_at_most_one_cut():
    found = cuts(fade(10))
    assert len(found) <= 1
    assert all(8 <= cut <= 12 for cut in found)


def test_a_film_may_be_larger_or_narrower_than_what_is_compared():
    for size in ((200, 300), (200, 3), (2, 2)):
        assert cuts([torch.full((1, 3, *size), value) for value in 3 * [0.1] + 3 * [0.9]]) == [3]
