"""The gallery: `index.html`, which shows a results folder without a network. Imports no torch."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from nst_lightning.drawing.thumbnails import Size, small_copy
from nst_lightning.errors import UserError
from nst_lightning.evaluation.table import read_evaluation
from nst_lightning.files import check_inside, exists, write_text
from nst_lightning.formats import (
    CLIP_SUFFIXES,
    MESH_SUFFIXES,
    RESULT_FORMATS,
    result_format,
    result_suffixes,
)
from nst_lightning.layout import (
    GALLERY_LARGE,
    GALLERY_RESULTS,
    GALLERY_THUMBNAILS,
    GALLERY_VIEWS,
    MANIFEST,
    PAGE,
    WRITTEN_BY_REPORTS,
    image_before,
    image_of,
)
from nst_lightning.report.gallery_data import InputCopies, gallery_data
from nst_lightning.report.page import render
from nst_lightning.report.zoom import is_zoomed, remove_zoom_page, write_zoom_page
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.output import check_links
from nst_lightning.store.records import Record

THUMBNAIL = 256
"""Longest side in pixels: the page's cells are 92 to 238 wide."""

VIEW = 1280
"""Longest side of the inputs' larger copies, so that the page can do without the originals, and of
those of results that no browser shows."""

_THREADS = 4  # Pillow frees the interpreter while it works; each may hold a large photograph

Watch = Callable[[int, int], None]


def write_gallery(out: Path, watch: Watch = lambda done, of: None) -> tuple[Path, dict[str, int]]:
    """Writes OUT/index.html and its thumbnails; what is up to date is not made again.

    Args:
        out: a results folder.
        watch: hears how many of how many images have been seen to.

    Returns:
        The page, and how many results it shows by state: `done`, `failed`, `missing`.

    Raises:
        UserError: the folder holds no manifest or no results, or links lead out of it.
        OSError: something cannot be written.
    """
    records = read_records(out)
    check_links(out, WRITTEN_BY_REPORTS)
    thumbnails, sources = make_copies(out, records, watch)
    data = gallery_data(
        out,
        records,
        lambda record: thumbnails.get(record.output),
        sources.__getitem__,
        read_evaluation(out, records),
    )
    page = out / PAGE
    write_text(page, render(out.resolve().name, data))
    states = [result["state"] for result in data["results"]]
    return page, {state: states.count(state) for state in ("done", "failed", "missing")}


def read_records(out: Path) -> list[Record]:
    """Returns the manifest's records, by output.

    Raises:
        UserError: there is no such folder, no manifest, or nothing in it.
    """
    if not out.is_dir():
        raise UserError(f"{out}: there is no such folder; name one that nst-batch has written.")
    if not (out / MANIFEST).is_file():
        raise UserError(
            f"{out}: holds no {MANIFEST}, so it is no results folder; name the --out of a run."
        )
    found = Ledger(out).read()
    records = [found[output] for output in sorted(found) if is_inside(output)]
    if not records:
        raise UserError(f"{out}: its {MANIFEST} names no results yet; run the grid first.")
    return records


def is_inside(output: str) -> bool:
    """Returns whether a recorded result lies in the folder, as all that nst-batch wrote do."""
    path = PurePosixPath(output)
    known = path.suffix in {*result_suffixes(), *MESH_SUFFIXES, *CLIP_SUFFIXES}
    return not path.is_absolute() and ".." not in path.parts and known


def make_copies(
    out: Path, records: list[Record], watch: Watch
) -> tuple[dict[str, Size | None], dict[str, InputCopies]]:
    """Makes thumbnails of all results, by output, and copies of all inputs, by path."""
    paths = {path: record for record in records for path in (record.content, record.style)}
    tasks: dict[tuple[str, str], Callable[[], Any]] = {
        ("source", path): partial(copy_input, out, path, record.max_pixels)
        for path, record in paths.items()
    }
    for record in records:
        shown = image_before(out / record.output)
        if shown is not None and shown.is_file():
            key = ("source", record.content)
            tasks[key] = partial(copy_input, out, record.content, record.max_pixels, shown)
    for record in records:
        if record.has_result and (out / record.output).is_file():
            key = ("result", record.output)
            tasks[key] = partial(copy_result, out, record)
    copies = {}
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        waiting = {pool.submit(task): key for key, task in tasks.items()}
        try:
            for count, future in enumerate(as_completed(waiting), start=1):
                copies[waiting[future]] = future.result()
                watch(count, len(tasks))
        except BaseException:  # a full disk, Ctrl-C: the others need not be tried
            pool.shutdown(cancel_futures=True)
            raise
    thumbnails = {name: size for (kind, name), size in copies.items() if kind == "result"}
    return thumbnails, {name: copy for (kind, name), copy in copies.items() if kind == "source"}


def copy_result(out: Path, record: Record) -> Size | None:
    """Makes the thumbnail of a result; of one that the page does not show itself a larger copy too,
    and of a large one the page that does."""
    output, result = record.output, image_of(out / record.output)
    copy = out / GALLERY_RESULTS / f"{output.removesuffix('.png')}.jpg"
    check_inside(out, copy.parent)
    if is_zoomed(record):
        whole = write_zoom_page(out, record)
        if whole is None:
            return None
        result = whole  # reading the result once is enough
    else:
        remove_zoom_page(out, record)
    format = result_format(Path(output))
    if is_zoomed(record) or (format is not None and not RESULT_FORMATS[format].in_browsers):
        large = out / GALLERY_LARGE / f"{output}.jpg"
        check_inside(out, large.parent)
        small_copy(result, large, VIEW, max_pixels=record.max_pixels)
    return small_copy(result, copy, THUMBNAIL, max_pixels=record.max_pixels)


def copy_input(out: Path, path: str, max_pixels: int, shown: Path | None = None) -> InputCopies:
    """Makes both copies of an input. They outlast the original, and move with the folder.

    Args:
        out: the results folder.
        path: of the input, as recorded.
        max_pixels: an image of more is not opened.
        shown: the image that shows it; by default itself.
    """
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16] + ".jpg"
    if not path:
        return InputCopies(name, None, None, False)
    original, view = out / path, out / GALLERY_VIEWS / name
    size = small_copy(shown or original, view, VIEW, max_pixels=max_pixels)
    thumbnail = None
    if size is not None:
        thumb = out / GALLERY_THUMBNAILS / name
        thumbnail = small_copy(view, thumb, THUMBNAIL, max_pixels=max_pixels)
    return InputCopies(name, thumbnail, size, exists(original))
