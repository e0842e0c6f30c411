"""The course of an optimisation: history, curves, film; and labelled figures."""

import math
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]
import pytest
from matplotlib.figure import Figure
from PIL import Image

from nst_lightning.callbacks.film import FRAMES, frame_steps
from nst_lightning.drawing.curves import draw_curves, escape_text
from nst_lightning.drawing.films import FRAME_SECONDS, HOLD_SECONDS, write_film
from nst_lightning.drawing.font import load_font
from nst_lightning.drawing.loss_history import make_rows, read_history, write_history
from nst_lightning.errors import UserError
from nst_lightning.report.figure import compose, draw_figure
from nst_lightning.report.panels import Panel, Row, wrap_text


def history(steps: int = 5) -> list[dict[str, float]]:
    return make_rows(
        [0.1 * k for k in range(steps)], [[8 / 2**k, 1.0, 2.0, 0.0] for k in range(steps)]
    )


def test_a_history_comes_back_as_it_was(tmp_path: Path):
    made = history()
    assert [row["improvement"] for row in made] == [0, 50, 50, 50, 50]
    write_history(tmp_path / "history.csv", made)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "step,seconds,total,content,style,tv,improvement"
    assert lines[1] == "1,0,8,1,2,0,0"
    for row, back in zip(made, read_history(tmp_path / "history.csv"), strict=True):
        assert back == pytest.approx(row)
    (tmp_path / "history.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="cannot be read as a history"):
        read_history(tmp_path / "history.csv")


@pytest.mark.parametrize("count", [1, 3, 12, 30])
def test_curves_are_drawn(tmp_path: Path, count: int):
    broken = [*history(1), {**history(2)[1], "total": math.nan, "improvement": -math.inf}]
    some = {f"case {k}": history(1 + k) for k in range(count - 1)} | {"broken": broken}
    draw_curves(tmp_path / "curves.png", some, "a title")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width > 1200
        colours = image.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 50


@pytest.mark.parametrize("name", ["$x^$", "$", "_hidden", "a_b$c_d$", "\\$2", "100%", "new\nline"])
def test_any_file_name_can_be_a_label(tmp_path: Path, name: str):
    several = {name: history(4), "other": history(3)}
    draw_curves(tmp_path / "plain.png", {"mm": history(4), "other": history(3)}, "title")
    draw_curves(tmp_path / "named.png", several, name)
    assert Image.open(tmp_path / "named.png").size == Image.open(tmp_path / "plain.png").size
    draw_curves(tmp_path / "without.png", {"other": history(3)}, name)


@pytest.mark.parametrize("name", ["_hidden", "$x$", "$x^$", "\\$2$"])
def test_a_label_is_shown_as_it_is(name: str):
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], label=escape_text(name))
    (text,) = axes.legend().get_texts()
    figure.canvas.draw()
    shown, is_math = text._preprocess_math(text.get_text())  # type: ignore[attr-defined]
    assert not is_math
    assert shown.strip() == name


def frames() -> list[Image.Image]:
    shades = [Image.new("RGB", (33, 27), (40 * k, 250 - 40 * k, 90)) for k in range(6)]
    return [shades[0].resize((17, 14)), *shades[1:]]


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_film_holds_its_last_frame(tmp_path: Path, kind: str):
    path = tmp_path / f"film.{kind}"
    write_film(path, frames())
    with Image.open(path) as film:
        assert film.n_frames == 6
        assert film.size == (33, 27)
        durations = []
        for k in range(6):
            film.seek(k)
            film.load()
            durations.append(film.info["duration"])
            shown = film.convert("RGB").getpixel((16, 13))
            assert shown == pytest.approx((40 * k, 250 - 40 * k, 90), abs=8)
    assert durations == [1000 * FRAME_SECONDS] * 5 + [1000 * HOLD_SECONDS]


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_a_film_that_goes_round_holds_no_frame(tmp_path: Path, kind: str):
    path = tmp_path / f"film.{kind}"
    write_film(path, frames(), hold=0)
    if kind == "mp4":
        reader = imageio_ffmpeg.read_frames(str(path))
        next(reader)
        assert len(list(reader)) == 6
        return
    with Image.open(path) as film:
        film.seek(5)
        assert film.info["duration"] == 1000 * FRAME_SECONDS


def test_a_film_as_mp4(tmp_path: Path):
    path = tmp_path / "film.mp4"
    write_film(path, frames())
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    images = list(reader)
    assert meta["size"] == (32, 26)
    assert meta["codec"] == "h264"
    assert len(images) == 6 + round(HOLD_SECONDS / FRAME_SECONDS)
    middle = (13 * 32 + 16) * 3
    assert tuple(images[-1][middle : middle + 3]) == pytest.approx((200, 50, 90), abs=8)
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


def test_the_steps_of_a_film():
    chosen = sorted(frame_steps(3000, 0, 0))
    assert (chosen[0], chosen[-1]) == (1, 3000)
    assert FRAMES - 5 <= len(chosen) <= FRAMES
    assert chosen[1] - chosen[0] < chosen[-1] - chosen[-2]
    assert frame_steps(5, 0, 0) == {1, 2, 3, 4, 5}
    assert frame_steps(25, 10, 3) == {1, 2, 3, 10, 20, 25}


def test_a_figure_has_every_panel_and_label(tmp_path: Path):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "red.png")
    rows = [
        Row("first", [Panel(tmp_path / "red.png", "a title", "loss 1"), Panel(None)]),
        Row("", [Panel(Image.new("RGB", (20, 40), "blue")), Panel(tmp_path / "red.png")]),
    ]
    image = compose(rows, "heading")
    counts = {colour: n for n, colour in image.getcolors(1 << 20) or []}
    assert counts[255, 0, 0] == 2 * 150 * 75
    assert counts[0, 0, 255] == 75 * 150
    bare = compose([Row("", row.panels) for row in rows])
    assert bare.width < image.width
    draw_figure(tmp_path / "figure.png", rows)
    assert (tmp_path / "figure.png").stat().st_size > 500


def test_labels_break_to_fit():
    font = load_font(14)
    for text in ("conv_1+conv_2+conv_3+conv_4+conv_5", "a" * 80, "two words and more of them"):
        lines = wrap_text(text, font, 100)
        assert len(lines) > 1
        assert max(font.getlength(line) for line in lines) <= 100
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap_text("", font, 100) == []


def test_the_font_has_the_signs_that_labels_use():
    font = load_font(20)
    missing = bytes(font.getmask("\uffff"))
    for sign in "×−…äЖλ":
        assert bytes(font.getmask(sign)) != missing
