"""A result and what it is measured against, from its line of the manifest. Imports no torch."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nst_lightning.errors import UserError
from nst_lightning.evaluation.columns import METRICS_VERSION
from nst_lightning.files import file_state
from nst_lightning.grid.labels import short_labels
from nst_lightning.layout import is_film, is_mesh
from nst_lightning.settings import BatchSettings, build
from nst_lightning.settings.transfer import Resampling
from nst_lightning.store.records import Record

Part = tuple[Path, float]
"""An image, and its share of the style."""


@dataclass(frozen=True)
class FilmFacts:
    """What else is to be known of a film."""

    settings: BatchSettings
    """How it was cut into segments, and its clip is read."""
    out: Path
    """The output folder, which keeps what is known of clips."""


@dataclass(frozen=True)
class Subject:
    """A finished result."""

    case: Mapping[str, str]
    """In a sweep: axis → what it is here."""
    names: Mapping[str, str]
    """Of its content and style, short but distinct."""
    output: str
    """Relative to the output folder."""
    finished: str
    path: Path
    inputs: str
    """A hash of all that its numbers come from: another one once any of its files has changed, or
    how they are resized."""
    content: Path
    style: tuple[Part, ...]
    identity: bool
    """Whether content and style are the same image, so that it must come back."""
    max_pixels: int
    resampling: Resampling
    """How content and style are brought to its size, which is how they were for it."""
    film: FilmFacts | None = None
    """None of an image."""


def find_subjects(records: Sequence[Record], out: Path) -> list[Subject]:
    """Returns the finished images and films among records, in their order; meshes are none."""
    done = [one for one in records if one.has_result and not is_mesh(Path(one.output))]
    contents = short_labels(list(dict.fromkeys(record.content for record in done)))
    styles = short_labels(list(dict.fromkeys(record.style for record in done)))
    axes = list(dict.fromkeys(key for record in done for key in record.case))
    return [
        Subject(
            case={name_axis(key): record.case.get(key, "") for key in axes},
            names={"content": contents[record.content], "style": styles[record.style]},
            output=record.output,
            finished=record.finished,
            path=out / record.output,
            inputs=hash_inputs(record, out),
            content=out / record.content,
            style=style_parts(record, out),
            identity=is_identity(record),
            max_pixels=record.max_pixels,
            resampling=record.resampling,
            film=film_facts(record, out) if is_film(Path(record.output)) else None,
        )
        for record in done
    ]


def hash_inputs(record: Record, out: Path) -> str:
    """Returns 16 hexadecimal digits of all that a result's numbers come from: its files, and how
    they are looked at.

    A file is its name, size and time of change, so that none need be read.
    """
    content = out / record.content
    paths = sorted(content.iterdir()) if content.is_dir() else [content]
    parts = [(path, 1.0) for path in (out / record.output, *paths)]
    files = [[*file_state(path), share] for path, share in [*parts, *style_parts(record, out)]]
    known: list[object] = [METRICS_VERSION, files, is_identity(record), record.max_pixels]
    # Only the other way is named: rows of when all images were resized bicubically still hold.
    if record.resampling != "bicubic":
        known.append(record.resampling)
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]


def film_facts(record: Record, out: Path) -> FilmFacts:
    """Returns what is to be known of a film; the defaults where its record does not say it."""
    known = {name: record.settings.get(name) for name in ("segment", "frame_rate")}
    settings = {"max_pixels": record.max_pixels}
    with suppress(UserError):
        return FilmFacts(build(settings | {k: v for k, v in known.items() if v is not None}), out)
    return FilmFacts(build(settings), out)


def name_axis(key: str) -> str:
    """Returns what an axis is called in the table, where `content` and `style` are taken."""
    return f"case {key}" if key in ("content", "style") else key


def style_parts(record: Record, out: Path) -> tuple[Part, ...]:
    """Returns the images that make up the style: one, or the parts of a blend by their shares."""
    if record.blend:
        return tuple((out / part.style, part.share) for part in record.blend)
    return ((out / record.style, 1.0),)


def is_identity(record: Record) -> bool:
    """Returns whether content and style are one image, and both were optimised for.

    A reconstruction or a texture has its image in both places, but is only to match it in one.
    """
    if not record.content_sha256 or record.content_sha256 != record.style_sha256 or record.blend:
        return False
    return all(record.settings.get(f"{role}_layers", True) for role in ("content", "style"))
