"""Writing PNGs: exact levels, alpha, metadata, and the old file until the new one is whole."""

import errno
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from nst_lightning.imaging.header import read_metadata
from nst_lightning.imaging.read import read_picture
from nst_lightning.imaging.write import to_uint8, write_png


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_every_level_survives() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 255), levels)
    assert torch.equal(to_uint8(levels.double() / 255), levels)


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.0, 0), (0.49 / 255, 0), (0.51 / 255, 1), (99.6 / 255, 100), (254.6 / 255, 255)],
)
def test_values_go_to_the_nearest_level(value: float, level: int) -> None:
    assert to_uint8(torch.tensor([value])).item() == level


def test_ties_go_to_the_even_level() -> None:
    assert to_uint8(torch.tensor([0.5], dtype=torch.float64)).item() == 128  # 127.5


def test_values_outside_are_clamped() -> None:
    values = torch.tensor([-0.4, -7.0, 1.3, 300.0, float("inf"), float("-inf")])
    assert to_uint8(values).tolist() == [0, 0, 255, 255, 255, 0]


def test_half_precision_is_rounded_as_its_value() -> None:
    half = noise(500).to(torch.bfloat16)
    assert torch.equal(to_uint8(half), to_uint8(half.double()))


def test_nan_is_an_error() -> None:
    image = noise(3, 4, 4)
    image[1, 2, 3] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(image)


def test_whole_numbers_are_refused_as_ambiguous() -> None:
    with pytest.raises(TypeError, match="floating-point"):
        to_uint8(torch.ones(3, 4, 4, dtype=torch.int64))


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 3, 5, 7)])
def test_pixels_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    rgb = noise(*shape)
    write_png(tmp_path / "new" / "a.png", rgb)
    picture = read_picture(tmp_path / "new" / "a.png")
    assert torch.equal(picture.rgb, to_uint8(rgb).view(1, 3, 5, 7).float() / 255)
    assert picture.alpha is None
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert (image.mode, image.size, image.format) == ("RGB", (7, 5), "PNG")
        assert image.getpixel((6, 1)) == tuple(to_uint8(rgb).view(3, 5, 7)[:, 1, 6].tolist())


@pytest.mark.parametrize("shape", [(1, 5, 7), (1, 1, 5, 7)])
def test_alpha_comes_back_and_leaves_the_colour_alone(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    rgb, alpha = noise(3, 5, 7), noise(*shape)
    alpha.view(5, 7)[0] = 0
    write_png(tmp_path / "a.png", rgb, alpha)
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert torch.equal(picture.alpha, to_uint8(alpha).view(1, 1, 5, 7).float() / 255)
    assert torch.equal(picture.rgb[0], to_uint8(rgb).float() / 255)


def test_levels_are_written_as_they_are(tmp_path: Path) -> None:
    rgb = to_uint8(noise(3, 4, 6))
    write_png(tmp_path / "a.png", rgb)
    assert torch.equal(read_picture(tmp_path / "a.png").rgb[0], rgb.float() / 255)


def test_a_picture_that_still_has_a_gradient_can_be_written(tmp_path: Path) -> None:
    image = torch.nn.Parameter(noise(3, 4, 4).permute(0, 2, 1))
    write_png(tmp_path / "a.png", image)
    assert torch.equal(read_picture(tmp_path / "a.png").rgb[0], to_uint8(image).float() / 255)


def test_metadata_come_back(tmp_path: Path) -> None:
    metadata = {
        "nst": '{"style": "scream", "weights": [1, 2.5]}',
        "Comment": "Zwölf Boxkämpfer\njagen 日本語 🎨",
        "long": "x" * 3_000_000,
        "empty": "",
    }
    write_png(tmp_path / "a.png", noise(3, 4, 4), metadata=metadata)
    assert read_metadata(tmp_path / "a.png") == metadata
    with Image.open(tmp_path / "a.png") as image:  # and others can read them
        assert image.info["nst"] == metadata["nst"]
        assert image.info["Comment"] == metadata["Comment"]


@pytest.mark.parametrize("metadata", [{"": "x"}, {"k" * 80: "x"}, {"日": "x"}, {"k": "a\0b"}])
def test_metadata_that_png_cannot_hold_are_refused(
    tmp_path: Path, metadata: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"keyword|NUL|codec"):
        write_png(tmp_path / "a.png", noise(3, 4, 4), metadata=metadata)
    assert not list(tmp_path.iterdir())


def test_the_file_says_that_it_is_srgb(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(3, 4, 4))
    data = (tmp_path / "a.png").read_bytes()
    assert 0 < data.index(b"sRGB") < data.index(b"IDAT")


@pytest.mark.parametrize(
    ("rgb", "alpha"),
    [
        (noise(2, 3, 4, 4), None),
        (noise(4, 4, 4), None),
        (noise(4, 4), None),
        (noise(3, 0, 4), None),
        (noise(3, 4, 4), noise(3, 4, 4)),
        (noise(3, 4, 4), noise(1, 4, 5)),
    ],
)
def test_other_shapes_are_refused(
    tmp_path: Path, rgb: torch.Tensor, alpha: torch.Tensor | None
) -> None:
    with pytest.raises(ValueError, match=r"must be|alpha is"):
        write_png(tmp_path / "a.png", rgb, alpha)


def test_nan_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="NaN"):
        write_png(path, torch.full((3, 4, 4), float("nan")))
    assert path.read_bytes() == b"old"


def test_a_full_disk_says_so_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_png(path, noise(3, 4, 4))
    assert caught.value.errno == errno.ENOSPC
    assert [(p, p.read_bytes()) for p in tmp_path.iterdir()] == [(path, b"old")]
