"""Textures side by side: their places, what lies beyond their borders, and the way out again."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nst_lightning.mesh.atlas import GAP, arrange, pack, unpack, wrapped
from nst_lightning.mesh.surface import Texture

PADDED = {"repeat": "wrap", "mirror": "symmetric", "clamp": "edge"}

sides = st.integers(1, 40)


def noise(height: int, width: int, seed: int) -> Tensor:
    """Returns an image (3, h, w)."""
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=12))
def test_no_texture_touches_another(sizes: list[tuple[int, int]]):
    atlas = arrange(sizes, [("repeat", "repeat")] * len(sizes))
    taken = np.zeros((atlas.height + GAP, atlas.width + GAP), int)
    for place, size in zip(atlas.places, sizes, strict=True):
        window = place.window
        assert window.shape == size
        assert window.bottom <= atlas.height
        assert window.right <= atlas.width
        taken[window.top : window.bottom + GAP, window.left : window.right + GAP] += 1
    assert taken.max() == 1


def test_many_textures_make_about_a_square():
    atlas = arrange([(64, 64)] * 30 + [(256, 128)], [("repeat", "repeat")] * 31)
    assert 0.5 < atlas.height / atlas.width < 2
    assert atlas.count < 1.5 * (30 * 64 * 64 + 256 * 128)


@pytest.mark.parametrize("wrap", PADDED)
@given(size=st.integers(1, 9))
def test_beyond_a_border_a_texture_goes_on(wrap: str, size: int):
    padded = np.pad(np.arange(size), 3 * size, mode=PADDED[wrap])  # type: ignore[call-overload]
    index = torch.arange(-3 * size, 4 * size)
    assert wrapped(index, size, wrap).tolist() == padded.tolist()


def test_an_unknown_wrap_is_refused():
    with pytest.raises(ValueError, match="border"):
        wrapped(torch.zeros(1, dtype=torch.int64), 4, "border")


@pytest.mark.parametrize("u", PADDED)
@pytest.mark.parametrize("v", PADDED)
def test_four_texels_make_up_a_point(u: str, v: str):
    textures = [Texture(noise(6, 9, 0)), Texture(noise(7, 5, 1), (u, v)), Texture(noise(3, 4, 2))]
    image, atlas = pack(textures)
    place = torch.rand(200, 2, generator=torch.Generator().manual_seed(3)).double() * 4 - 1.5
    texels, weights = atlas.taps(torch.ones(200, dtype=torch.int64), place)
    seen = (image.double()[0].flatten(1)[:, texels] * weights).sum(dim=2)
    grown = textures[1].image.double().numpy()
    grown = np.pad(grown, ((0, 0), (14, 14), (0, 0)), mode=PADDED[v])  # type: ignore[call-overload]
    grown = np.pad(grown, ((0, 0), (0, 0), (10, 10)), mode=PADDED[u])  # type: ignore[call-overload]
    whole = place * torch.tensor([5, 7]) + torch.tensor([10, 14])
    grid = (2 * whole / torch.tensor([25, 35]) - 1)[None, None]
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(grown)[None], grid, align_corners=False
    )
    torch.testing.assert_close(seen, expected[0, :, 0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(200).double())


def test_textures_come_out_as_they_went_in():
    textures = [Texture(noise(6, 9, 0)), Texture(noise(17, 5, 1)), Texture(noise(1, 1, 2))]
    image, atlas = pack(textures)
    assert image.shape == (1, 3, atlas.height, atlas.width)
    for texture, out in zip(textures, unpack(image, atlas), strict=True):
        assert torch.equal(texture.image, out)


def test_the_largest_texture_gets_the_size():
    textures = [Texture(noise(20, 40, 0)), Texture(noise(10, 10, 1)), Texture(noise(1, 1, 2))]
    image, atlas = pack(textures, 80)
    assert [place.window.shape for place in atlas.places] == [(40, 80), (20, 20), (2, 2)]
    out = unpack(image, atlas)
    torch.testing.assert_close(out[0].mean(), textures[0].image.mean(), rtol=1e-2, atol=0)
    torch.testing.assert_close(out[2], textures[2].image.expand(3, 2, 2))
    smaller = atlas.scaled(0.25)
    assert [place.window.shape for place in smaller.places] == [(10, 20), (5, 5), (1, 1)]
