"""Labelled figures: rows of pictures with a line or two below each. Imports no torch."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from nst_lightning.drawing.font import Font, line_height, load_font
from nst_lightning.drawing.thumbnails import flattened
from nst_lightning.files import atomic_file
from nst_lightning.formats import MAX_PIXELS

SIDES = (150, 300)
"""Longest side of a picture in a figure: at least, at most."""

LONGEST_SIDE = 6000
"""A figure wider than this gets smaller pictures."""

PAPER, INK, MUTED = (255, 255, 255), (30, 30, 34), (105, 105, 112)


@dataclass(frozen=True)
class Panel:
    """One picture of a figure, or an empty place, and what stands below it."""

    picture: Path | Image.Image | None
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures side by side, with a label before them."""

    label: str
    panels: Sequence[Panel]


def draw_figure(path: Path, rows: Sequence[Row], heading: str = "") -> None:
    """Write a figure as PNG, atomically.

    Raises:
        OSError: it cannot be written.
        UserError: a picture cannot be read.
    """
    image = compose(rows, heading)
    data = io.BytesIO()
    image.save(data, "PNG")
    with atomic_file(path) as file:
        file.write(data.getbuffer())


def compose(rows: Sequence[Row], heading: str = "") -> Image.Image:
    """A figure as an RGB image."""
    loaded = [[opened(panel.picture) for panel in row.panels] for row in rows]
    columns = max(len(row.panels) for row in rows)
    largest = max((max(p.size) for line in loaded for p in line if p is not None), default=SIDES[0])
    side = max(SIDES[0], min(SIDES[1], largest))
    side = min(side, max(64, LONGEST_SIDE // (columns + 1)))
    shrunk = [[scaled(picture, side) for picture in line] for line in loaded]

    font = load_font(max(11, side // 15))
    small = load_font(max(10, side // 18))
    line, small_line = line_height(font), line_height(small)
    gap = max(6, side // 20)
    labels = [wrapped(row.label, font, side) for row in rows]
    gutter = max((font.getlength(text) for lines in labels for text in lines), default=0)
    left = gap + (int(gutter) + gap if gutter else 0)
    width = left + columns * (side + gap)
    titles = [[wrapped(p.title, font, side) for p in row.panels] for row in rows]
    notes = [[wrapped(p.note, small, side) for p in row.panels] for row in rows]
    heads = wrapped(heading, font, width - 2 * gap)

    def below(r: int) -> int:
        return max(
            line * len(t) + small_line * len(n) for t, n in zip(titles[r], notes[r], strict=True)
        )

    tall = [max((p.height for p in row if p is not None), default=side // 2) for row in shrunk]
    top = gap + (line * len(heads) + gap if heads else 0)
    height = top + sum(t + below(r) + gap + 2 for r, t in enumerate(tall))
    canvas = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(canvas)
    for i, text in enumerate(heads):
        pen.text((gap, gap + i * line), text, INK, font)
    for r, row in enumerate(shrunk):
        start = top + (tall[r] - line * len(labels[r])) // 2
        for i, text in enumerate(labels[r]):
            pen.text((gap, start + i * line), text, INK, font)
        for c, picture in enumerate(row):
            x = left + c * (side + gap)
            if picture is not None:
                canvas.paste(picture, (x + (side - picture.width) // 2, top))
            y = top + tall[r] + 2
            for texts, ink, face, step in (
                (titles[r][c], INK, font, line),
                (notes[r][c], MUTED, small, small_line),
            ):
                for text in texts:
                    pen.text((x + side // 2, y), text, ink, face, anchor="ma")
                    y += step
        top += tall[r] + below(r) + gap + 2
    return canvas


def opened(picture: Path | Image.Image | None) -> Image.Image | None:
    """A panel's picture in memory, on white where it is transparent."""
    if not isinstance(picture, Path):
        return picture
    return flattened(picture, max_pixels=MAX_PIXELS, at_least=2 * SIDES[1])


def scaled(picture: Image.Image | None, side: int) -> Image.Image | None:
    """A picture with its longest side at `side`."""
    if picture is None:
        return None
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def wrapped(text: str, font: Font, width: float) -> list[str]:
    """Text in lines that fit a width; broken after spaces, `+` and `,`, else anywhere."""
    lines: list[str] = []
    current = ""
    for piece in pieces(text.encode("utf-8", "replace").decode()):
        if current and font.getlength(current + piece.rstrip()) > width:
            lines.append(current.rstrip())
            current = ""
        while font.getlength(piece.rstrip()) > width and len(piece) > 1:
            fits = max(1, sum(font.getlength(piece[: n + 1]) <= width for n in range(len(piece))))
            lines.append(piece[:fits])
            piece = piece[fits:]
        current += piece
    return [*lines, current.rstrip()] if current.strip() else lines


def pieces(text: str) -> list[str]:
    """Text in the pieces between which a line may break."""
    found, start = [], 0
    for i, letter in enumerate(text):
        if letter in " +,":
            found.append(text[start : i + 1])
            start = i + 1
    return [*found, text[start:]]
