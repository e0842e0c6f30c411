"""The image of a blend."""

import os
from pathlib import Path

from PIL import Image

from nst_lightning.drawing.swatch import SIDE, draw_swatch, is_swatch


def paint(path: Path, colour: str) -> Path:
    Image.new("RGB", (90, 60), colour).save(path)
    return path


def row(path: Path) -> list[tuple[int, ...]]:
    with Image.open(path) as image:
        assert image.size == (SIDE, SIDE)
        return [image.getpixel((x, SIDE // 2)) for x in range(SIDE)]


RED, BLUE, GREEN, GREY = (255, 0, 0), (0, 0, 255), (0, 128, 0), (128, 128, 128)


def test_a_strip_of_each_as_wide_as_its_share(tmp_path: Path):
    red, blue = paint(tmp_path / "a.png", "red"), paint(tmp_path / "b.png", "blue")
    path = tmp_path / "blends" / "x.png"
    draw_swatch(path, [(red, 0.25), (blue, 0.75)], max_pixels=10**6)
    assert row(path) == [RED] * 64 + [BLUE] * 192
    assert is_swatch(path)
    assert not is_swatch(red)
    assert str(tmp_path).encode() not in path.read_bytes()


def test_it_is_drawn_anew_where_it_would_differ(tmp_path: Path):
    red, blue = paint(tmp_path / "a.png", "red"), paint(tmp_path / "b.png", "blue")
    path = tmp_path / "x.png"

    def draw(share: float) -> list[tuple[int, ...]]:
        draw_swatch(path, [(red, share), (blue, 1 - share)], max_pixels=10**6)
        return row(path)

    draw(0.5)
    os.utime(path, ns=(0, 0))
    assert draw(0.5) == [RED] * 128 + [BLUE] * 128
    assert path.stat().st_mtime_ns == 0
    assert draw(0.25) == [RED] * 64 + [BLUE] * 192
    paint(blue, "green")
    os.utime(blue, ns=(1, 1))
    assert draw(0.25) == [RED] * 64 + [GREEN] * 192


def test_a_file_of_others_stays(tmp_path: Path):
    red, mine = paint(tmp_path / "a.png", "red"), paint(tmp_path / "mine.png", "blue")
    before = mine.read_bytes()
    draw_swatch(mine, [(red, 1.0)], max_pixels=10**6)
    assert mine.read_bytes() == before


def test_a_painting_that_cannot_be_read_leaves_a_gap(tmp_path: Path):
    red = paint(tmp_path / "a.png", "red")
    draw_swatch(tmp_path / "x.png", [(tmp_path / "absent.png", 0.5), (red, 0.5)], max_pixels=10**6)
    assert row(tmp_path / "x.png") == [GREY] * 128 + [RED] * 128
