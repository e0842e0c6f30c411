"""Which files of an output folder nst-batch made. Imports no torch."""

import re
from collections.abc import Iterator
from pathlib import Path

from nst_lightning.errors import UserError
from nst_lightning.grid.blends import FOLDER as BLENDS
from nst_lightning.layout import MANIFEST, STATE
from nst_lightning.report.swatch import is_swatch
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.output import SETTINGS, record_in_picture

REPORTS = re.compile(
    r"grid(-\d+)?\.png|(figure|curves)(-.+)?\.png|(results|seeds|evaluation)\.csv|index\.html"
)
"""What reports are called, in an output folder and in the folders of its contents."""

COURSE = re.compile(
    r"step-\d{4,}\.png|history\.csv|curves\.png|progress\.(gif|mp4|webp)|last-good\.png"
)
"""What stands in the folder of one result."""

OWN = (SETTINGS, "sweep.yaml", MANIFEST, ".manifest.lock")


def made_files(out: Path) -> list[Path]:
    """The files that nst-batch made in an output folder, the manifest last.

    A result counts only where it carries the record that nst-batch writes into its pictures, so
    that a picture put in its place is not taken for one.

    Raises:
        UserError: it is not an output folder of nst-batch.
    """
    if not (out / MANIFEST).is_file():
        raise UserError(f"{out}: holds no {MANIFEST}, so it is not an output folder of nst-batch.")
    found = dict.fromkeys(results(out))
    folders = {folder for path in found for folder in path.parents if out in folder.parents}
    for folder in sorted({out, *folders}):
        if folder.is_dir():
            found |= dict.fromkeys(sorted(p for p in folder.iterdir() if REPORTS.fullmatch(p.name)))
    found |= dict.fromkeys(sorted((out / "gallery").rglob("*.jpg")))
    found |= dict.fromkeys(sorted(filter(is_swatch, (out / BLENDS).glob("*.png"))))
    found |= dict.fromkeys(sorted((out / STATE).rglob("*")))
    found |= dict.fromkeys(out / name for name in OWN)
    return [path for path in found if path.is_file()]


def results(out: Path) -> Iterator[Path]:
    """The results in the manifest, with the files beside and below each."""
    for name, record in Ledger(out).read().items():
        picture = out / name
        if out.resolve() not in picture.resolve().parents:
            continue
        ours = picture.is_file() and record_in_picture(picture) is not None
        if ours:
            yield from (picture, picture.with_suffix(".yaml"))
        if ours or record["status"] != "done":
            extras = picture.with_suffix("")
            if extras.is_dir():
                yield from sorted(p for p in extras.iterdir() if COURSE.fullmatch(p.name))
