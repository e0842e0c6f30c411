"""Resizing: antialiased, in bounds, the aspect kept."""

import pytest
import torch

from nst_lightning.imaging.resize import BandResizer, resize
from nst_lightning.settings.sizes import fit


@pytest.mark.parametrize(
    ("shape", "size", "upscale", "expected"),
    [
        ((480, 640), 320, False, (240, 320)),
        ((640, 480), 320, False, (320, 240)),
        ((333, 500), 256, False, (170, 256)),  # 170.496
        ((334, 500), 256, False, (171, 256)),  # 171.008
        ((3, 4), 2, False, (2, 2)),  # 1.5, rounded up
        ((1, 1000), 100, False, (1, 100)),  # 0.1, but never below 1
        ((480, 640), None, False, (480, 640)),
        ((480, 640), 640, True, (480, 640)),
        ((480, 640), 1280, False, (480, 640)),
        ((480, 640), 1280, True, (960, 1280)),
        ((1, 1), 7, True, (7, 7)),
    ],
)
def test_fit(
    shape: tuple[int, int], size: int | None, upscale: bool, expected: tuple[int, int]
) -> None:
    assert fit(*shape, size, upscale) == expected


@pytest.mark.parametrize("arguments", [(0, 5, None), (5, 0, 3), (5, 5, 0)])
def test_fit_refuses_sides_below_1(arguments: tuple[int, int, int | None]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        fit(*arguments)


@pytest.mark.parametrize(
    ("shape", "share", "expected"),
    [
        ((600, 1001), 1.0, (600, 1001)),
        ((600, 1000), 0.5, (300, 500)),
        ((1000, 600), 0.1, (192, 115)),
        ((100, 50), 0.25, (100, 50)),
        ((3, 1001), 0.25, (1, 250)),
    ],
)
def test_fit_to_a_share(shape: tuple[int, int], share: float, expected: tuple[int, int]) -> None:
    assert fit(*shape, share) == fit(*shape, share, True) == expected


def test_the_same_size_keeps_every_value() -> None:
    image = torch.rand(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize(image, 7, 5), image)


def test_a_flat_image_stays_flat() -> None:
    image = torch.full((1, 3, 33, 47), 0.3)
    for shape in ((9, 13), (90, 130), (1, 1)):
        made = resize(image, *shape)
        assert made.shape == (1, 3, *shape)
        torch.testing.assert_close(made, torch.full_like(made, 0.3))


def test_fine_stripes_average_out_when_reduced() -> None:
    # Without antialiasing, single columns would be taken: black ones and white ones.
    image = torch.zeros(1, 1, 64, 64)
    image[..., ::2] = 1
    made = resize(image, 9, 9)[..., 1:-1]
    torch.testing.assert_close(made, torch.full_like(made, 0.5), atol=0.05, rtol=0)


def test_overshoot_at_an_edge_is_clamped() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 4:] = 1
    made = resize(image, 32, 32)
    assert made.min() == 0
    assert made.max() == 1
    assert ((made > 0) & (made < 1)).any()


def test_nothing_shifts() -> None:
    # An image that is its own mirror image stays so.
    half = torch.rand(1, 3, 20, 15, generator=torch.Generator().manual_seed(1))
    image = torch.cat([half, half.flip(-1)], dim=-1)
    made = resize(image, 11, 17)
    torch.testing.assert_close(made, made.flip(-1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_float32_comes_out_whatever_goes_in(dtype: torch.dtype) -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2)).to(dtype)
    assert torch.equal(resize(image, 5, 5), resize(image.float(), 5, 5))
    assert resize(image, 16, 16).dtype == torch.float32


@pytest.mark.parametrize("shape", [(0, 4), (4, -1)])
def test_sides_below_1_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        resize(torch.rand(1, 3, 4, 4), *shape)


@pytest.mark.parametrize("shape", [(5, 6), (20, 31), (1, 1)])
def test_bilinear_takes_the_four_nearest_pixels(shape: tuple[int, int]) -> None:
    """Also where it makes an image smaller, which a filter without aliasing would average."""
    image = torch.rand(1, 1, 13, 17, generator=torch.Generator().manual_seed(3))
    made = resize(image, *shape, how="bilinear")

    def between(length: int, side: int, k: int) -> tuple[int, int, float]:
        at = max((k + 0.5) * length / side - 0.5, 0.0)
        low = min(int(at), length - 1)
        return low, min(low + 1, length - 1), at - low

    for y in range(shape[0]):
        top, bottom, down = between(13, shape[0], y)
        for x in range(shape[1]):
            left, right, across = between(17, shape[1], x)
            rows = [
                image[0, 0, row, left] * (1 - across) + image[0, 0, row, right] * across
                for row in (top, bottom)
            ]
            expected = rows[0] * (1 - down) + rows[1] * down
            assert float(made[0, 0, y, x]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("how", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    "size", [(70, 50), (35, 25), (31, 13), (1, 1), (69, 50), (70, 25), (90, 9)]
)
@pytest.mark.parametrize("rows", [1, 7, 70])
def test_bands_give_what_the_whole_gives(how: str, size: tuple[int, int], rows: int) -> None:
    image = torch.rand(1, 2, 70, 50, generator=torch.Generator().manual_seed(0))
    resizer = BandResizer(2, (70, 50), size, how)
    for top in range(0, 70, rows):
        resizer.add(image[..., top : top + rows, :])
    expected = resize(image, *size, how=how)
    assert torch.allclose(resizer.image(), expected, atol=1e-5, rtol=0)
    if size == (70, 50):
        assert torch.equal(resizer.image(), expected)
