"""Contact sheets of a grid: contents down, styles across. Imports no torch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from nst_lightning.imaging.encoding import save_image
from nst_lightning.layout import sheet_name, sheet_page
from nst_lightning.report.panels import Panel, Row, draw_page

PAGE_CELLS = 600
"""Results on one page at most."""

_PAGE_COLUMNS = 40  # when there is more than one page: wider ones are strips
_PAGE_SIDE = 4200  # pixels that a large page aims at
_CELL_SIDES = (112, 320)  # pixels, of the smallest and the largest cell


@dataclass(frozen=True)
class _Page:
    rows: range
    columns: range


def contact_sheet(
    out: Path,
    rows: Sequence[tuple[str, Path]],
    columns: Sequence[tuple[str, Path]],
    cell: Callable[[int, int], Panel],
    *,
    max_pixels: int,
) -> list[Path]:
    """Writes grid.png, above 600 cells also grid-2.png and so on, and removes pages beyond.

    An image that cannot be read becomes a cell that says so. Images are opened one at a time.

    Args:
        out: the folder that gets the pages.
        rows: (label, image) of each content.
        columns: (label, image) of each style.
        cell: what to show at (row, column).
        max_pixels: images of more pixels are not opened.

    Returns:
        The pages, in order; none for an empty grid.

    Raises:
        OSError: a page cannot be written.
    """
    pages = _pages(len(rows), len(columns))
    written = []
    for number, page in enumerate(pages, start=1):
        path = out / sheet_name(number)
        save_image(path, _draw(page, pages[0], rows, columns, cell, max_pixels), "PNG")
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
    """Yields 0 ... count in parts of nearly equal length, the longest first, none above `most`."""
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


def _draw(
    page: _Page,
    largest: _Page,
    rows: Sequence[tuple[str, Path]],
    columns: Sequence[tuple[str, Path]],
    cell: Callable[[int, int], Panel],
    max_pixels: int,
) -> Image.Image:
    """Draws one page, with cells of one size on all pages."""
    most = max(len(largest.rows), len(largest.columns)) + 1
    least, greatest = _CELL_SIDES
    side = min(max(_PAGE_SIDE // most, least), greatest)
    styles = [Panel(columns[j][1], columns[j][0]) for j in page.columns]
    lines = [Row("", [Panel(None, note="contents ↓ styles →"), *styles])]
    for i in page.rows:
        label, content = rows[i]
        lines.append(Row("", [Panel(content, label), *(cell(i, j) for j in page.columns)]))
    return draw_page(lines, side, max_pixels=max_pixels, title_lines=1, headed=True)
