"""Contact sheets: everything in its place, on as many pages as it takes, whatever is broken."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_lightning.report.contact_sheet import contact_sheet
from nst_lightning.report.panels import Panel

LIMIT = 10**7
Named = list[tuple[str, Path]]


def flat(path: Path, colour: tuple[int, ...], size: tuple[int, int] = (20, 20)) -> Path:
    Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour).save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image).astype(int)


def box(sheet: np.ndarray, colour: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what has this very colour."""
    rows, columns = np.nonzero((sheet == colour[:3]).all(-1))
    assert len(rows), f"{colour} is not on the sheet"
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def sides(folder: Path, rows: int, columns: int) -> tuple[Named, Named]:
    """Contents in shades of red, styles in shades of green."""
    contents = [(f"c{i}", flat(folder / f"c{i}.png", (255 - i, 0, 0))) for i in range(rows)]
    styles = [(f"s{j}", flat(folder / f"s{j}.png", (0, 255 - j, 0))) for j in range(columns)]
    return contents, styles


def shows(path: Path | None, failure: str = "") -> Panel:
    return Panel(path, failure=failure or ("missing" if path is None else ""))


def nothing(i: int, j: int) -> Panel:
    return shows(None, "failed")


def test_contents_go_down_and_styles_across(tmp_path: Path) -> None:
    contents, styles = sides(tmp_path, 2, 3)
    results = {
        (i, j): flat(tmp_path / f"{i}{j}.png", (i * 40, j * 40, 200))
        for i in range(2)
        for j in range(3)
    }
    out = tmp_path / "out"
    written = contact_sheet(
        out, contents, styles, lambda i, j: shows(results[i, j]), max_pixels=LIMIT
    )
    assert written == [out / "grid.png"]
    sheet = pixels(out / "grid.png")
    heads = [box(sheet, (0, 255 - j, 0)) for j in range(3)]
    for i in range(2):
        content = box(sheet, (255 - i, 0, 0))
        for j in range(3):
            result = box(sheet, (i * 40, j * 40, 200))
            assert (result[0], result[2]) == (heads[j][0], heads[j][2])
            assert (result[1], result[3]) == (content[1], content[3])
            assert result[2] - result[0] == result[3] - result[1] >= 100
            assert content[2] < result[0]
            assert heads[j][3] < result[1]
    assert heads[0][2] < heads[1][0] < heads[1][2] < heads[2][0]
    assert box(sheet, (255, 0, 0))[3] < box(sheet, (254, 0, 0))[1]


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (400, 30), (1000, 700), (3, 2), (1, 1)])
def test_thumbnails_keep_their_aspect_in_the_middle_of_their_cell(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    contents, styles = sides(tmp_path, 1, 1)
    result = flat(tmp_path / "r.png", (0, 0, 200), size)
    contact_sheet(tmp_path, contents, styles, lambda i, j: shows(result), max_pixels=LIMIT)
    sheet = pixels(tmp_path / "grid.png")
    cell, style = box(sheet, (255, 0, 0)), box(sheet, (0, 255, 0))
    left, top, right, bottom = box(sheet, (0, 0, 200))
    assert abs((right - left) * size[1] / size[0] - (bottom - top)) <= 1
    assert max((right - left) / (style[2] - style[0]), (bottom - top) / (cell[3] - cell[1])) == 1
    assert abs((left + right) - (style[0] + style[2])) <= 1
    assert abs((top + bottom) - (cell[1] + cell[3])) <= 1


def test_transparent_images_stand_on_white(tmp_path: Path) -> None:
    contents, styles = sides(tmp_path, 1, 1)
    clear = flat(tmp_path / "r.png", (0, 0, 200, 0))
    half = flat(tmp_path / "h.png", (0, 0, 200, 51))
    contact_sheet(tmp_path, contents, styles, lambda i, j: shows(clear), max_pixels=LIMIT)
    sheet = pixels(tmp_path / "grid.png")
    content, style = box(sheet, (255, 0, 0)), box(sheet, (0, 255, 0))
    assert box(sheet, (255, 255, 255)) == (style[0], content[1], style[2], content[3])
    contact_sheet(tmp_path, contents, styles, lambda i, j: shows(half), max_pixels=LIMIT)
    box(pixels(tmp_path / "grid.png"), (204, 204, 244))


def test_images_are_upright(tmp_path: Path) -> None:
    contents, styles = sides(tmp_path, 1, 1)
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored left is to be seen on top
    image = Image.new("RGB", (40, 40), (0, 0, 200))
    image.paste((200, 0, 200), (0, 0, 20, 40))
    image.save(tmp_path / "r.png", exif=exif)
    contact_sheet(
        tmp_path, contents, styles, lambda i, j: shows(tmp_path / "r.png"), max_pixels=LIMIT
    )
    sheet = pixels(tmp_path / "grid.png")
    assert box(sheet, (200, 0, 200))[3] < box(sheet, (0, 0, 200))[3]


def test_deep_gray_is_shown(tmp_path: Path) -> None:
    contents, styles = sides(tmp_path, 1, 1)
    Image.new("I;16", (20, 20), 100 * 257).save(tmp_path / "r.png")
    contact_sheet(
        tmp_path, contents, styles, lambda i, j: shows(tmp_path / "r.png"), max_pixels=LIMIT
    )
    box(pixels(tmp_path / "grid.png"), (100, 100, 100))


def drawn(folder: Path, cell: Panel) -> np.ndarray:
    contents, styles = sides(folder, 1, 1)
    contact_sheet(folder, contents, styles, lambda i, j: cell, max_pixels=LIMIT)
    return pixels(folder / "grid.png")


def test_a_failed_cell_is_plain_to_see_and_says_why(tmp_path: Path) -> None:
    failed, missing = drawn(tmp_path, shows(None, "failed")), drawn(tmp_path, shows(None))
    rows, columns = np.nonzero((failed != missing).any(-1))  # the words alone
    content, style = box(failed, (255, 0, 0)), box(failed, (0, 255, 0))
    assert style[0] < columns.min()
    assert columns.max() < style[2]
    assert content[1] < rows.min()
    assert rows.max() < content[3]
    inside = failed[content[1] : content[3], style[0] : style[2]].reshape(-1, 3)
    ground = np.median(inside, axis=0)
    assert ground[0] > ground[2] + 15, "a failed cell is reddish"
    assert (np.abs(inside - ground).sum(-1) > 200).sum() > 50, "its words stand out"


@pytest.mark.parametrize("note", ["loss " * 300, "x" * 2000, "two\nlines", "\udcff", " "])
def test_any_note_stays_inside_its_cell(tmp_path: Path, note: str) -> None:
    plain, noted = drawn(tmp_path, shows(None, "failed")), drawn(tmp_path, shows(None, note))
    rows, columns = np.nonzero((plain != noted).any(-1))
    content, style = box(plain, (255, 0, 0)), box(plain, (0, 255, 0))
    assert style[0] < columns.min()
    assert columns.max() < style[2]
    assert content[1] < rows.min()
    assert rows.max() < content[3]


def test_a_note_stands_below_its_image(tmp_path: Path) -> None:
    result = flat(tmp_path / "r.png", (0, 0, 200))
    plain, noted = drawn(tmp_path, shows(result)), drawn(tmp_path, shows(result, "last good"))
    rows, columns = np.nonzero((plain != noted).any(-1))
    left, _, right, bottom = box(plain, (0, 0, 200))
    assert rows.min() >= bottom
    assert left <= columns.min()
    assert columns.max() < right


def test_what_cannot_be_read_becomes_a_cell(tmp_path: Path) -> None:
    contents, styles = sides(tmp_path, 3, 2)
    broken = tmp_path / "broken.png"
    broken.write_bytes(contents[0][1].read_bytes()[:60])
    (tmp_path / "empty.png").write_bytes(b"")
    contents[1], styles[1] = ("c1", broken), ("s1", tmp_path / "absent.png")
    good = flat(tmp_path / "good.png", (0, 0, 200))
    huge = flat(tmp_path / "huge.png", (0, 0, 100), (4000, 3000))
    cells = {
        (0, 0): good, (0, 1): broken, (1, 0): tmp_path / "empty.png", (1, 1): tmp_path,
        (2, 0): tmp_path / "absent.png", (2, 1): huge,
    }  # fmt: skip
    contact_sheet(tmp_path, contents, styles, lambda i, j: shows(cells[i, j]), max_pixels=LIMIT)
    sheet = pixels(tmp_path / "grid.png")
    for colour in ((255, 0, 0), (253, 0, 0), (0, 255, 0), (0, 0, 200)):
        box(sheet, colour)
    assert not (sheet == (0, 0, 100)).all(-1).any(), "an image above the limit was opened"


@pytest.mark.parametrize("side", ["row", "column"])
def test_long_labels_lose_their_middle(tmp_path: Path, side: str) -> None:
    def sheet(label: str) -> np.ndarray:
        contents, styles = sides(tmp_path, 2, 2)
        named = contents if side == "row" else styles
        named[0] = (label, named[0][1])
        contact_sheet(tmp_path, contents, styles, nothing, max_pixels=LIMIT)
        return pixels(tmp_path / "grid.png")

    start, end = "abcdefghijklmnop" * 3, "qrstuvwxyz123456" * 3
    whole = sheet(start + "-" * 40 + end)
    assert np.array_equal(whole, sheet(start + "+" * 40 + end))
    assert not np.array_equal(whole, sheet("X" + start[1:] + "-" * 40 + end))
    assert not np.array_equal(whole, sheet(start + "-" * 40 + end[:-1] + "X"))
    # Neither does it run beyond its column.
    _, columns = np.nonzero((whole != sheet("")).any(-1))
    image = box(whole, (255, 0, 0) if side == "row" else (0, 255, 0))
    assert image[0] <= columns.min()
    assert columns.max() < image[2]


@pytest.mark.parametrize("label", ["\udcff\udcfe", "", "日本", "a\nb"])
def test_any_label_can_be_drawn(tmp_path: Path, label: str) -> None:
    contents, styles = sides(tmp_path, 1, 1)
    contents[0] = (label, contents[0][1])
    contact_sheet(tmp_path, contents, styles, nothing, max_pixels=LIMIT)
    box(pixels(tmp_path / "grid.png"), (255, 0, 0))


def letter_height(folder: Path, rows: int, columns: int) -> int:
    """How high the label "H" of the first style stands, in pixels."""

    def sheet(label: str) -> np.ndarray:
        contents, styles = sides(folder, rows, columns)
        contact_sheet(
            folder, contents, [(label, styles[0][1]), *styles[1:]], nothing, max_pixels=LIMIT
        )
        return pixels(folder / "grid.png")

    rows_of_ink, _ = np.nonzero((sheet("H") != sheet("")).any(-1))
    return int(rows_of_ink.max() - rows_of_ink.min() + 1)


@pytest.mark.parametrize(
    ("rows", "columns", "letters", "cells"), [(2, 2, 13, 300), (20, 30, 9, 110)]
)
def test_small_and_large_grids_are_legible_on_one_page(
    tmp_path: Path, rows: int, columns: int, letters: int, cells: int
) -> None:
    assert letter_height(tmp_path, rows, columns) >= letters
    sheet = pixels(tmp_path / "grid.png")
    left, _, right, _ = box(sheet, (255, 0, 0))
    assert right - left >= cells
    assert max(sheet.shape) < 5000
    assert sorted(tmp_path.glob("grid*")) == [tmp_path / "grid.png"]


def shown(folder: Path, rows: int, columns: int) -> list[set[tuple[int, int]]]:
    """The places of the grid on each page, as they were asked for; headers are looked for."""
    source = folder / "in"
    source.mkdir()
    red, green = flat(source / "c.png", (255, 0, 0)), flat(source / "s.png", (0, 255, 0))
    pages: list[set[tuple[int, int]]] = []

    def cell(i: int, j: int) -> Panel:
        # A page is on disk before the next one is begun.
        while len(pages) <= len(list(folder.glob("grid*.png"))):
            pages.append(set())
        pages[-1].add((i, j))
        return shows(None)

    contents = [(f"c{i}", red) for i in range(rows)]
    styles = [(f"s{j}", green) for j in range(columns)]
    written = contact_sheet(folder, contents, styles, cell, max_pixels=LIMIT)
    names = ["grid.png", *(f"grid-{n}.png" for n in range(2, len(pages) + 1))]
    assert written == [folder / name for name in names]
    for path in written:
        sheet = pixels(path)
        box(sheet, (255, 0, 0))
        box(sheet, (0, 255, 0))
    return pages


@pytest.mark.parametrize(
    ("rows", "columns", "count"), [(30, 20, 1), (31, 20, 2), (4, 151, 4), (16, 80, 4)]
)
def test_pages(tmp_path: Path, rows: int, columns: int, count: int) -> None:
    pages = shown(tmp_path, rows, columns)
    assert len(pages) == count
    assert all(len(page) <= 600 for page in pages)
    assert sum(len(page) for page in pages) == rows * columns
    assert set().union(*pages) == {(i, j) for i in range(rows) for j in range(columns)}


def test_pages_of_an_earlier_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    contents, styles = sides(tmp_path, 1, 1)
    kept = ["grid-1.png", "grid-old.png", "grid-02.png", "other-2.png", "grid-2.jpg"]
    for name in [*kept, "grid-2.png", "grid-13.png"]:
        (tmp_path / name).write_bytes(b"")
    contact_sheet(tmp_path, contents, styles, nothing, max_pixels=LIMIT)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*kept, "grid.png", "c0.png", "s0.png"}


def test_an_empty_grid_has_no_page(tmp_path: Path) -> None:
    contents, _ = sides(tmp_path, 1, 1)
    assert contact_sheet(tmp_path, contents, [], nothing, max_pixels=LIMIT) == []
    assert contact_sheet(tmp_path, [], contents, nothing, max_pixels=LIMIT) == []


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    contents, styles = sides(tmp_path, 1, 1)
    (tmp_path / "grid.png").write_bytes(b"old")

    def fails(i: int, j: int) -> Panel:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        contact_sheet(tmp_path, contents, styles, fails, max_pixels=LIMIT)
    assert (tmp_path / "grid.png").read_bytes() == b"old"
