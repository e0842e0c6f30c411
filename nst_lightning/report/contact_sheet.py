"""Contact sheets of a grid: contents down, styles across. Imports no torch."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from nst_lightning.drawing.font import Font, line_height, load_font
from nst_lightning.drawing.thumbnails import flattened
from nst_lightning.errors import UserError
from nst_lightning.files import atomic_file
from nst_lightning.imaging.header import picture_size
from nst_lightning.layout import sheet_name, sheet_page

PAGE_CELLS = 600
"""Results on one page at most."""

_PAGE_COLUMNS = 40  # when there is more than one page: wider ones are strips
_PAGE_SIDE = 4200  # pixels that a large page aims at
_CELL_SIDES = (112, 320)  # pixels, of the smallest and the largest cell
_FLATTEST = 0.4  # a row is at least this high, as a part of its width

_LONGEST = 200  # characters: no cell is wide enough for more

_PAPER = (247, 246, 243)
_CELL = (236, 235, 231)
_INK = (40, 40, 44)
_MUTED = (120, 120, 126)
_FAILED, _FAILED_EDGE, _FAILED_INK = (250, 226, 222), (196, 92, 80), (140, 36, 28)

_Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Cell:
    """What stands at one place of the grid."""

    path: Path | None
    """A picture file, or None where there is none to show."""

    note: str = ""
    """Said below the picture, or in place of it: "failed", say."""


@dataclass(frozen=True)
class _Page:
    rows: range
    columns: range


def contact_sheet(
    out: Path,
    rows: Sequence[tuple[str, Path]],
    columns: Sequence[tuple[str, Path]],
    cell: Callable[[int, int], Cell],
    *,
    max_pixels: int,
) -> list[Path]:
    """Writes grid.png, above 600 cells also grid-2.png and so on, and removes pages beyond.

    A picture that cannot be read becomes a cell that says so. Pictures are opened one at a time.

    Args:
        out: the folder that gets the pages.
        rows: (label, picture) of each content.
        columns: (label, picture) of each style.
        cell: what to show at (row, column).
        max_pixels: pictures of more pixels are not opened.

    Returns:
        The pages, in order; none for an empty grid.

    Raises:
        OSError: a page cannot be written.
    """
    pages = _pages(len(rows), len(columns))
    written = []
    for number, page in enumerate(pages, start=1):
        path = out / sheet_name(number)
        data = io.BytesIO()
        _Sheet(page, pages[0], rows, columns, max_pixels).draw(cell).save(data, "PNG")
        with atomic_file(path) as file:
            file.write(data.getbuffer())
        written.append(path)
    _remove_pages_beyond(out, len(pages))
    return written


def _pages(rows: int, columns: int) -> list[_Page]:
    if rows == 0 or columns == 0:
        return []
    if rows * columns <= PAGE_CELLS:
        return [_Page(range(rows), range(columns))]
    across = list(_split(columns, _PAGE_COLUMNS))
    down = _split(rows, PAGE_CELLS // len(across[0]))
    return [_Page(some_rows, some_columns) for some_rows in down for some_columns in across]


def _split(count: int, most: int) -> Iterator[range]:
    """0 ... count in parts of nearly equal length, the longest first, none above `most`."""
    parts = -(-count // most)
    start = 0
    for part in range(parts):
        length = count // parts + (part < count % parts)
        yield range(start, start + length)
        start += length


def _remove_pages_beyond(out: Path, last: int) -> None:
    for path in out.glob("grid-*.png"):
        if (sheet_page(path.name) or 0) > max(last, 1):
            with suppress(OSError):
                path.unlink()


class _Sheet:
    """One page as it is drawn."""

    def __init__(
        self,
        page: _Page,
        largest: _Page,
        rows: Sequence[tuple[str, Path]],
        columns: Sequence[tuple[str, Path]],
        max_pixels: int,
    ) -> None:
        self.page = page
        self.rows, self.columns = rows, columns
        self.max_pixels = max_pixels
        # By the largest page, so that all pages have cells of one size.
        most = max(len(largest.rows), len(largest.columns)) + 1
        least, greatest = _CELL_SIDES
        self.side = min(max(_PAGE_SIDE // most, least), greatest)
        self.gap = max(4, self.side // 24)
        self.font = load_font(max(12, min(18, self.side // 10)))
        self.label = line_height(self.font) + 4

    def draw(self, cell: Callable[[int, int], Cell]) -> Image.Image:
        notes = {(i, j): cell(i, j) for i in self.page.rows for j in self.page.columns}
        head = max(self._height(self.columns[j][1]) for j in self.page.columns)
        heights = {i: self._height(self.rows[i][1]) for i in self.page.rows}
        step = self.side + self.gap
        width = step * (len(self.page.columns) + 1) + self.gap * 2
        height = self.gap * 3 + sum(h + self.label + self.gap for h in (head, *heights.values()))
        self.image = Image.new("RGB", (width, height), _PAPER)
        self.pen = ImageDraw.Draw(self.image)

        top = self.gap
        self._corner((self.gap, top, self.gap + self.side, top + head + self.label))
        # The headers stand a little apart from the results.
        lefts = {j: self.gap * 2 + step * n for n, j in enumerate(self.page.columns, start=1)}
        for j, left in lefts.items():
            label, path = self.columns[j]
            self._header((left, top, left + self.side, top + head), label, path)
        top += head + self.label + self.gap * 2
        for i in self.page.rows:
            label, path = self.rows[i]
            box = (self.gap, top, self.gap + self.side, top + heights[i])
            self._header(box, label, path)
            for j, left in lefts.items():
                self._result((left, top, left + self.side, top + heights[i]), notes[i, j])
            top += heights[i] + self.label + self.gap
        return self.image

    def _height(self, path: Path) -> int:
        """How high a row must be for this picture: as its aspect wants, at most square."""
        try:
            height, width = picture_size(path, max_pixels=self.max_pixels)
        except UserError:
            return self.side
        return round(self.side * min(1.0, max(_FLATTEST, height / width)))

    def _corner(self, box: _Box) -> None:
        left, top, right, bottom = box
        inset, line = self.gap, line_height(self.font)
        self.pen.line((left, top, right, bottom), fill=_CELL, width=2)
        self.pen.text((right - inset, top + inset), "styles", _MUTED, self.font, anchor="ra")
        place = (left + inset, bottom - inset - line)
        self.pen.text(place, "contents", _MUTED, self.font, anchor="la")

    def _header(self, box: _Box, label: str, path: Path) -> None:
        self._picture(box, path)
        self._caption(box, label, _INK)

    def _result(self, box: _Box, cell: Cell) -> None:
        if cell.path is None:
            self._failure(box, cell.note or "missing")
        elif self._picture(box, cell.path) and cell.note:
            self._caption(box, cell.note, _FAILED_INK)

    def _picture(self, box: _Box, path: Path) -> bool:
        """Draws a picture, or says that it cannot be read; whether it could."""
        left, top, right, bottom = box
        try:
            thumbnail = _thumbnail(path, (right - left, bottom - top), self.max_pixels)
        except UserError:
            self._failure(box, "cannot be read" if path.exists() else "no such file")
            return False
        self.pen.rectangle((left, top, right - 1, bottom - 1), fill=_CELL)
        x = left + (right - left - thumbnail.width) // 2
        y = top + (bottom - top - thumbnail.height) // 2
        self.image.paste(thumbnail, (x, y))
        return True

    def _caption(self, box: _Box, text: str, ink: tuple[int, int, int]) -> None:
        left, _, right, bottom = box
        text = _elided(" ".join(_drawable(text).split()), self.font, right - left)
        self.pen.text(((left + right) // 2, bottom + 2), text, ink, self.font, anchor="ma")

    def _failure(self, box: _Box, note: str) -> None:
        left, top, right, bottom = box
        self.pen.rectangle((left, top, right - 1, bottom - 1), _FAILED, _FAILED_EDGE, width=2)
        inset, line = self.gap + 2, line_height(self.font)
        most = max(1, (bottom - top - 2 * inset) // line)
        lines = _wrapped(_drawable(note), self.font, right - left - 2 * inset, most)
        y = (top + bottom - line * len(lines)) // 2
        for text in lines:
            place = ((left + right) // 2, y)
            self.pen.text(place, text, _FAILED_INK, self.font, anchor="ma")
            y += line


def _thumbnail(path: Path, room: tuple[int, int], max_pixels: int) -> Image.Image:
    """A picture scaled to touch the sides of a (width, height), on white where transparent.

    Raises:
        UserError: it cannot be read.
    """
    picture = flattened(path, max_pixels=max_pixels, at_least=2 * max(room))
    scale = min(room[0] / picture.width, room[1] / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _drawable(text: str) -> str:
    """Text without the lone surrogates of a file name that is not UTF-8, which no font takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _elided(text: str, font: Font, width: int) -> str:
    """Text that fits the width: the middle gives way, for names differ at their ends."""
    if font.getlength(text) <= width:
        return text
    for kept in range(min(len(text) - 1, _LONGEST), 1, -1):
        shorter = f"{text[: (kept + 1) // 2].rstrip()}…{text[-(kept // 2) :].lstrip()}"
        if font.getlength(shorter) <= width:
            return shorter
    return "…"


def _wrapped(text: str, font: Font, width: int, most: int) -> list[str]:
    """Text in lines that fit the width, at most so many of them."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} …"]
    return [_elided(line, font, width) for line in lines]
