"""Pages that show large results from tiles, each where its tiles are. Imports no torch."""

import os
import threading
from pathlib import Path, PurePosixPath

from nst_lightning.drawing.thumbnails import is_current
from nst_lightning.drawing.tiles import TILE, levels, write_tiles
from nst_lightning.errors import UserError
from nst_lightning.files import check_inside, file_state, files_and_links, write_text
from nst_lightning.layout import PAGE, ZOOM_WHOLE, is_copy, is_film, zoom_folder
from nst_lightning.report.page import make_link, render
from nst_lightning.store.records import Record

ZOOM_FROM = 4096
"""A result whose longest side is larger has tiles: a browser would hold 4 bytes a pixel of it."""

_ONE_AT_A_TIME = threading.Lock()
"""Each may take much memory."""


def is_zoomed(record: Record) -> bool:
    """Returns whether a result is shown from tiles; a film is played."""
    if is_film(Path(record.output)):
        return False
    return max(record.resolved.width or 0, record.resolved.height or 0) > ZOOM_FROM


def has_zoom_page(out: Path, record: Record) -> bool:
    """Returns whether there is a page that shows a large result from its tiles."""
    return is_zoomed(record) and (out / zoom_folder(record.output) / PAGE).is_file()


def write_zoom_page(out: Path, record: Record) -> Path | None:
    """Sees that there are the tiles of a result and the page that shows them.

    The page is written last: where it is no older than the result, all is there.

    Returns:
        The result made small; None where the result cannot be read.

    Raises:
        OSError: something cannot be written.
    """
    original, folder = out / record.output, out / zoom_folder(record.output)
    page, whole = folder / PAGE, folder / ZOOM_WHOLE
    check_inside(out, folder)
    with _ONE_AT_A_TIME:
        if is_current(original, page):
            return whole
        _remove(out, folder)
        state = file_state(original)
        try:
            width, height = write_tiles(original, folder, max_pixels=record.max_pixels)
        except UserError:
            return None
        if file_state(original) != state:  # it was replaced meanwhile: the next report sees to it
            return whole
        data = {
            "width": width,
            "height": height,
            "tile": TILE,
            "levels": levels((width, height)),
            "back": _link(out / PAGE, folder),
            "file": _link(original, folder),
        }
        write_text(page, render(PurePosixPath(record.output).stem, data, "zoom"))
    return whole


def _link(path: Path, folder: Path) -> str:
    return make_link(Path(os.path.relpath(path, folder)).as_posix())


def remove_zoom_page(out: Path, record: Record) -> None:
    """Removes the page and the tiles of an earlier result, which was large, if there are any."""
    folder = out / zoom_folder(record.output)
    if folder.is_dir():
        _remove(out, folder)


def _remove(out: Path, folder: Path) -> None:
    """Removes what there is of an earlier result, the page first, so that nothing shows a half.

    Raises:
        OSError: a link leads out of the output folder.
    """
    check_inside(out, folder)
    files = [path for path in files_and_links(folder)[0] if is_copy(path.relative_to(out))]
    for path in sorted(files, key=lambda path: path.name != PAGE):
        path.unlink(missing_ok=True)
