"""Levels: rounding against exact arithmetic, and dither."""

from fractions import Fraction

import pytest
import torch

from nst_lightning.imaging import levels as levels_module
from nst_lightning.imaging.levels import LevelRows, to_levels


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_sixteen_bits_are_rounded_to_the_nearest_level():
    values = torch.cat([noise(2000), torch.tensor([0.0, 1.0, -0.3, 1.7])])
    exact = [
        round(min(max(Fraction(v), Fraction(0)), Fraction(1)) * 65535) for v in values.tolist()
    ]
    assert to_levels(values.view(1, 1, -1), 16).flatten().tolist() == exact


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_survives(dtype: torch.dtype):
    levels = torch.arange(65536, dtype=torch.int32).view(1, 256, 256)
    for dither in (False, True):
        assert torch.equal(to_levels(levels.to(dtype) / 65535, 16, dither=dither), levels)
        few = levels[:, :1]
        assert torch.equal(to_levels(few.to(dtype) / 255, 8, dither=dither).int(), few)


def test_every_level_of_eight_bits_survives() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_levels(levels.float() / 255), levels)
    assert torch.equal(to_levels(levels.double() / 255), levels)


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.0, 0), (0.49 / 255, 0), (0.51 / 255, 1), (99.6 / 255, 100), (254.6 / 255, 255)],
)
def test_values_go_to_the_nearest_level(value: float, level: int) -> None:
    assert to_levels(torch.tensor([value])).item() == level


def test_ties_go_to_the_even_level() -> None:
    assert to_levels(torch.tensor([0.5], dtype=torch.float64)).item() == 128  # 127.5


def test_values_outside_are_clamped() -> None:
    values = torch.tensor([-0.4, -7.0, 1.3, 300.0, float("inf"), float("-inf")])
    assert to_levels(values).tolist() == [0, 0, 255, 255, 255, 0]


def test_half_precision_is_rounded_as_its_value() -> None:
    half = noise(500).to(torch.bfloat16)
    assert torch.equal(to_levels(half), to_levels(half.double()))


def test_nan_is_an_error() -> None:
    image = noise(3, 4, 4)
    image[1, 2, 3] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        to_levels(image)


def test_whole_numbers_are_refused_as_ambiguous() -> None:
    with pytest.raises(TypeError, match="floating-point"):
        to_levels(torch.ones(3, 4, 4, dtype=torch.int64))


@pytest.mark.parametrize("level", [0.3, 12.1, 100.5, 254.7])
def test_dither_keeps_the_mean(level: float):
    flat = torch.full((3, 200, 200), level / 255)
    found = to_levels(flat, dither=True).double()
    assert found.mean(dim=(1, 2)).tolist() == pytest.approx([level] * 3, abs=0.01)
    assert set(found.flatten().tolist()) == {int(level), int(level) + 1}
    assert not torch.equal(found[0], found[1])  # the channels do not move together


def test_dither_is_the_same_in_any_company():
    image = noise(2, 3, 20, 30)
    both = to_levels(image, dither=True)
    assert torch.equal(both[1], to_levels(image[1], dither=True))


@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_no_colour_is_refused(bits: int):
    with pytest.raises(ValueError, match="NaN"):
        to_levels(torch.full((3, 2, 2), float("nan")), bits, dither=True)
    with pytest.raises(TypeError, match="floating-point"):
        to_levels(torch.ones(3, 2, 2, dtype=torch.int32), bits, dither=True)


@pytest.mark.parametrize("rows", [1, 5, 30, 99])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("dither", [False, True])
def test_bands_of_rows_are_those_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, rows: int, bits: int, dither: bool
):
    monkeypatch.setattr(levels_module, "_PART_PIXELS", 3 * 17)
    image, alpha = noise(3, 30, 17), noise(1, 30, 17).flip(0)
    whole = torch.cat([to_levels(image, bits, dither=dither), to_levels(alpha, bits)])
    levels = LevelRows(image[None], alpha[None], bits, dither=dither)
    assert (levels.channels, levels.height, levels.width) == (4, 30, 17)
    bands = list(levels.bands(rows))
    assert [band.shape[-2] for band in bands[:-1]] == [rows] * (len(bands) - 1)
    assert torch.equal(torch.cat(bands, dim=1), whole)
    # Levels stay what they are.
    again = LevelRows(whole[:3], whole[3:], bits, dither=True)
    assert torch.equal(torch.cat(list(again.bands(rows)), dim=1), whole)


def test_nan_is_an_error_of_the_band_that_holds_it() -> None:
    image = torch.zeros(3, 4, 4)
    image[1, 3, 2] = float("nan")
    bands = LevelRows(image).bands(2)
    next(bands)
    with pytest.raises(ValueError, match="NaN"):
        next(bands)
