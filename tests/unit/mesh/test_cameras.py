"""Where a mesh is looked at from, and how much of its texture that shows."""

import math

import pytest
import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.mesh import cameras as chosen_cameras
from nst_lightning.mesh.atlas import arrange
from nst_lightning.mesh.cameras import (
    bounding_sphere,
    camera_from,
    candidates,
    choose_cameras,
    fibonacci_directions,
    four_sides,
    touched_share,
    turntable,
)
from nst_lightning.mesh.surface import Surface
from nst_lightning.mesh.texels import oversampling_for, render_map
from tests.unit.mesh.shapes import SHAPES, plane, sphere, together, vase

ATLAS = arrange([(512, 512)], [("repeat", "repeat")])


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compares fewer and smaller views, for which textures are made smaller in proportion."""
    monkeypatch.setattr(chosen_cameras, "ROUGH", 64)
    monkeypatch.setattr(chosen_cameras, "CANDIDATES", 48)


def moved(surface: Surface, by: float, to: Tensor) -> Surface:
    """Returns a mesh made larger and moved."""
    return Surface(surface.corners * by + to, surface.uv, surface.material)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_view_holds_the_whole_mesh_and_a_margin(shape: str):
    surface = moved(SHAPES[shape](), 37.0, torch.tensor([500.0, -20.0, 3.0]))
    sphere = bounding_sphere(surface)
    outermost = []
    for direction in [*fibonacci_directions(20), (0.0, 1.0, 0.0), (0.0, -3.0, 0.0)]:
        camera = camera_from(direction, sphere)
        local = camera.local(surface.corners)
        half = math.tan(math.radians(camera.field_of_view) / 2)
        outermost.append(float((local[..., :2].abs() / local[..., 2:]).max()) / half)
    assert max(outermost) <= 1 - chosen_cameras.MARGIN + 1e-9
    assert max(outermost) > 0.8


def test_right_is_right_and_up_is_up():
    surface = sphere()
    front, right, back, left = four_sides(surface)
    point = torch.tensor([0.5, 0.25, 0.0], dtype=torch.float64)
    x, y, _ = front.local(point).tolist()
    assert x == pytest.approx(0.5)
    assert y < 0  # downwards
    assert back.local(point)[0] == pytest.approx(-0.5)
    assert right.position[0] == pytest.approx(-left.position[0])
    assert right.position[0] > 1
    assert all(camera.position[1] > 0 for camera in (front, right, back, left))


@pytest.mark.parametrize("y", [1.0, -1.0])
def test_from_above_the_front_is_at_the_bottom_and_from_below_at_the_top(y: float):
    camera = camera_from((0.0, y, 0.0), bounding_sphere(sphere()))
    front, right = torch.tensor([[0.0, 0, 1], [1, 0, 0]], dtype=torch.float64)
    assert float(camera.local(front)[1]) == pytest.approx(y)
    assert float(camera.local(right)[0]) == pytest.approx(1)


def test_directions_are_spread_evenly():
    points = torch.tensor(fibonacci_directions(100), dtype=torch.float64)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(100).double())
    apart = torch.cdist(points, points) + 9 * torch.eye(100)
    nearest = apart.amin(dim=1)
    even = math.sqrt(4 * math.pi / 100)
    assert float(nearest.min()) > 0.6 * even
    assert float(nearest.max()) < 1.2 * even
    assert float(points.mean(dim=0).norm()) < 0.01


def test_a_turntable_makes_one_turn():
    steps = turntable(vase(), 8)
    turns = [math.atan2(each.position[0], each.position[2]) for each in steps]
    assert turns[0] == pytest.approx(0)
    assert [turn % (2 * math.pi) for turn in turns] == pytest.approx(
        [math.pi * i / 4 for i in range(8)]
    )
    assert four_sides(vase()) == steps[::2]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("shape", SHAPES)
def test_twelve_views_touch_what_can_be_seen(shape: str):
    surface = SHAPES[shape](32, 16)
    (cameras,) = choose_cameras(surface, ATLAS, 256)
    assert len(cameras) == len(set(cameras)) == 12
    assert touched_share(surface, ATLAS, 256, cameras) >= 0.98


@pytest.mark.usefixtures("_small")
def test_what_is_touched_is_what_the_rendering_takes():
    surface, size = SHAPES["torus"](32, 16), 32
    atlas = arrange([(64, 64)], [("repeat", "repeat")])
    (cameras,) = choose_cameras(surface, atlas, size, 3, 3)
    everywhere = [camera_from(each, bounding_sphere(surface)) for each in fibonacci_directions(60)]
    points = oversampling_for(surface, atlas, four_sides(surface), size)
    touched, visible = (
        render_map(surface, atlas, views, size, points).texel_pixels > 0
        for views in (cameras, cameras + everywhere)
    )
    share = float(touched.sum() / visible.sum())
    assert 0.5 < share < 0.95
    assert touched_share(surface, atlas, size, cameras) == pytest.approx(share, abs=0.02)


@pytest.mark.usefixtures("_small")
def test_the_first_views_are_fixed_and_more_are_added_where_they_show_more():
    surface = vase(32, 16)
    sphere = bounding_sphere(surface)
    fixed = [camera_from(each, sphere) for each in chosen_cameras.ALWAYS]
    assert choose_cameras(surface, ATLAS, 256, 1, 1) == [fixed[:1]]
    (few,) = choose_cameras(surface, ATLAS, 256, 2, 9)
    assert [few] == choose_cameras(surface, ATLAS, 256, 2, 9)
    assert few[:2] == fixed
    assert 2 < len(few) <= 9
    shares = [touched_share(surface, ATLAS, 256, few[:i]) for i in (2, len(few) - 1, len(few))]
    assert shares[0] < shares[1] < 0.98 <= shares[2]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("shape", SHAPES)
def test_each_set_of_views_shows_what_can_be_seen_from_places_of_its_own(shape: str):
    surface = SHAPES[shape](32, 16)
    sets = choose_cameras(surface, ATLAS, 256, 12, 12, sets=3)
    assert [len(views) for views in sets] == [12, 12, 12]
    assert len({camera for views in sets for camera in views}) == 36
    assert all(touched_share(surface, ATLAS, 256, views) >= 0.98 for views in sets)


@pytest.mark.usefixtures("_small")
def test_a_hidden_mesh_does_not_count():
    inside = moved(sphere(16, 8), 0.3, torch.zeros(3))
    both = together(sphere(32, 16), Surface(inside.corners, inside.uv, inside.material + 1))
    atlas = arrange([(512, 512)] * 2, [("repeat", "repeat")] * 2)
    (cameras,) = choose_cameras(both, atlas, 256)
    assert len(cameras) == 12
    assert touched_share(both, atlas, 256, cameras) >= 0.98


@pytest.mark.usefixtures("_small")
def test_a_texel_is_rather_seen_squarely():
    _, (camera,) = choose_cameras(plane(), ATLAS, 256, 1, 1, sets=2)
    assert abs(camera.position[2]) / math.dist(camera.position, (0, 0, 0)) > 0.95


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("shape", SHAPES)
def test_views_that_need_not_show_more_are_those_farthest_from_the_others(shape: str):
    surface = SHAPES[shape](32, 16)
    (cameras,) = choose_cameras(surface, ATLAS, 256, 24)
    positions = torch.tensor([each.position for each in cameras], dtype=torch.float64)
    left = [each for each in candidates(surface, 24) if each not in cameras]
    others = torch.tensor([each.position for each in left], dtype=torch.float64)
    nearest = torch.cdist(torch.cat([positions[-1:], others]), positions[:-1]).amin(dim=1)
    assert float(nearest[0]) == pytest.approx(float(nearest.max()))
    heights = (positions[:, 1] - bounding_sphere(surface).centre[1]).abs()
    share = float(heights.mean()) / math.dist(positions[0], bounding_sphere(surface).centre)
    assert share == pytest.approx(0.5, abs=0.06)  # that of the whole sphere, by Archimedes


def test_a_mesh_without_area_is_refused():
    line = Surface(
        torch.zeros(1, 3, 3, dtype=torch.float64),
        torch.zeros(1, 3, 2, dtype=torch.float64),
        torch.zeros(1, dtype=torch.int64),
    )
    with pytest.raises(UserError, match="no area"):
        choose_cameras(line, ATLAS, 64)
