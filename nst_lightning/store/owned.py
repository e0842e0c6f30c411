"""Which files of an output folder nst-batch made. Imports no torch."""

from collections.abc import Iterator
from pathlib import Path

from nst_lightning.drawing.swatch import is_swatch
from nst_lightning.errors import UserError
from nst_lightning.layout import (
    BLENDS,
    GALLERY,
    MANIFEST,
    OF_THE_FOLDER,
    STATE,
    is_extra,
    is_report,
    own_folder,
    settings_beside,
)
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.output import record_in_picture


def owned_files(out: Path) -> list[Path]:
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
            found |= dict.fromkeys(sorted(p for p in folder.iterdir() if is_report(p.name)))
    found |= dict.fromkeys(sorted((out / GALLERY).rglob("*.jpg")))
    found |= dict.fromkeys(sorted(filter(is_swatch, (out / BLENDS).glob("*.png"))))
    found |= dict.fromkeys(sorted((out / STATE).rglob("*")))
    found |= dict.fromkeys(out / name for name in OF_THE_FOLDER)
    return [path for path in found if path.is_file()]


def results(out: Path) -> Iterator[Path]:
    """The results in the manifest, with the files beside and below each."""
    for name, record in Ledger(out).read().items():
        picture = out / name
        if out.resolve() not in picture.resolve().parents:
            continue
        ours = picture.is_file() and record_in_picture(picture) is not None
        if ours:
            yield from (picture, settings_beside(picture))
        if ours or record.status != "done":
            extras = own_folder(picture)
            if extras.is_dir():
                yield from sorted(p for p in extras.iterdir() if is_extra(p.name))
