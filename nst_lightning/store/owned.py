"""Which files of an output folder nst-batch made. Imports no torch."""

from contextlib import suppress
from pathlib import Path

from nst_lightning.drawing.swatch import is_swatch
from nst_lightning.errors import UserError
from nst_lightning.files import files_and_links
from nst_lightning.layout import (
    BLENDS,
    MANIFEST,
    OF_THE_FOLDER,
    STATE,
    is_copy,
    is_extra,
    is_kept_frame,
    is_report,
    own_folder,
    settings_beside,
)
from nst_lightning.store.expected import read_expected
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.output import record_in_image


def owned_files(out: Path) -> list[Path]:
    """Returns the files that nst-batch made in an output folder, the manifest last.

    A result counts only where it carries the record that nst-batch writes into its images, so that
    an image put in its place is not taken for one. Links do not count, nor what is behind them.

    Raises:
        UserError: it is not an output folder of nst-batch.
    """
    expected = _expected(out)
    if not (out / MANIFEST).is_file() and not expected:
        raise UserError(f"{out}: holds no {MANIFEST}, so it is not an output folder of nst-batch.")
    files, _ = files_and_links(out)
    there = set(files)
    results, own_folders, folders = set[Path](), set[Path](), {out}
    known = Ledger(out).read()
    for name, record in known.items():
        result = out / name
        carried = record_in_image(result) if result in there else None
        ours = carried is not None
        if carried is not None:
            results |= {result, settings_beside(result)}
            results |= {result.with_name(one) for one in carried.beside}
        if ours or not record.has_result:
            own_folders.add(own_folder(result))
            folders.update(folder for folder in result.parents if out in folder.parents)
    own_folders |= {own_folder(out / name) for name in expected if name not in known}

    def is_owned(file: Path) -> bool:
        return (
            file in results
            or (file.parent in own_folders and is_extra(file.name))
            or (file.parent.parent in own_folders and is_kept_frame(file))
            or (file.parent in folders and is_report(file.name))
            or is_copy(file.relative_to(out))
            or (file.parent == out / BLENDS and is_swatch(file))
            or out / STATE in file.parents
            or (file.parent == out and file.name in OF_THE_FOLDER)
        )

    return sorted(filter(is_owned, files), key=lambda file: file == out / MANIFEST)


def _expected(out: Path) -> list[str]:
    """Returns the results that the last runs asked for; none where that is not noted."""
    with suppress(FileNotFoundError):
        return list(read_expected(out))
    return []
