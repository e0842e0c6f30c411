"""A pair's line in the manifest, which its image carries too. Imports no torch."""

import json
import math
import os
import platform
from collections.abc import Container
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from nst_lightning.files import spell
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.settings import BatchSettings
from nst_lightning.settings.transfer import Resampling
from nst_lightning.store.fingerprint import ALGORITHM
from nst_lightning.store.job import Job

SCHEMA = 2
"""The version of the manifest's lines, raised when the meaning of a key changes.

The lines of 0.1.0 carry none, which counts as 1: they have the keys of 2, but for `schema` itself.
"""

LONGEST_PART, LONGEST_OUTPUT = 255, 4000
"""Bytes of a name and letters of a path: what Linux takes, with room for the folder before it."""

Status = Literal["done", "failed", "waiting"]
"""`waiting`: it was done, but a run has begun that is to replace it."""


class BlendPart(BaseModel, frozen=True):
    """One of several styles of a result."""

    style: str
    share: float
    region: str | None = None
    """The colour in the content's mask where it counts; None everywhere."""
    mask: str | None = None


class Resolved(BaseModel, frozen=True):
    """What each `auto` became, and the size of the result in pixels."""

    learning_rate: float | None = None
    accelerator: str = ""
    precision: str = ""
    width: int | None = None
    height: int | None = None


def check_output(text: str) -> str:
    """Returns the name of a result as it is.

    Raises:
        ValueError: no file of an output folder can have it.
    """
    parts = text.split("/")
    if any(not 0 < len(part.encode()) <= LONGEST_PART or part in (".", "..") for part in parts):
        raise ValueError("no file of the folder")
    if "\0" in text or len(text) > LONGEST_OUTPUT:
        raise ValueError("no file at all")
    return text


def check_name(text: str) -> str:
    """Returns the name of a file beside a result as it is.

    Raises:
        ValueError: no file of that folder can have it.
    """
    if "/" in check_output(text):
        raise ValueError("no file of the folder")
    return text


class Record(BaseModel, frozen=True):
    """What became of a pair. Paths are relative to the output folder; what is absent was not known.

    The JSON holds the fields that were given, under their names (`schema` for the version).
    """

    schema_version: int = Field(1, alias="schema")
    output: Annotated[str, AfterValidator(check_output)]
    """Its result, relative to the output folder."""
    status: Status = "failed"
    content: str = ""
    content_sha256: str = ""
    style: str = ""
    style_sha256: str = ""
    blend: list[BlendPart] = []
    content_mask: str = ""
    style_mask: str = ""
    masks_sha256: str = ""
    fingerprint: str = ""
    algorithm: int = 0
    finished: str = ""
    """ISO 8601 in UTC, to the millisecond: sorts as text."""
    noted: str = ""
    """When the line was added, where that was later than `finished`."""
    case: dict[str, str] = {}
    """In a sweep: axis → what it is here."""
    weights_checksum: str = ""
    weights_input: str = ""
    """What the network of a weights file was taken to be fed; empty for the named weights."""
    reason: str = ""
    """Why it failed."""
    losses: dict[str, float | None] = {}
    """Weighted terms and their `total`; None where one was no finite number."""
    unweighted: dict[str, float | None] = {}
    steps: int = 0
    float32_from: int | None = None
    """The step from which a half-precision run went on in float32."""
    resumed: list[int] = []
    """The steps at which it went on after an interruption."""
    seconds: float = 0.0
    device: str = ""
    resolved: Resolved = Resolved()
    settings: dict[str, Any] = {}
    """What was asked, complete; an older version may have had other names or values."""
    versions: dict[str, str] = {}
    by: dict[str, int | str] = {}
    """The task of a Slurm job that made it."""
    frames: int = 0
    """Of a film."""
    bytes: int = 0
    """The size of the result's file."""
    beside: list[Annotated[str, AfterValidator(check_name)]] = []
    """The names of the files that a mesh has in its folder, such as its textures."""

    @property
    def has_result(self) -> bool:
        """Whether there should be an image, of whatever settings."""
        return self.status in ("done", "waiting")

    @property
    def stem(self) -> str:
        """The result's path without its suffix."""
        return self.output.rpartition(".")[0]

    @property
    def total_loss(self) -> float:
        """The weighted sum of all terms; NaN where it is not known."""
        total = self.losses.get("total")
        return math.nan if total is None else total

    @property
    def max_pixels(self) -> int:
        """The largest image to open, in pixels: what the run was told, or the result's own size."""
        asked = self.settings.get("max_pixels")
        told = asked if isinstance(asked, int) and asked > 0 else MAX_PIXELS
        return max(told, (self.resolved.width or 0) * (self.resolved.height or 0))

    @property
    def resampling(self) -> Resampling:
        """How its images were brought to their sizes: bicubically where nothing else is known."""
        asked = self.settings.get("resampling")
        return next((how for how in get_args(Resampling) if how == asked), "bicubic")

    def with_facts(self, **facts: Any) -> "Record":
        """Returns the record with these fields changed."""
        return self.model_copy(update=facts)

    def data(self, leave_out: Container[str] = ()) -> dict[str, Any]:
        """Returns the record as plain data for JSON, without what is absent."""
        data = self.model_dump(by_alias=True, exclude_unset=True)
        return {name: value for name, value in data.items() if name not in leave_out}

    def text(self, leave_out: Container[str] = ()) -> str:
        """Returns the record as one line of JSON."""
        return json.dumps(self.data(leave_out), ensure_ascii=False)


def parse_record(line: str | bytes) -> Record | None:
    """Returns the record of a line of JSON; None where it holds none."""
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        return None


def make_record(
    job: Job, out: Path, settings: BatchSettings, *, status: Status, **facts: Any
) -> Record:
    """Returns one line of the manifest.

    Args:
        job: the pair and its identity.
        out: the output folder; paths are written relative to it.
        settings: what was asked, complete.
        status: what became of it.
        facts: other fields of `Record`.
    """
    if "reason" in facts:
        facts["reason"] = spell(facts["reason"])
    return Record(
        schema=SCHEMA,
        output=job.pair.output.as_posix(),
        status=status,
        content=relative(job.pair.content.path, out),
        content_sha256=job.content_sha256,
        style=relative(job.pair.style.path, out),
        style_sha256=job.style_sha256,
        fingerprint=job.fingerprint,
        algorithm=ALGORITHM,
        finished=now(),
        **parts(job, out),
        **facts,
        settings={
            name: spell(value) if isinstance(value, str) else value
            for name, value in settings.model_dump(mode="json").items()
        },
        versions=versions(),
    )


def now() -> str:
    """Returns the time as records hold it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def parts(job: Job, out: Path) -> dict[str, Any]:
    """Returns the fields that only some pairs have: those of a sweep, a blend, masks."""
    content, style = job.pair.content, job.pair.style
    found: dict[str, Any] = {"case": dict(job.case)} if job.case else {}
    if style.blend:
        found["blend"] = [
            BlendPart(
                style=relative(part.path, out),
                share=part.share,
                **({"region": part.region} if part.region else {}),
                **({"mask": relative(part.mask, out)} if part.mask and content.mask else {}),
            )
            for part in style.blend
        ]
    if content.mask:
        found["content_mask"] = relative(content.mask, out)
        found["masks_sha256"] = job.masks_sha256
        if style.mask:
            found["style_mask"] = relative(style.mask, out)
    return found


def relative(path: Path, out: Path) -> str:
    """Returns a path as seen from the output folder, as `spell` writes it; absolute where there is
    no way (another drive)."""
    try:
        # Unlike Path.resolve, it takes a link to itself as it is.
        found = os.path.relpath(os.path.realpath(path), os.path.realpath(out))
    except ValueError:
        found = os.path.realpath(path)
    return spell(Path(found).as_posix())


def versions() -> dict[str, str]:
    """Returns the software that makes an image, by name."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("nst-lightning", "torch", "lightning")
    }
