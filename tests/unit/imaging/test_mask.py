"""Masks: which regions an image of flat colours holds."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from nst_lightning.errors import UserError
from nst_lightning.imaging.mask import check_aspect, colour_name, read_mask


def save(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def test_regions_by_value(tmp_path: Path):
    image = Image.new("RGB", (40, 20), (0, 0, 0))
    image.paste((255, 0, 0), (0, 0, 10, 20))
    image.paste((9, 9, 9), (30, 0, 40, 20))
    mask = read_mask(save(tmp_path / "a.png", image))
    assert mask.colours == ("#000000", "#090909", "#ff0000")
    assert mask.inside.shape == (1, 3, 20, 40)
    assert torch.equal(mask.inside.sum(dim=1), torch.ones(1, 20, 40))
    assert mask.of("#ff0000").mean() == 0.25
    assert mask.of("#000000")[..., 15].min() == 1


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16"])
def test_other_modes(tmp_path: Path, mode: str):
    image = Image.new("L", (20, 20), 0)
    image.paste(255, (10, 0, 20, 20))
    if mode == "I;16":
        image = image.convert("I").point(lambda v: v * 257).convert("I;16")
    elif mode != "L":
        image = image.convert(mode)
    mask = read_mask(save(tmp_path / "a.png", image))
    assert mask.colours == ("#000000", "#ffffff")
    assert mask.of("#ffffff")[0, 0, 5].tolist() == [0.0] * 10 + [1.0] * 10


def test_soft_edges_are_shared(tmp_path: Path):
    """An edge that was drawn with antialiasing is no region; its pixels belong to both sides."""
    big = Image.new("L", (400, 400), 0)
    ImageDraw.Draw(big).ellipse((80, 80, 320, 320), fill=200)
    mask = read_mask(save(tmp_path / "a.png", big.resize((50, 50), Image.Resampling.BOX)))
    assert mask.colours == ("#000000", "#c8c8c8")
    area = float(mask.of("#c8c8c8").sum())
    assert area == pytest.approx(3.14159 * 15**2, rel=0.01)
    edge = mask.of("#c8c8c8")
    assert ((edge > 0.1) & (edge < 0.9)).any()


def test_transparent_is_in_no_region(tmp_path: Path):
    image = Image.new("RGBA", (20, 20), (255, 255, 255, 255))
    image.paste((0, 0, 0, 0), (0, 0, 10, 20))
    image.paste((255, 255, 255, 128), (10, 0, 12, 20))
    mask = read_mask(save(tmp_path / "a.png", image))
    assert mask.colours == ("#ffffff",)
    row = mask.inside[0, 0, 3]
    assert row[:10].max() == 0
    assert row[10].item() == pytest.approx(128 / 255)
    assert row[12:].min() == 1


def test_another_size_keeps_the_areas(tmp_path: Path):
    image = Image.new("L", (90, 60), 0)
    image.paste(255, (0, 0, 30, 60))
    small = read_mask(save(tmp_path / "a.png", image)).at(10, 15)
    assert small.inside.shape == (1, 2, 10, 15)
    assert small.of("#ffffff").mean().item() == pytest.approx(1 / 3, abs=0.01)
    assert small.inside.sum(dim=1).max() <= 1 + 1e-6


def test_no_region(tmp_path: Path):
    noise = Image.effect_noise((30, 30), 200)
    with pytest.raises(UserError, match="no area of one colour"):
        read_mask(save(tmp_path / "a.png", noise))


def test_aspect():
    path = Path("a.png")
    check_aspect(path, (50, 100), Path("x.jpg"), (500, 1000))
    check_aspect(path, (50, 100), Path("x.jpg"), (501, 1000))
    with pytest.raises(UserError, match=r"is 100×50 and does not fit x\.jpg of 1000×600"):
        check_aspect(path, (50, 100), Path("x.jpg"), (600, 1000))


def test_names_of_colours():
    assert colour_name("255") == colour_name("white") == colour_name("#fff") == "#ffffff"
    assert colour_name("128") == "#808080"
    for wrong in ("256", "whitish", "", "#12", "²", "9" * 5000):
        with pytest.raises(UserError, match="no colour of a region"):
            colour_name(wrong)


def test_a_jpeg_has_no_regions_of_noise(tmp_path: Path):
    image = Image.new("L", (80, 60), 0)
    ImageDraw.Draw(image).ellipse((10, 10, 60, 50), fill=255)
    image.paste(128, (64, 0, 80, 30))
    image.save(tmp_path / "a.jpg", quality=60)
    (tmp_path / "a.jpg").rename(tmp_path / "a.mask.png")
    assert read_mask(tmp_path / "a.mask.png").colours == ("#000000", "#808080", "#ffffff")
    # Elsewhere, neighbours are regions of their own.
    image.paste(1, (0, 0, 5, 5))
    assert len(read_mask(save(tmp_path / "b.png", image)).colours) == 4


def test_masks_without_any_region(tmp_path: Path):
    with pytest.raises(UserError, match="is transparent all over"):
        read_mask(save(tmp_path / "a.png", Image.new("LA", (20, 20), (255, 0))))
    many = Image.new("RGB", (60, 60))
    for at in range(400):
        x, y = at % 20 * 3, at // 20 * 3
        many.paste((at % 256, at // 256, 0), (x, y, x + 3, y + 3))
    with pytest.raises(UserError, match="has 400 flat colours, more than the 256"):
        read_mask(save(tmp_path / "b.png", many))
