"""What a pixel shows: beside a ray tracer, beside every face tried in turn, and by formula."""

import math

import numpy as np
import pytest
import torch
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from torch import Tensor

from nst_lightning.mesh import rasterizer
from nst_lightning.mesh.rasterizer import Camera, rasterize
from nst_lightning.windows import Window
from tests.unit.mesh.shapes import SHAPES, plane, sphere, woven

EYE = Camera((1.5, 2.0, 3.75), (0.125, 0.0, 0.0))


def rays(camera: Camera, height: int, width: int) -> np.ndarray:
    """Returns the directions of a view's pixels, (h, w, 3), by a camera matrix of its own."""
    back = np.array(camera.position) - np.array(camera.target)
    back /= np.linalg.norm(back)
    right = np.cross(camera.up, back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    tangent = math.tan(math.radians(camera.field_of_view) / 2)
    y = (1 - 2 * (np.arange(height) + 0.5) / height) * tangent
    x = (2 * (np.arange(width) + 0.5) / width - 1) * tangent * width / height
    return x[None, :, None] * right + y[:, None, None] * up - back


def tried_in_turn(corners: np.ndarray, origin: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Returns the nearest face of each ray, −1 for none (Möller & Trumbore 1997)."""
    depth, face = np.full(ways.shape[:2], np.inf), np.full(ways.shape[:2], -1)
    for index, (a, b, c) in enumerate(corners):
        normal = np.cross(ways, c - a)
        volume = normal @ (b - a)
        u = normal @ (origin - a) / volume
        across = np.cross(origin - a, b - a)
        v = ways @ across / volume
        t = across @ (c - a) / volume
        met = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < depth)
        depth[met], face[met] = t[met], index
    return face


def uv_at(uv: Tensor, face: Tensor, weights: Tensor) -> Tensor:
    """Returns the place in the texture at each hit, (n, 2)."""
    return (weights[..., None] * uv[face]).sum(dim=1)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_ray_tracer_hits_the_same(shape: str):
    surface, size = SHAPES[shape](96, 48), 384
    hits = rasterize(surface.corners, EYE, size, size)
    scene = EmbreeScene()
    TriangleMesh(scene, surface.corners.numpy().astype(np.float32))
    ways = rays(EYE, size, size).reshape(-1, 3).astype(np.float32)
    origins = np.broadcast_to(np.array(EYE.position, np.float32), ways.shape).copy()
    traced = scene.run(origins, ways, output=True)
    face = torch.from_numpy(traced["primID"].astype(np.int64)).view(size, size)
    u, v = (torch.from_numpy(traced[each]).double().view(size, size) for each in "uv")
    weights = torch.stack([1 - u - v, u, v], dim=2)
    both = (face >= 0) & (hits.face >= 0)
    ours = uv_at(surface.uv, hits.face[both], hits.weights[both])
    theirs = uv_at(surface.uv, face[both], weights[both])
    away = (ours - theirs).abs().amax(dim=1)
    differ = int(((face >= 0) != (hits.face >= 0)).sum()) + int((away > 1e-5).sum())
    assert int(both.sum()) > 20000
    assert differ <= 1e-4 * int(both.sum())


def test_faces_in_disorder_are_hit_as_when_each_is_tried():
    generator = torch.Generator().manual_seed(3)
    middle = torch.rand(60, 1, 3, generator=generator, dtype=torch.float64) * 2 - 1
    corners = middle + torch.rand(60, 3, 3, generator=generator, dtype=torch.float64) - 0.5
    corners[:20] *= 6  # some of them around the camera and behind it
    camera = Camera((0.3, 0.2, 2.0), field_of_view=50.0)
    hits = rasterize(corners, camera, 45, 60)
    tried = tried_in_turn(corners.numpy(), np.array(camera.position), rays(camera, 45, 60))
    assert np.array_equal(hits.face.numpy(), tried)
    assert len(np.unique(tried)) > 20
    behind = camera.local(corners)[..., 2].amin(dim=1) < 0
    assert behind[hits.face[hits.face >= 0]].any()


def test_weights_are_those_in_space():
    floor = torch.tensor(
        [[[-9.0, -1, 9], [9, -1, 9], [9, -1, -40]], [[-9, -1, 9], [9, -1, -40], [-9, -1, -40]]],
        dtype=torch.float64,
    )
    camera = Camera((0.0, 0.5, 4.0), (0.0, 0.0, 0.0))
    hits = rasterize(floor, camera, 64, 64)
    met = hits.face >= 0
    place = (hits.weights[met][..., None] * floor[hits.face[met]]).sum(dim=1)
    ways = torch.from_numpy(rays(camera, 64, 64))[met]
    origin = torch.tensor(camera.position, dtype=torch.float64)
    expected = origin + ways * ((-1 - origin[1]) / ways[:, 1])[:, None]
    assert int(met.sum()) > 1000
    torch.testing.assert_close(place, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(hits.weights[met].sum(dim=1), torch.ones(len(place)).double())
    assert (hits.weights[~met] == 0).all()


def test_a_sphere_covers_its_disc():
    size, distance = 200, 4.0
    hits = rasterize(sphere(400, 200).corners, Camera((0.0, 0.0, distance)), size, size)
    radius = math.tan(math.asin(1 / distance)) * Camera((0.0, 0.0, 4.0)).focal_length(size)
    assert int((hits.face >= 0).sum()) == pytest.approx(math.pi * radius**2, rel=2e-3)


@pytest.mark.parametrize("size", [96, 97])
def test_no_pixel_falls_between_faces(size: int):
    # Of 97 pixels the middle ones lie on edges exactly.
    def waves(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, y = 4 * u - 2, 2 - 4 * v
        return x, y, 0.3 * torch.sin(3 * x) * torch.cos(2 * y)

    for surface in (plane(2.0), woven(waves, 16, 16)):
        assert (rasterize(surface.corners, Camera((0.0, 0.0, 4.0)), size, size).face >= 0).all()


def test_the_nearest_counts_and_of_equals_the_first():
    near, far = plane(0.4, 0.5).corners, plane(0.8, 0.0).corners
    camera = Camera((0.0, 0.0, 4.0))
    one = rasterize(torch.cat([far, near, near.flip(1)]), camera, 50, 50).face
    other = rasterize(torch.cat([near, near.flip(1), far]), camera, 50, 50).face
    assert set(one.unique().tolist()) == {-1, 0, 1, 2, 3}
    assert torch.equal(one, torch.where(other < 0, -1, (other + 2) % 6))


def test_both_sides_of_a_face_are_shown():
    front, back = (
        rasterize(plane().corners, Camera((0.0, 0.0, z)), 40, 40).face >= 0 for z in (4.0, -4.0)
    )
    assert torch.equal(front, back)
    assert front.any()


def test_a_face_without_area_is_not_shown():
    line = torch.tensor([[[-1.0, 0, 0], [1, 0, 0], [0, 0, 0]]], dtype=torch.float64)
    assert (rasterize(line, Camera((0.0, 0.0, 4.0)), 41, 41).face < 0).all()
    assert (rasterize(line[:0], Camera((0.0, 0.0, 4.0)), 4, 5).face < 0).all()


def test_a_window_is_a_part_of_the_view():
    corners = SHAPES["stone"]().corners
    whole = rasterize(corners, EYE, 90, 70)
    window = Window(21, 13, 64, 60, (90, 70))
    part = rasterize(corners, EYE, 90, 70, window)
    assert torch.equal(part.face, window.cut(whole.face))
    assert torch.equal(part.weights, whole.weights[21:64, 13:60])


def test_the_parts_that_are_computed_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch):
    corners = SHAPES["stone"]().corners
    whole = rasterize(corners, EYE, 90, 90)
    monkeypatch.setattr(rasterizer, "FACES", 100)
    monkeypatch.setattr(rasterizer, "PAIRS", 37)
    few = rasterize(corners[:700], EYE, 90, 90)
    monkeypatch.undo()
    again = rasterize(corners[:700], EYE, 90, 90)
    assert torch.equal(few.face, again.face)
    assert torch.equal(few.weights, again.weights)
    assert not torch.equal(few.face, whole.face)


def test_more_threads_change_nothing():
    corners, before = SHAPES["torus"]().corners, torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(rasterize(corners, EYE, 200, 200))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0].face, made[1].face)
    assert torch.equal(made[0].weights, made[1].weights)
