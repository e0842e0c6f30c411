"""A pair's line in the manifest, which its picture carries too. Imports no torch."""

import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nst_lightning.formats import MAX_PIXELS
from nst_lightning.settings import BatchSettings
from nst_lightning.store.fingerprint import ALGORITHM
from nst_lightning.store.ledger import Record
from nst_lightning.store.output import Job


def make_record(
    job: Job, out: Path, settings: BatchSettings, *, status: str, **facts: Any
) -> Record:
    """One line of the manifest.

    Args:
        job: the pair and its identity.
        out: the output folder; paths are written relative to it.
        settings: what was asked, complete.
        status: `done` or `failed`.
        facts: `losses` (weighted), `unweighted`, `steps`, `seconds`, `device`, `resolved` (what
            each `auto` became),
            `weights_checksum`, `reason`.
    """
    return {
        "output": job.pair.output.as_posix(),
        "status": status,
        "content": relative(job.pair.content.path, out),
        "content_sha256": job.content_sha256,
        "style": relative(job.pair.style.path, out),
        "style_sha256": job.style_sha256,
        **parts(job, out),
        "fingerprint": job.fingerprint,
        "algorithm": ALGORITHM,
        "finished": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        **({"case": dict(job.case)} if job.case else {}),
        **facts,
        "settings": settings.model_dump(mode="json"),
        "versions": versions(),
    }


def parts(job: Job, out: Path) -> Record:
    """What a pair is made of besides two pictures: `blend`, `content_mask`, `style_mask`."""
    content, style = job.pair.content, job.pair.style
    found: Record = {}
    if style.blend:
        found["blend"] = [
            {
                "style": relative(part.path, out),
                "share": part.share,
                **({"region": part.region} if part.region else {}),
                **({"mask": relative(part.mask, out)} if part.mask and content.mask else {}),
            }
            for part in style.blend
        ]
    if content.mask:
        found["content_mask"] = relative(content.mask, out)
        found["masks_sha256"] = job.masks_sha256
        if style.mask:
            found["style_mask"] = relative(style.mask, out)
    return found


def relative(path: Path, out: Path) -> str:
    """A path as seen from the output folder; absolute where there is no way (another drive)."""
    try:
        return Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def versions() -> Mapping[str, str]:
    """The software that made a picture."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("nst-lightning", "torch", "lightning")
    }


def pixel_limit(record: Record) -> int:
    """Returns the largest image, in pixels, that the run was told to open."""
    settings = record.get("settings")
    limit = settings.get("max_pixels") if isinstance(settings, dict) else None
    return limit if isinstance(limit, int) and limit > 0 else MAX_PIXELS
