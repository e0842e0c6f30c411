"""The target that earlier results make of a frame: which of them counts where, and for how long."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from nst_lightning.video.flow import flow_between
from nst_lightning.video.reliability import matching, reliable
from nst_lightning.video.temporal_target import (
    GROWN,
    Known,
    Reference,
    reference_frames,
    revealed_areas,
    temporal_target,
)
from nst_lightning.video.warping import warp
from tests.moving_images import Camera, Disc, texture, with_noise

SIZE = (96, 128)


def refer(frame: Tensor, earlier: Tensor, result: Tensor) -> Reference:
    return Reference(earlier, result, flow_between(frame, earlier), flow_between(earlier, frame))


def known(
    frame: Tensor, first: Reference, closest: Reference, others: Iterable[Reference]
) -> Known:
    """What is known of a frame before which everything has been seen for long."""
    age = torch.full_like(frame[:, :1], GROWN)
    return temporal_target(frame, first, closest, others, age)


def plain(value: float) -> Tensor:
    return torch.full((1, 3, *SIZE), value)


def test_reference_frames_are_the_first_of_the_shot_and_some_before():
    assert reference_frames(8, 7) == [7]
    assert reference_frames(11, 7) == [10, 9, 7]
    assert reference_frames(30, 7) == [29, 28, 26, 22, 14, 7]


def test_the_closest_counts_where_it_is_found():
    cameras = [Camera(*SIZE, shift=(8.0 * time, 0.0)) for time in range(3)]
    first, middle, now = (camera.frame(texture()) for camera in cameras)
    old, new = refer(now, first, plain(0.2)), refer(now, middle, plain(0.8))
    every = known(now, old, new, [old])
    found = every.temporal
    far, near = (reliable(each.backward, each.forward) for each in (old, new))
    far *= matching(now, warp(first, old.backward, "bilinear"))
    expected = torch.where(near > 0, 0.8, torch.where(far > 0, 0.2, now))
    torch.testing.assert_close(found.image, expected)
    assert torch.equal(found.weight, torch.maximum(far, near))
    assert ((found.image[..., 10:100] - 0.8).abs() < 1e-6).float().mean() > 0.95
    assert not found.weight[..., -8:].any()
    assert found.revealed[..., -8:].all()
    assert not found.revealed[..., :100].any()
    assert torch.equal(every.new, found.revealed)


def test_results_move_with_the_frames():
    camera = Camera(*SIZE, shift=(3.0, 2.0))
    style = texture(5)
    before, now = Camera(*SIZE).frame(texture()), camera.frame(texture())
    reference = refer(now, before, Camera(*SIZE).frame(style))
    found = known(now, reference, reference, []).temporal
    error = (found.image - camera.frame(style)).abs() * found.weight
    assert error[..., 8:-8, 8:-8].mean() < 0.003


def test_the_closest_counts_through_a_flash_and_others_do_not():
    frame = Camera(*SIZE).frame(texture())
    flash = (frame + 0.3).clamp(max=1)
    still = torch.zeros(1, 2, *SIZE)
    old, new = (Reference(frame, plain(value), still, still) for value in (0.2, 0.8))
    assert (known(flash, old, new, [old]).temporal.image == 0.8).all()


def test_what_stands_still_is_that_of_the_first_frame():
    frame = Camera(*SIZE).frame(texture())
    still, moved = torch.zeros(1, 2, *SIZE), torch.full((1, 2, *SIZE), 0.6)
    old, new = (Reference(frame, plain(value), still, still) for value in (0.2, 0.22))
    assert (known(frame, old, new, [old]).temporal.image == 0.2).all()
    away = Reference(frame, plain(0.2), moved, -moved)
    assert (known(frame, away, new, [away]).temporal.image == 0.22).all()


def test_a_camera_that_comes_back_does_not_jump_to_other_strokes():
    frame = Camera(*SIZE).frame(texture())
    still = torch.zeros(1, 2, *SIZE)
    old, new = (Reference(frame, plain(value), still, still) for value in (0.2, 0.8))
    assert (known(frame, old, new, [old]).temporal.image == 0.8).all()


def test_what_was_hidden_comes_back_as_it_was():
    frame = Camera(*SIZE).frame(texture())
    still, away = torch.zeros(1, 2, *SIZE), torch.full((1, 2, *SIZE), 50.0)
    old = Reference(frame, plain(0.2), still, still)
    hidden = Reference(frame, plain(0.8), away, away)
    assert (known(frame, old, hidden, []).temporal.image == 0.2).all()


def test_others_are_asked_for_where_areas_are_missing_alone():
    frame = Camera(*SIZE).frame(texture())
    still, away = torch.zeros(1, 2, *SIZE), torch.full((1, 2, *SIZE), 50.0)
    seen, lost = Reference(frame, frame, still, still), Reference(frame, frame, away, away)

    def others(asked: list[int]) -> Iterator[Reference]:
        for number in range(3):
            asked.append(number)
            yield seen

    asked: list[int] = []
    known(frame, seen, seen, others(asked))
    assert asked == []
    found = known(frame, lost, lost, others(asked)).temporal
    assert asked == [0]
    assert found.weight.all()


def test_what_a_disc_revealed_is_an_area():
    disc = Disc()
    now, before = disc.frame(1), disc.frame(0)
    reference = refer(now, before, before)
    found = known(now, reference, reference, []).temporal
    truth = disc.revealed(1, 0)
    still = torch.zeros(1, 2, disc.size, disc.size)
    assert found.revealed[truth].mean() > 0.95
    assert found.revealed[revealed_areas(truth.float(), still) == 0].mean() < 0.12
    assert set(found.revealed.unique().tolist()) == {0.0, 1.0}


def test_what_has_come_into_view_is_held_more_and_more():
    cameras = [Camera(*SIZE, shift=(4.0 * time, 0.0)) for time in range(GROWN + 3)]
    frames = [camera.frame(texture()) for camera in cameras]
    first, age = refer(frames[1], frames[0], frames[0]), torch.full((1, 1, *SIZE), float(GROWN))
    for now, before in zip(frames[1:], frames, strict=False):
        closest = refer(now, before, before)
        found = temporal_target(now, first, closest, [], age)
        age = found.age
    # Four columns have entered with each frame, the last ones with this one.
    columns = age[0, 0, 20:-20].mean(dim=0)
    steps = torch.arange(GROWN).repeat_interleave(4).flip(0)
    off = (columns[-4 * GROWN :] - steps).abs()
    assert off.max() <= 1
    assert off.mean() < 0.25
    assert (columns[10 : -4 * GROWN - 4] == GROWN).all()
    assert (found.temporal.weight <= age / GROWN).all()
    assert torch.equal(found.temporal.revealed, (age < GROWN).float())
    assert not found.new[..., :-8].any()


def test_what_was_hidden_is_not_new():
    frame = Camera(*SIZE).frame(texture())
    still, away = torch.zeros(1, 2, *SIZE), torch.full((1, 2, *SIZE), 50.0)
    seen, hidden = Reference(frame, frame, still, still), Reference(frame, frame, away, away)
    for first, others in ((seen, []), (hidden, [seen])):
        found = temporal_target(frame, first, hidden, others, torch.zeros(1, 1, *SIZE))
        assert (found.age == GROWN).all()
        assert (found.temporal.weight == 1).all()
        assert not found.temporal.revealed.any()


def test_revealed_areas_are_opened():
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 3:37, 8:12] = 1  # four pixels across: a boundary
    still = torch.zeros(1, 2, 40, 40)
    assert not revealed_areas(mask, still).any()
    mask[..., 20:25, 20:25] = 1
    found = revealed_areas(mask, still)
    assert found[..., 20:25, 20:25].all()
    assert found.sum() == 25


def test_what_enters_is_revealed_however_thin():
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., -1] = 1
    flow = torch.tensor([0.4, 0.0]).view(1, 2, 1, 1).expand(1, 2, 40, 40)
    found = revealed_areas(mask, flow)
    assert torch.equal(found, mask)


def chained(
    camera: Callable[[int], Camera], count: int, noise: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Returns results that are only warped from earlier ones, and what they should be."""
    cameras = [camera(time) for time in range(count)]
    frames = [with_noise(each.frame(texture(1)), noise, time) for time, each in enumerate(cameras)]
    ideal = [each.frame(texture(2)) for each in cameras]
    results = [ideal[0]]
    for time in range(1, count):
        closest, *others = (
            refer(frames[time], frames[back], results[back]) for back in reference_frames(time, 0)
        )
        first = others[-1] if others else closest
        found = known(frames[time], first, closest, others).temporal
        results.append(torch.where(found.weight > 0, found.image, ideal[time]))
    return results, ideal


def test_what_stands_still_does_not_drift() -> None:
    """A still film may change by 2 levels RMS in 30 frames, its luma by half a level."""
    results, ideal = chained(lambda time: Camera(*SIZE), 16, noise=1)
    last, expected = results[-1], ideal[-1]
    assert 255 * (last - expected).square().mean().sqrt() < 1
    assert 255 * abs(float(last.mean() - expected.mean())) < 0.2
