"""The output folder: what is finished in it, and whether this run may write there. No torch."""

import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_lightning.errors import UserError
from nst_lightning.files import check_inside, printable, write_text
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source
from nst_lightning.imaging.metadata import read_metadata
from nst_lightning.layout import SETTINGS, WRITTEN_BY_RUNS, image_of, is_film, is_mesh, own_folder
from nst_lightning.settings import BatchSettings, build, dump_yaml, read_yaml
from nst_lightning.store.fingerprint import ALGORITHM, pixel_settings
from nst_lightning.store.job import Job
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.records import Record, now, parse_record

RECORD_KEY = "nst-lightning"
"""The keyword of the text in a result's file that holds its record."""


def check_folder(out: Path, inputs: Sequence[Path]) -> None:
    """Makes the output folder and sees that it can be written.

    Raises:
        UserError: it is a file, an input folder or above one, cannot be written, or has links that
            lead out.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; name a folder with --out.")
    for folder in filter(Path.is_dir, inputs):
        if folder.resolve() == out.resolve():
            raise UserError(f"{out}: is a folder of inputs; name another folder with --out.")
        if folder.resolve().is_relative_to(out.resolve()):
            raise UserError(
                f"{out}: holds the folder of inputs {folder}, among which results could come to "
                "stand; name another folder with --out."
            )
    check_links(out, WRITTEN_BY_RUNS)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); free it or name another with --out."
        ) from None


def check_links(out: Path, written: Iterable[Path | str]) -> None:
    """Sees that nothing would be written through a link that leads out of the output folder.

    Args:
        out: the output folder.
        written: folders in it, and files that are written in place.

    Raises:
        UserError: a link leads out; names it.
    """
    for name in written:
        try:
            check_inside(out, out / name)
        except OSError as error:
            raise UserError(
                f"{error.filename}: is a link that leads out of {out}, where nothing is written; "
                "remove it, or name another folder with --out."
            ) from None


def check_file(file: Path, pair: Pair) -> None:
    """Sees that a file can be the result of a pair.

    Raises:
        UserError: it is an input, a folder, or its folder of snapshots would be another's.
    """
    parts = pair.style.parts
    inputs = [pair.content.path, *(part.path for part in parts), pair.content.mask]
    for path in (*inputs, *(part.mask for part in parts)):
        if path and file.exists() and path.samefile(file):
            raise UserError(f"{file}: is an input; name another file with --out.")
    if file.is_dir():
        inside = file / f"x{file.suffix or '.png'}"
        raise UserError(f"{file}: is a folder; name a file with --out, such as {inside}.")
    if not file.stem.strip("."):  # its folder of snapshots would be this one, or the one above
        raise UserError(f"{file}: has only dots for a name; name another file with --out.")


def record_in_image(path: Path) -> Record | None:
    """Returns the record that a result carries in its own metadata; None for any other file.

    That of a mesh is in the image of its sides, and says how large the mesh is.
    """
    if is_film(path):
        from nst_lightning.video.clip_reading import read_comment

        record = parse_record(read_comment(path))
        return record if record and record.fingerprint else None
    record = parse_record(read_metadata(image_of(path)).get(RECORD_KEY, ""))
    if record is None or not record.fingerprint:
        return None
    if is_mesh(path) and not (path.is_file() and path.stat().st_size == record.bytes):
        return None
    return record


class Finished:
    """What stands in an output folder already.

    Args:
        out: the folder.
        ledger: of the folder, where it has one.
    """

    def __init__(self, out: Path, ledger: Ledger | None) -> None:
        self.out = out
        self.ledger = ledger
        self.known: dict[str, tuple[str, int]] = ledger.pick(_brief) if ledger else {}
        self.folders: dict[str, set[str]] = {}
        self.checked: set[Path] = set()

    def is_done(self, identity: tuple[str, str]) -> bool:
        """Whether the ledger has the pair of an output and a fingerprint as done."""
        output, fingerprint = identity
        return self.known.get(output, ("", 0))[0] == fingerprint

    def outdated(self, jobs: Iterable[Job]) -> list[str]:
        """Returns the outputs of those jobs that the ledger has as done, with whatever settings."""
        files = (job.pair.file for job in jobs)
        return [file for file in files if self.known.get(file, ("", 0))[0]]

    def has(self, job: Job, settings: BatchSettings, *, overwrite: bool) -> bool:
        """Whether the finished image of a job stands.

        An image whose line is missing from the ledger (killed between the two) is entered there.

        Raises:
            UserError: a file that is not this pair's with these settings is in the way, or a link
                that leads out of the folder.
        """
        found = self._exists(job.pair.file) and self._is_ours(job, settings, overwrite)
        if not found:
            self._check_links(job.pair.file)
        return found

    def _is_ours(self, job: Job, settings: BatchSettings, overwrite: bool) -> bool:
        """Whether the file in a job's place is its finished image."""
        path = self.out / job.pair.output
        fingerprint, size = self.known.get(job.pair.file, ("", 0))
        try:
            whole = fingerprint and size == path.stat().st_size
        except FileNotFoundError:  # a link to nothing
            return False
        if whole and fingerprint == job.fingerprint:
            return True
        record = record_in_image(path)
        if record and record.fingerprint == job.fingerprint:
            if self.ledger:
                facts = {"bytes": path.stat().st_size, "noted": now()}
                self.ledger.append(record.with_facts(**facts))
            return True
        if overwrite:
            return False
        raise UserError(refusal(path, job, record, settings))

    def _exists(self, file: str) -> bool:
        """Whether there is such a file; each folder is read once, for there may be many of them."""
        folder, _, name = file.rpartition("/")
        if folder not in self.folders:
            try:
                with os.scandir(self.out / folder) as entries:
                    self.folders[folder] = {entry.name for entry in entries}
            except OSError:
                self.folders[folder] = set()
        return name in self.folders[folder]

    def _check_links(self, file: str) -> None:
        """Sees that a result, and what belongs to it, would be written in the output folder."""
        result = Path(file)
        if result.parent not in self.checked:
            check_links(self.out, [result.parent])
            self.checked.add(result.parent)
        if self._exists(own_folder(result).as_posix()):
            check_links(self.out, [own_folder(result)])


def _brief(record: Record) -> tuple[str, int]:
    """Returns the fingerprint and size of a finished image; nothing of any other pair."""
    return (record.fingerprint, record.bytes) if record.status == "done" else ("", 0)


def check_settings(out: Path, settings: BatchSettings, *, overwrite: bool) -> None:
    """Sees that the folder's finished images were made with the same settings.

    Where `settings.yaml` says something else, the records of the images decide: it may be damaged.

    Raises:
        UserError: they were not, and nothing is to be overwritten; names the differences.
    """
    file = out / SETTINGS
    if overwrite or not file.is_file():
        return
    try:
        if not changed_settings(read_settings(out), settings):
            return
    except UserError:
        warnings.warn(f"{file}: cannot be read, and is written anew.", stacklevel=2)
    asked = Ledger(out).pick(lambda record: record.settings if record.status == "done" else {})
    for made_with in filter(None, asked.values()):
        reasons = _changed_since(made_with, settings)
        if reasons:
            raise UserError(
                f"{out}: holds images made with {'; '.join(reasons)}; choose another folder with "
                "--out, or replace them with --overwrite."
            )
        return


def _changed_since(before: Mapping[str, Any], now: BatchSettings) -> list[str]:
    """Returns how the settings of a record differ from others."""
    try:
        return changed_settings(build(before), now)
    except UserError:  # of another version, which knew other settings
        return ["other settings"]


def refusal(path: Path, job: Job, record: Record | None, settings: BatchSettings) -> str:
    """Returns why an image in the way is neither kept as this pair's nor replaced."""
    way_out = "choose another place with --out, or replace it with --overwrite"
    if record is None:
        return f"{path}: is in the way and was not made by nst-batch; {way_out}."
    reasons = differences(record, job, settings) or ["other settings"]
    return f"{path}: was made with {'; '.join(reasons)}; {way_out}."


def differences(record: Record, job: Job, settings: BatchSettings) -> list[str]:
    """Returns how a finished image's making differs from what is asked now."""
    reasons = []
    if record.settings:
        resolved = {"precision": record.resolved.precision or settings.precision}
        reasons = _changed_since(record.settings | resolved, settings)
    for role, sha in (("content", job.content_sha256), ("style", job.style_sha256)):
        source: Source = getattr(job.pair, role)
        if getattr(record, f"{role}_sha256") == sha:
            continue
        if source.blend or (role == "style" and record.blend):
            reasons.append(f"other styles or shares than {source.name} has now")
        else:
            reasons.append(f"another {role} image than {source.path} is now")
    if record.masks_sha256 != job.masks_sha256:
        reasons.append("other masks")
    if record.algorithm != ALGORITHM:
        reasons.append("another version of the algorithm")
    if not reasons and record.weights_checksum:
        reasons.append("other weights or another start image")
    return reasons


def changed_settings(before: BatchSettings, now: BatchSettings) -> list[str]:
    """Returns what settings that count were and what they are now, where they differ."""
    old, new = pixel_settings(before), pixel_settings(now)
    left, right = spelled(before), spelled(now)
    reasons = []
    for name in dict.fromkeys([*new, *old]):
        if old.get(name) == new.get(name):
            continue
        if left[name] != right[name]:
            reasons.append(f"{name} {show(left[name])} instead of {show(right[name])}")
        elif name == "init":
            reasons.append("another start image")
    return reasons


def spelled(settings: BatchSettings) -> dict[str, Any]:
    """Returns every setting as it was typed, with the learning rate made explicit."""
    return settings.model_dump(mode="json") | {"learning_rate": settings.resolved_learning_rate}


def show(value: Any) -> str:
    """Returns a setting's value as part of a sentence."""
    if isinstance(value, list):
        return ",".join(show_scale(v) if isinstance(v, dict) else f"{v:g}" for v in value)
    if isinstance(value, dict):
        return ",".join(f"{k}={v:g}" for k, v in value.items()) or "none"
    return str(value)


def show_scale(scale: Mapping[str, Any]) -> str:
    """Returns one entry of `scales` as it is typed."""
    factor = scale.get("content_weight", 1.0)
    return f"{scale['size']}:{scale['steps']}" + (f":{factor:g}" if factor != 1 else "")


def write_settings(out: Path, settings: BatchSettings, command: str) -> None:
    """Writes `settings.yaml`: what was asked, complete, so that `--config` repeats it."""
    note = f"# Written by nst-batch; --config {SETTINGS} repeats it.\n# {printable(command)}\n"
    text = note + dump_yaml(settings)
    path = out / SETTINGS
    if not path.is_file() or path.read_bytes() != text.encode():
        write_text(path, text)


def read_settings(out: Path) -> BatchSettings:
    """Reads the settings that an output folder was made with."""
    return build(read_yaml(out / SETTINGS), str(out / SETTINGS))
