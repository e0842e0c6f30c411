"""One kind of work at a time on an output folder: commands with the same settings share it.

Imports no torch.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from nst_lightning.errors import UserError
from nst_lightning.files import create
from nst_lightning.grid.pairs import Case
from nst_lightning.layout import CLAIMS
from nst_lightning.run.liveness import alive_among, ask_slurm
from nst_lightning.store.fingerprint import ALGORITHM, pixel_settings
from nst_lightning.store.heartbeat import Heartbeat, read_heartbeats


class Claim(BaseModel, frozen=True):
    """What an output folder is used for."""

    digest: str
    """Of the settings."""
    holder: str
    """The name of the heartbeat of whoever claimed it."""


def settings_digest(cases: Sequence[Case]) -> str:
    """Returns what two commands have in common that may work on a folder at the same time: the
    settings that decide pixels and files, of every case, whatever the inputs, shards and devices.
    """
    chosen = []
    for case in cases:
        weights = Path(case.settings.weights)
        source = os.path.realpath(weights) if weights.is_file() else case.settings.weights
        fed = case.settings.weights_input
        chosen.append([dict(case.labels), pixel_settings(case.settings), source, fed])
    text = json.dumps([ALGORITHM, chosen], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def claim(out: Path, own: Heartbeat) -> bool:
    """Claims an output folder for work with the settings of a heartbeat, which has been written.

    The claims of a folder are numbered files, of which the last one counts. Whoever links the next
    number to a file first has it, on shared disks too, where locks do not hold. One that is held by
    a process at work can be joined; in the place of one that nobody works by, the next is put.

    Returns:
        Whether others are at work there with the same settings.

    Raises:
        UserError: others are, with other settings.
        OSError: the folder cannot be written.
    """
    while True:
        number, last = _last_claim(out)
        if last:
            others = _at_work(out, own, last.digest)
            if last.digest != own.digest and others:
                raise UserError(
                    f"{out}: is at work with other settings ({others[0].where}); wait until that "
                    "ends, or choose another folder with --out."
                )
            # Its holder lives, so nobody can have put another in its place since `own` was written.
            if any(one.name == last.holder for one in others):
                return True
        mine = Claim(digest=own.digest, holder=own.name).model_dump_json().encode()
        if create(out / CLAIMS / f"{number + 1}.json", mine) and _last_claim(out)[0] == number + 1:
            for path, earlier in _claims(out):
                if earlier <= number:
                    with suppress(OSError):  # another has removed it
                        path.unlink()
            return bool(_at_work(out, own, own.digest))


def _at_work(out: Path, own: Heartbeat, digest: str) -> list[Heartbeat]:
    """Returns the others that work with the settings of a digest.

    Tasks of one's own job count as living: a thousand of them would each ask Slurm.
    """
    found = [o for o in read_heartbeats(out) if o.digest == digest and o.name != own.name]
    array = own.job.split("_")[0]
    here = {one.job: "RUNNING" for one in found if array and one.job.split("_")[0] == array}
    return alive_among(found, {**ask_slurm(o.job for o in found if o.job not in here), **here})


def _claims(out: Path) -> list[tuple[Path, int]]:
    paths = (out / CLAIMS).glob("*.json")
    return [(path, int(path.stem)) for path in paths if path.stem.isdecimal()]


def _last_claim(out: Path) -> tuple[int, Claim | None]:
    """Returns the number of the claim that counts, 0 where there is none, and what it says; None
    where it says nothing sensible."""
    path, number = max(_claims(out), key=lambda claim: claim[1], default=(out, 0))
    with suppress(OSError, ValidationError):
        return number, Claim.model_validate_json(path.read_bytes())
    return number, None
