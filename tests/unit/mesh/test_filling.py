"""Where texels lie on the surface, and what those get that no view sees."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_lightning import extras
from nst_lightning.errors import UserError
from nst_lightning.mesh import filling, rasterizer
from nst_lightning.mesh.atlas import Atlas, arrange, pack
from nst_lightning.mesh.cameras import four_sides
from nst_lightning.mesh.filling import Layout, closest, fill_unseen, lay_out
from nst_lightning.mesh.growing import GROWN
from nst_lightning.mesh.surface import Surface, Texture
from nst_lightning.mesh.texels import render_map
from tests.unit.mesh.shapes import plane, sphere, stone, together, torus

REPEAT = ("repeat", "repeat")


def one_texture(size: int, wrap: tuple[str, str] = REPEAT) -> Atlas:
    """Returns the atlas of one square texture."""
    return arrange([(size, size)], [wrap])


def placed(surface: Surface, layout: Layout) -> Tensor:
    """Returns where in space each texel lies, (H, W, 3)."""
    corners = surface.corners[layout.face.clamp(min=0)]
    return (layout.weights[..., None] * corners).sum(dim=2)


def in_islands(surface: Surface, scale: float, shift: float) -> Surface:
    """Returns a mesh whose texture covers a part of the image."""
    return Surface(surface.corners, surface.uv * scale + shift, surface.material)


def test_a_texel_lies_where_its_middle_is_shown():
    surface, atlas = plane(), one_texture(16)
    layout = lay_out(surface, atlas)
    middles = (torch.arange(16).double() + 0.5) / 8 - 1
    y, x = torch.meshgrid(-middles, middles, indexing="ij")
    expected = torch.stack([x, y, torch.zeros_like(x)], dim=2)
    torch.testing.assert_close(placed(surface, layout), expected, rtol=0, atol=1e-12)


def test_around_an_island_lie_the_texels_that_its_border_takes():
    surface, atlas = in_islands(plane(), 0.5, 0.26), one_texture(20)  # texels 5.2 … 15.2
    layout = lay_out(surface, atlas)
    shown = torch.zeros(20, 20, dtype=torch.bool)
    shown[4:16, 4:16] = True  # their middles are less than one texel away
    assert torch.equal(layout.face >= 0, shown)
    x = placed(surface, layout)[..., 0]
    assert x[10, 4] == pytest.approx(-1)
    assert x[10, 15] == pytest.approx(1)
    assert x[10, 10] == pytest.approx((10.5 - 5.2) / 5 - 1)
    assert (layout.weights[~shown] == 0).all()


def test_of_faces_that_overlap_the_first_shows_a_texel():
    surface = together(plane(), in_islands(plane(1, -1), 1.0, 0.25))
    assert (lay_out(surface, one_texture(16)).face < 2).all()
    other = together(in_islands(plane(1, -1), 1.0, 0.25), plane())
    assert (lay_out(other, one_texture(16)).face < 2).all()


def test_many_small_faces_are_laid_out_as_each_alone():
    generator = torch.Generator().manual_seed(2)
    uv = torch.rand(40, 1, 2, generator=generator).double()
    uv = uv + 0.4 * torch.rand(40, 3, 2, generator=generator).double() - 0.2
    corners = torch.rand(40, 3, 3, generator=generator).double()
    surface = Surface(corners, uv, torch.zeros(40, dtype=torch.int64))
    layout = lay_out(surface, one_texture(24))
    expected = np.full((24, 24), -1)
    middles = np.mgrid[-24:48, -24:48] + 0.5
    for index, triangle in reversed(list(enumerate(uv.numpy() * 24))):
        turns = []
        for i in range(3):
            (ax, ay), (bx, by) = triangle[i], triangle[(i + 1) % 3]
            turns.append((bx - ax) * (middles[0] - ay) - (by - ay) * (middles[1] - ax))
        held = (np.min(turns, axis=0) >= 0) | (np.max(turns, axis=0) <= 0)
        expected[tuple(axis % 24 for axis in np.nonzero(held))] = index
    inside = expected >= 0
    assert inside.sum() > 100
    assert np.array_equal(layout.face.numpy()[inside], expected[inside])


@pytest.mark.parametrize("surface", [sphere(), torus(), stone()], ids=["sphere", "torus", "stone"])
def test_every_texel_that_a_view_takes_lies_on_the_surface(surface: Surface):
    surface = in_islands(surface, 0.8, 0.07)
    atlas = one_texture(100)
    layout = lay_out(surface, atlas)
    taken = render_map(surface, atlas, four_sides(surface), 96).texel_pixels[0, 0] > 0
    assert taken.any()
    assert not (taken & (layout.face < 0)).any()


@pytest.mark.parametrize(
    ("wrap", "first", "column", "x"),
    [("repeat", 0, 0, 1 / 32), ("mirror", 15, 31, -1 / 32), ("clamp", 15, 31, -1 / 32)],
)
def test_beyond_a_border_lies_what_its_wrap_says(wrap: str, first: int, column: int, x: float):
    surface = in_islands(plane(), 1.0, 0.5)  # from the middle of the texture to that of the next
    layout = lay_out(surface, one_texture(32, (wrap, wrap)))
    assert (layout.face[20] >= 0).tolist() == [each >= first for each in range(32)]
    assert placed(surface, layout)[20, column, 0] == pytest.approx(x)


def test_a_face_beyond_a_clamped_texture_shows_its_border():
    surface = in_islands(plane(), 0.5, 0.0)
    beyond = Surface(surface.corners, surface.uv + torch.tensor([1.5, 0.25]), surface.material)
    layout = lay_out(beyond, one_texture(32, ("clamp", "clamp")))
    rows = [7 <= each < 25 for each in range(32)]
    assert (layout.face[:, 31] >= 0).tolist() == rows
    assert (layout.face[:, :31] < 0).all()
    taken = render_map(beyond, one_texture(32, ("clamp", "clamp")), four_sides(beyond), 64)
    assert not ((taken.texel_pixels[0, 0] > 0) & (layout.face < 0)).any()


def test_a_texture_that_repeats_often_takes_few_tests(monkeypatch: pytest.MonkeyPatch):
    tested: list[int] = []

    def counted(boxes: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for part in rasterizer.pairs(boxes):
            tested.append(len(part[0]))
            yield part

    monkeypatch.setattr(filling, "pairs", counted)
    layout = lay_out(in_islands(plane(), 1000.0, 0.0), one_texture(16))
    assert (layout.face >= 0).all()
    assert sum(tested) < 2 * (4 * 16) ** 2


@pytest.mark.parametrize("kind", ["any", "line", "point"])
def test_the_closest_point_of_a_triangle(kind: str):
    generator = torch.Generator().manual_seed(4)
    triangle = torch.rand(30, 3, 2, generator=generator).double()
    if kind == "line":
        triangle[:, 2] = (triangle[:, 0] + triangle[:, 1]) / 2
    if kind == "point":
        triangle[:] = triangle[:, :1].clone()
    point = torch.rand(30, 2, generator=generator).double() * 2 - 0.5
    weights, away = closest(point, triangle)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(30).double())
    assert float(weights.min()) >= 0
    found = (weights[..., None] * triangle).sum(dim=1)
    a, b = np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 1, 201))
    tried = torch.from_numpy(np.stack([a, b, 1 - a - b])[:, a + b <= 1 + 1e-12])
    spots = torch.einsum("kt,nkd->ntd", tried, triangle)
    least = (spots - point[:, None]).norm(dim=2).amin(dim=1)
    torch.testing.assert_close((found - point).norm(dim=1), least, rtol=0, atol=6e-3)
    torch.testing.assert_close(away, (found - point).abs().amax(dim=1), rtol=0, atol=1e-12)


def test_texels_that_no_view_sees_get_the_colours_around_them():
    surface, atlas = sphere(), one_texture(64)
    place = placed(surface, lay_out(surface, atlas))
    wanted = (0.5 + 0.4 * place).permute(2, 0, 1)[None].float()
    seen = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) > 0.5
    seen[..., 20:30, 10:25] = False
    filled = fill_unseen(torch.where(seen, wanted, torch.tensor(9.0)), seen.float(), surface, atlas)
    keep = seen.expand_as(wanted)
    assert torch.equal(filled[keep], wanted[keep])
    assert float((filled - wanted).abs().max()) < 0.4 * 0.6  # half the hole's width in space
    assert float((filled - wanted).abs().mean()) < 0.02


def test_the_mean_is_weighted_by_the_inverse_square_of_the_distance():
    surface, atlas = plane(), one_texture(4)
    texels = torch.zeros(1, 3, 4, 4)
    seen = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    seen[..., 0, 0] = seen[..., 0, 3] = True
    texels[..., 0, 3] = 1.0
    filled = fill_unseen(texels, seen.float(), surface, atlas)
    assert float(filled[0, 0, 0, 1]) == pytest.approx((1 / 4) / (1 + 1 / 4))
    assert float(filled[0, 1, 2, 0]) == pytest.approx((1 / 13) / (1 / 4 + 1 / 13))


def test_one_side_of_a_wall_is_not_filled_from_the_other():
    front, back = plane(), plane(1.0, -0.001)
    back = Surface(back.corners.flip(1), back.uv.flip(1), back.material)
    surface = together(in_islands(front, 0.5, 0.0), in_islands(back, 0.45, 0.55))
    atlas = one_texture(40)
    texels = torch.zeros(1, 3, 40, 40)
    texels[..., :21, :21] = 1.0
    seen = torch.ones(1, 1, 40, 40, dtype=torch.bool)
    seen[..., 27:35, 27:35] = False  # a hole on the back, before which the front is near
    texels[..., 27:35, 27:35] = 0.5
    filled = fill_unseen(texels, seen.float(), surface, atlas)
    assert (filled[..., 27:35, 27:35] < 0.1).all()


@pytest.mark.parametrize(("pixels", "filled"), [(0.3, True), (0.9, False)])
def test_texels_beside_a_seam_are_filled_where_views_hardly_see_them(pixels: float, filled: bool):
    surface, atlas = in_islands(plane(), 0.45, 0.0), one_texture(20)
    layout = lay_out(surface, atlas)
    beside = ~layout.inside & (layout.face >= 0)
    assert layout.inside[:9, :9].all()
    assert beside[9, :9].all()
    texels = torch.where(layout.inside, 0.25, 0.75).expand(1, 3, 20, 20)
    share = torch.where(beside, pixels, layout.inside.float())[None, None]
    found = fill_unseen(texels, share, surface, atlas)
    assert (found[..., layout.inside] == 0.25).all()
    torch.testing.assert_close(found[..., 9, :9], torch.full((1, 3, 9), 0.25 if filled else 0.75))


def test_a_palette_of_points_keeps_its_colours():
    surface = plane()
    surface = Surface(surface.corners, torch.full_like(surface.uv, 0.3), surface.material)
    atlas = one_texture(8)
    texels = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pixels = torch.zeros(1, 1, 8, 8)
    pixels[..., 1:3, 1:3] = 50.0
    filled = fill_unseen(texels, pixels, surface, atlas)
    assert torch.equal(filled[..., 1:3, 1:3], texels[..., 1:3, 1:3])


def test_where_no_view_sees_anything_nothing_is_filled():
    texels = torch.rand(1, 3, 8, 8)
    none = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    assert torch.equal(fill_unseen(texels, none.float(), plane(), one_texture(8)), texels)


def test_islands_grow_inside_their_texture_and_never_over_another():
    texels, atlas = pack([Texture(torch.zeros(3, 60, 60)), Texture(torch.ones(3, 60, 60))])
    left, right = (place.window for place in atlas.places)
    surface = plane()
    surface = replace(surface, uv=0.7 + surface.uv / 4)  # texels 42 to 56, and those beside them
    pixels = torch.zeros(1, 1, atlas.height, atlas.width)
    left.cut(pixels)[..., 42:57, 42:57] = 1
    left.cut(texels)[..., 42:57, 42:57] = 0.25
    filled = fill_unseen(texels, pixels, surface, atlas)
    assert torch.equal(right.cut(filled), right.cut(texels))
    middle = left.cut(filled)[0, 0, 50]
    assert middle.tolist() == pytest.approx([0.25 * (x >= 41 - GROWN) for x in range(60)])


def test_without_scipy_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    texels = torch.zeros(1, 3, 4, 4)
    with pytest.raises(UserError, match=r"textures need scipy, .*'nst-lightning\[mesh\]'"):
        fill_unseen(texels, texels[:, :1], plane(), one_texture(4))
