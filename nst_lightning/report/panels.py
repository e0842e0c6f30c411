"""A page of labelled images, in rows, each with lines below it. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from nst_lightning.drawing.font import Font, line_height, load_font
from nst_lightning.errors import UserError
from nst_lightning.imaging.decoding import decode_on_white
from nst_lightning.imaging.metadata import image_size

FLATTEST = 0.4
"""A row is at least this high, as a part of its width, so that a sentence fits."""

PAPER, GROUND = (247, 246, 243), (236, 235, 231)
INK, MUTED = (40, 40, 44), (110, 110, 116)
FAILED, FAILED_EDGE, FAILED_INK = (250, 226, 222), (196, 92, 80), (140, 36, 28)

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True)
class Panel:
    """An image, or an empty place, and what stands below it."""

    image: Path | Image.Image | None
    title: str = ""
    note: str = ""
    failure: str = ""
    """Said in red: in place of the image where there is none, else below it."""


@dataclass(frozen=True)
class Row:
    """Panels side by side, with a label before them."""

    label: str
    panels: Sequence[Panel]


def draw_page(
    rows: Sequence[Row],
    side: int,
    *,
    max_pixels: int,
    heading: str = "",
    title_lines: int | None = None,
    headed: bool = False,
) -> Image.Image:
    """Draws panels on a page, in RGB. Image files are opened one at a time.

    An image that cannot be read becomes a panel that says so.

    Args:
        rows: from top to bottom.
        side: of the square that an image touches from inside, in pixels.
        max_pixels: image files of more pixels are not opened.
        heading: above all.
        title_lines: lines of a panel's title at most, for which there is always room; None sets
            no limit.
        headed: whether the first row and column stand a little apart.
    """
    page = _Page(rows, side, max_pixels, heading, title_lines, headed)
    page.draw()
    return page.image


class _Page:
    def __init__(
        self,
        rows: Sequence[Row],
        side: int,
        max_pixels: int,
        heading: str,
        title_lines: int | None,
        headed: bool,
    ) -> None:
        self.rows, self.side, self.max_pixels = rows, side, max_pixels
        self.gap = max(4, side // 24)
        self.apart = self.gap if headed else 0
        self.font = load_font(max(12, min(20, side // 15)))
        self.small = load_font(max(10, min(17, side // 18)))
        self.labels = [wrap_text(row.label, self.font, side) for row in rows]
        longest = max(
            (self.font.getlength(text) for part in self.labels for text in part), default=0
        )
        self.left = self.gap + (int(longest) + self.gap if longest else 0)
        columns = max(len(row.panels) for row in rows)
        width = self.left + columns * (side + self.gap) + self.apart
        self.heading = wrap_text(heading, self.font, width - 2 * self.gap)
        self.captions = [
            [self._caption(panel, title_lines) for panel in row.panels] for row in rows
        ]
        self.heights = [self._row_height(row) for row in rows]
        least = line_height(self.font) * (title_lines or 0)
        below = [max(least, *map(text_height, row)) + 2 for row in self.captions]
        self.steps = [h + b + self.gap for h, b in zip(self.heights, below, strict=True)]
        self.top = self.gap
        if self.heading:
            self.top += line_height(self.font) * len(self.heading) + self.gap
        self.image = Image.new("RGB", (width, self.top + sum(self.steps) + self.apart), PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def draw(self) -> None:
        self._write(self.heading, self.gap, self.gap, "la")
        top = self.top
        for r, row in enumerate(self.rows):
            bottom = top + self.heights[r]
            text_top = (top + bottom - line_height(self.font) * len(self.labels[r])) // 2
            self._write(self.labels[r], self.gap, text_top, "la")
            for c, panel in enumerate(row.panels):
                left = self.left + c * (self.side + self.gap) + (self.apart if c else 0)
                self._panel(panel, (left, top, left + self.side, bottom))
                y = bottom + 2
                for text, ink, font in self.captions[r][c]:
                    self.pen.text((left + self.side // 2, y), text, ink, font, anchor="ma")
                    y += line_height(font)
            top += self.steps[r] + (0 if r else self.apart)

    def _row_height(self, row: Row) -> int:
        """Returns how high the images of a row are at this side."""
        sizes = [self._size(panel.image) for panel in row.panels]
        found = [round(h * min(self.side / w, self.side / h)) for w, h in filter(None, sizes)]
        return max(round(FLATTEST * self.side), max(found, default=self.side))

    def _size(self, image: Path | Image.Image | None) -> tuple[int, int] | None:
        """Returns (width, height) of an image; None where it cannot be read."""
        if not isinstance(image, Path):
            return None if image is None else image.size
        try:
            height, width = image_size(image, max_pixels=self.max_pixels)
        except UserError:
            return None
        return width, height

    def _caption(self, panel: Panel, title_lines: int | None) -> "list[Line]":
        """Returns the lines below a panel."""
        lines = wrap_text(panel.title, self.font, self.side, title_lines)
        caption = [(text, INK, self.font) for text in lines]
        caption += [
            (text, MUTED, self.small) for text in wrap_text(panel.note, self.small, self.side)
        ]
        if panel.image is not None:
            lines = wrap_text(panel.failure, self.font, self.side, 1)
            caption += [(text, FAILED_INK, self.font) for text in lines]
        return caption

    def _panel(self, panel: Panel, box: Box) -> None:
        left, top, right, bottom = box
        if panel.image is None:
            if panel.failure:
                self._failure(box, panel.failure)
            return
        try:
            thumbnail = self._thumbnail(panel.image, (right - left, bottom - top))
        except UserError:
            there = isinstance(panel.image, Path) and panel.image.exists()
            self._failure(box, "cannot be read" if there else "no such file")
            return
        self.pen.rectangle((left, top, right - 1, bottom - 1), fill=GROUND)
        x = left + (right - left - thumbnail.width) // 2
        y = top + (bottom - top - thumbnail.height) // 2
        self.image.paste(thumbnail, (x, y))

    def _thumbnail(self, image: Path | Image.Image, room: tuple[int, int]) -> Image.Image:
        """Returns an image scaled to touch the sides of (width, height), on white.

        Raises:
            UserError: it cannot be read.
        """
        if isinstance(image, Path):
            image = decode_on_white(image, max_pixels=self.max_pixels, at_least=2 * max(room))
        scale = min(room[0] / image.width, room[1] / image.height)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)

    def _failure(self, box: Box, reason: str) -> None:
        left, top, right, bottom = box
        self.pen.rectangle((left, top, right - 1, bottom - 1), FAILED, FAILED_EDGE, width=2)
        inset, line = self.gap + 2, line_height(self.font)
        most = max(1, (bottom - top - 2 * inset) // line)
        lines = wrap_text(reason, self.font, right - left - 2 * inset, most)
        y = (top + bottom - line * len(lines)) // 2
        self._write(lines, (left + right) // 2, y, "ma", FAILED_INK)

    def _write(self, lines: Sequence[str], x: int, y: int, anchor: str, ink: Colour = INK) -> None:
        for i, text in enumerate(lines):
            self.pen.text((x, y + i * line_height(self.font)), text, ink, self.font, anchor=anchor)


Line = tuple[str, Colour, Font]


def text_height(lines: Sequence[Line]) -> int:
    """Returns the height of lines below an image, in pixels."""
    return sum(line_height(font) for _, _, font in lines)


def wrap_text(text: str, font: Font, width: float, most: int | None = None) -> list[str]:
    """Returns text in lines that fit a width, at most so many: the middle of the last gives way.

    Lines break after spaces, `+` and `,`, else anywhere. The lone surrogates of a file name that is
    not UTF-8, which no font takes, are replaced.
    """
    lines: list[str] = []
    current = ""
    for piece in split_pieces(" ".join(text.encode("utf-8", "replace").decode().split())):
        if current and font.getlength(current + piece.rstrip()) > width:
            lines.append(current)
            current = ""
        while font.getlength(piece.rstrip()) > width and len(piece) > 1:
            fits = 1
            while font.getlength(piece[: fits + 1]) <= width:
                fits += 1
            lines.append(piece[:fits])
            piece = piece[fits:]
        current += piece
    if current.strip():
        lines.append(current)
    if most is not None and len(lines) > most:
        lines[most - 1 :] = [elide_text("".join(lines[most - 1 :]).rstrip(), font, width)]
    return [line.rstrip() for line in lines]


def split_pieces(text: str) -> list[str]:
    """Returns text in the pieces between which a line may break."""
    found, start = [], 0
    for i, letter in enumerate(text):
        if letter in " +,":
            found.append(text[start : i + 1])
            start = i + 1
    return [*found, text[start:]]


LONGEST = 200
"""Characters of an elided text: no panel is wide enough for more."""


def elide_text(text: str, font: Font, width: float) -> str:
    """Returns text that fits the width: the middle gives way, for names differ at their ends."""
    if font.getlength(text) <= width:
        return text
    for kept in range(min(len(text) - 1, LONGEST), 1, -1):
        shorter = f"{text[: (kept + 1) // 2].rstrip()}…{text[-(kept // 2) :].lstrip()}"
        if font.getlength(shorter) <= width:
            return shorter
    return "…"
