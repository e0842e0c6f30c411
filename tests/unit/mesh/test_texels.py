"""Views as a linear map of the texels, beside a chain of autograd's own."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.mesh.atlas import Atlas, pack
from nst_lightning.mesh.cameras import bounding_sphere, camera_from, four_sides, turntable
from nst_lightning.mesh.rasterizer import Camera, rasterize
from nst_lightning.mesh.surface import Surface, Texture
from nst_lightning.mesh.texels import (
    Rendering,
    one_by_one,
    oversampling_for,
    render_bytes,
    render_map,
    side_by_side,
)
from tests.unit.mesh.shapes import SHAPES, plane, sphere, together

PADDED = {"repeat": "wrap", "mirror": "symmetric", "clamp": "edge"}


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    """Returns an image (3, h, w)."""
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def two_materials() -> tuple[Surface, Tensor, Atlas]:
    """Returns a sphere whose texture repeats and mirrors before a plane with another."""
    ball, wall = sphere(24, 12), plane(1.2, -1.1, material=1)
    ball = Surface(ball.corners, ball.uv * torch.tensor([2.5, 1.5]) - 0.6, ball.material)
    textures = [Texture(noise(20, 30), ("repeat", "mirror")), Texture(noise(24, 13, 1))]
    wall = Surface(wall.corners, wall.uv * 1.4 - 0.2, wall.material)
    texels, atlas = pack([textures[0], Texture(textures[1].image, ("clamp", "repeat"))])
    return together(ball, wall), texels, atlas


def chain(
    surface: Surface, texels: Tensor, atlas: Atlas, cameras: Sequence[Camera], size: int, k: int
) -> Tensor:
    """Renders views one by one by what torch has: index, grid_sample, avg_pool2d, cat."""
    views = []
    for camera in cameras:
        hits = rasterize(surface.corners, camera, size * k, size * k)
        uv = (hits.weights[..., None] * surface.uv[hits.face.clamp(min=0)]).sum(dim=2)
        view = torch.full((1, 3, size * k, size * k), 0.5, dtype=texels.dtype)
        for number, place in enumerate(atlas.places):
            height, width = place.window.shape
            row = np.pad(np.arange(height), 3 * height, mode=PADDED[place.wrap[1]])  # type: ignore[call-overload]
            column = np.pad(np.arange(width), 3 * width, mode=PADDED[place.wrap[0]])  # type: ignore[call-overload]
            grown = place.window.cut(texels)[:, :, row][..., column]
            seen = F.grid_sample(grown, (2 * (uv + 3) / 7 - 1)[None], align_corners=False)
            shown = (hits.face >= 0) & (surface.material[hits.face.clamp(min=0)] == number)
            view = torch.where(shown, seen, view)
        views.append(F.avg_pool2d(view, k))
    across = math.ceil(math.sqrt(len(views)))
    views += [torch.full_like(views[0], 0.5)] * (-len(views) % across)
    rows = [torch.cat(views[i : i + across], dim=3) for i in range(0, len(views), across)]
    return torch.cat(rows, dim=2)


@pytest.mark.parametrize("points", [2, 3])
def test_views_and_gradient_are_those_of_autograd(points: int):
    surface, texels, atlas = two_materials()
    texels = texels.double().requires_grad_()
    cameras = turntable(surface, 5)
    rendering = render_map(surface, atlas, cameras, 40, points, dtype=torch.float64)
    seen = rendering.see(texels)
    expected = chain(surface, texels, atlas, cameras, 40, points)
    torch.testing.assert_close(seen, expected, rtol=1e-12, atol=1e-12)
    target = torch.rand(seen.shape, generator=torch.Generator().manual_seed(5)).double()
    (gradient,) = torch.autograd.grad((expected - target).square().sum(), texels)
    (own,) = torch.autograd.grad((seen - target).square().sum(), texels)
    direct = rendering.gradient_to_texels(2 * (seen - target).detach())
    for each in (own, direct):
        assert float((each - gradient).norm() / gradient.norm()) < 1e-10


def test_the_gradient_is_that_of_finite_differences():
    surface, texels, atlas = two_materials()
    texels = texels.double()
    rendering = render_map(surface, atlas, four_sides(surface), 24, dtype=torch.float64)
    target = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(5)).double()

    def value(x: Tensor) -> Tensor:
        return (rendering.see(x) - target).pow(4).sum()

    x = texels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(x), x)
    way = torch.randn(texels.shape, generator=torch.Generator().manual_seed(6)).double()
    step = 1e-5
    slope = (value(texels + step * way) - value(texels - step * way)) / (2 * step)
    assert float(slope) == pytest.approx(float((gradient * way).sum()), rel=1e-5)


def test_the_second_derivative_is_the_same_map():
    surface, texels, atlas = two_materials()
    rendering = render_map(surface, atlas, four_sides(surface), 8, dtype=torch.float64)
    x = texels.double().requires_grad_()
    (gradient,) = torch.autograd.grad(rendering.see(x).pow(2).sum() / 2, x, create_graph=True)
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
    (product,) = torch.autograd.grad((gradient * way).sum(), x)
    plain = rendering.see(way) - rendering.see(torch.zeros_like(way))
    torch.testing.assert_close(product, rendering.gradient_to_texels(plain))


def test_a_batch_is_rendered_as_its_images_are():
    surface, texels, atlas = two_materials()
    rendering = render_map(surface, atlas, four_sides(surface), 24)
    batch = torch.cat([texels, 1 - texels])
    seen = rendering.see(batch)
    assert torch.equal(seen, torch.cat([rendering.see(each[None]) for each in batch]))
    gradients = rendering.gradient_to_texels(seen)
    assert torch.equal(gradients[1:], rendering.gradient_to_texels(seen[1:]))


def test_a_view_shows_a_texture_upright_and_not_mirrored():
    surface = plane()
    texture = torch.zeros(3, 32, 32)
    texture[0, :8, :24] = 1.0  # the upper bar of an F
    texture[1, :, :8] = 1.0  # its stem
    texture[2, 14:20, :18] = 1.0  # its lower bar
    texels, atlas = pack([Texture(texture)])
    height = 4.0 - 1 / math.tan(math.radians(15))
    camera = Camera((0.0, 0.0, 4.0 - height))  # the plane fills its view
    rendering = render_map(surface, atlas, [camera], 32)
    torch.testing.assert_close(rendering.coverage, torch.ones(1, 1, 32, 32))
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(rendering.see(texels)[inner], smoothed(texels)[inner])


def smoothed(image: Tensor) -> Tensor:
    """Returns what two points a side of each texel show of it: it is 6/8, either neighbour 1/8."""
    kernel = torch.tensor([1.0, 6.0, 1.0]) / 8
    return F.conv2d(image, (kernel[:, None] * kernel).expand(3, 1, 3, 3), padding=1, groups=3)


def test_coverage_is_the_share_that_shows_the_mesh():
    surface, texels, atlas = two_materials()
    cameras = turntable(surface, 3)
    rendering = render_map(surface, atlas, cameras, 40, 4, background=0.25)
    shares = [
        F.avg_pool2d((rasterize(surface.corners, each, 160, 160).face >= 0)[None].float(), 4)
        for each in cameras
    ]
    expected = torch.cat(
        [torch.cat(shares[:2], dim=2), torch.cat([shares[2], 0 * shares[2]], 2)], 1
    )
    torch.testing.assert_close(rendering.coverage[0], expected, rtol=0, atol=1e-6)
    assert 0 < float(rendering.coverage[rendering.coverage > 0].min()) < 1
    white = rendering.see(torch.ones_like(texels))
    torch.testing.assert_close(white, (0.25 + 0.75 * rendering.coverage).expand_as(white))
    assert float(rendering.texel_pixels.sum()) == pytest.approx(float(expected.sum()), rel=1e-5)


def test_nothing_of_another_texture_is_seen():
    surface, texels, atlas = two_materials()
    rendering = render_map(surface, atlas, four_sides(surface), 64)
    gap = torch.ones(atlas.height, atlas.width, dtype=torch.bool)
    for place in atlas.places:
        place.window.cut(gap).fill_(False)
    assert gap.any()
    assert (rendering.texel_pixels[0, 0][gap] == 0).all()
    red, blue = (torch.zeros(3, 1, 1), torch.zeros(3, 1, 1))
    red[0], blue[2] = 1, 1
    painted = texels.clone()
    for place, colour in zip(atlas.places, (red, blue), strict=True):
        place.window.cut(painted).copy_(colour)
    only_ball = Surface(surface.corners[:-2], surface.uv[:-2], surface.material[:-2])
    seen = render_map(only_ball, atlas, four_sides(surface), 64, background=0).see(painted)
    assert float(seen[:, 0].max()) == pytest.approx(1)
    assert float(seen[:, 1:].max()) == 0


def test_views_stand_side_by_side_and_come_apart():
    pixels = torch.arange(2 * 3 * 5 * 16, dtype=torch.float32).view(2, 3, 80)
    image = side_by_side(pixels, 5)
    assert image.shape == (2, 3, 8, 12)
    assert torch.equal(image[0, 0, :4, 8:].flatten(), pixels[0, 0, 32:48])
    assert torch.equal(image[0, 0, 4:, :4].flatten(), pixels[0, 0, 48:64])
    assert (image[..., 4:, 8:] == 0).all()
    assert torch.equal(one_by_one(image, 5, image.shape[-2:]), pixels)


def test_more_threads_change_nothing():
    surface, texels, atlas = two_materials()
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            rendering = render_map(surface, atlas, four_sides(surface), 48)
            seen = rendering.see(texels)
            made.append((*parts(rendering), seen, rendering.gradient_to_texels(seen)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*made, strict=True))


def parts(rendering: Rendering) -> tuple[Tensor, ...]:
    """Returns the tensors of a rendering."""
    both = rendering.matrix, rendering.transpose
    sparse = [each for m in both for each in (m.offsets, m.columns, m.weights)]
    return (*sparse, rendering.coverage, rendering.texel_pixels)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_memory_is_known_beforehand(shape: str):
    surface = SHAPES[shape]()
    _, atlas = pack([Texture(noise(384, 384))])
    cameras = four_sides(surface)
    expected = render_bytes(surface, atlas, cameras, 256)
    rendering = render_map(surface, atlas, cameras, 256)
    taken = sum(each.numel() * each.element_size() for each in parts(rendering))
    assert rendering.bytes == taken
    assert expected == pytest.approx(taken, rel=0.2)


@pytest.mark.parametrize(("texels", "points"), [(32, 2), (64, 2), (90, 3), (128, 4), (640, 4)])
def test_finer_textures_are_looked_at_in_more_points(texels: int, points: int):
    _, atlas = pack([Texture(noise(texels, texels))])
    camera = Camera((0.0, 0.0, 1 / math.tan(math.radians(15))))  # the plane fills its view
    assert oversampling_for(plane(), atlas, [camera], 32) == points


def test_a_view_of_nothing_shows_the_background():
    surface, texels, atlas = two_materials()
    away = Camera((0.0, 0.0, 9.0), (0.0, 0.0, 20.0))
    rendering = render_map(surface, atlas, [away], 16)
    assert (rendering.see(texels) == 0.5).all()
    assert (rendering.gradient_to_texels(torch.ones(1, 3, 16, 16)) == 0).all()
    assert not rendering.seen.any()


def test_a_rendering_changes_its_type():
    surface, texels, atlas = two_materials()
    camera = camera_from((0.0, 0.0, 1.0), bounding_sphere(surface))
    double = render_map(surface, atlas, [camera], 32, dtype=torch.float64)
    single = double.to("cpu", torch.float32)
    assert single.see(texels).dtype == torch.float32
    torch.testing.assert_close(single.see(texels).double(), double.see(texels.double()))
    assert double.to("cpu").coverage.dtype == torch.float64
