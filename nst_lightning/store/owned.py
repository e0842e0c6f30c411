"""Which files of an output folder nst-batch made. Imports no torch."""

from pathlib import Path

from nst_lightning.drawing.swatch import is_swatch
from nst_lightning.errors import UserError
from nst_lightning.files import files_and_links
from nst_lightning.layout import (
    BLENDS,
    KEPT_FRAMES,
    MANIFEST,
    OF_THE_FOLDER,
    STATE,
    is_copy,
    is_extra,
    is_frame,
    is_report,
    own_folder,
    settings_beside,
)
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.output import record_in_image


def owned_files(out: Path) -> list[Path]:
    """Returns the files that nst-batch made in an output folder, the manifest last.

    A result counts only where it carries the record that nst-batch writes into its images, so that
    an image put in its place is not taken for one. Links do not count, nor what is behind them.

    Raises:
        UserError: it is not an output folder of nst-batch.
    """
    if not (out / MANIFEST).is_file():
        raise UserError(f"{out}: holds no {MANIFEST}, so it is not an output folder of nst-batch.")
    files, _ = files_and_links(out)
    there = set(files)
    results, own_folders, folders = set[Path](), set[Path](), {out}
    for name, record in Ledger(out).read().items():
        result = out / name
        carried = record_in_image(result) if result in there else None
        ours = carried is not None
        if carried is not None:
            results |= {result, settings_beside(result)}
            results |= {result.with_name(one) for one in carried.beside}
        if ours or not record.has_result:
            own_folders.add(own_folder(result))
            folders.update(folder for folder in result.parents if out in folder.parents)

    kept_frames = {folder / KEPT_FRAMES for folder in own_folders}

    def is_owned(file: Path) -> bool:
        return (
            file in results
            or (file.parent in own_folders and is_extra(file.name))
            or (file.parent in kept_frames and is_frame(file.name))
            or (file.parent in folders and is_report(file.name))
            or is_copy(file.relative_to(out))
            or (file.parent == out / BLENDS and is_swatch(file))
            or out / STATE in file.parents
            or (file.parent == out and file.name in OF_THE_FOLDER)
        )

    return sorted(filter(is_owned, files), key=lambda file: file == out / MANIFEST)
