"""The states of images in progress, so that a run goes on where it was interrupted."""

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import BaseModel, ValidationError, model_validator
from torch import Tensor

from nst_lightning.callbacks.saved_state import SavedState
from nst_lightning.files import check_inside, write_text
from nst_lightning.layout import CHECKPOINT_PAIRS, CHECKPOINT_STATE, CHECKPOINTS
from nst_lightning.store.fingerprint import ALGORITHM
from nst_lightning.store.job import Job
from nst_lightning.vgg.state_dicts import load_tensors

Identity = tuple[str, str]
"""What a pair in progress is known by: its output and its fingerprint."""


class SavedPairs(BaseModel, frozen=True):
    """What a folder of states says of itself."""

    algorithm: int
    """The version that began it."""
    pairs: tuple[Identity, ...]

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, data: Any) -> Any:
        """Takes the pairs alone as well, as 0.1.0 wrote them."""
        return {"algorithm": 0, "pairs": data} if isinstance(data, list) else data


@dataclass(frozen=True)
class SavedBatch:
    """A batch that was begun: the folder of its state, and the pairs in it."""

    folder: Path
    pairs: tuple[Identity, ...]


class Checkpoints:
    """The batches in progress of an output folder.

    A pair is known by its fingerprint, so that a state never serves another input or other
    settings. A batch may go on in parts, or with some of its pairs only.

    Args:
        out: the output folder.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / CHECKPOINTS
        self.foreign: list[Path] = []
        """Folders of states that another version of the algorithm left; they are not touched."""
        self.saved = self._read_folders()
        self.dropped: set[Identity] = set()

    def groups(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Returns the jobs that can go on together, as they were begun; the rest is left out."""
        waiting = {identity(job): job for job in jobs}
        groups = ([waiting.pop(one) for one in b.pairs if one in waiting] for b in self.saved)
        return [group for group in groups if group]

    def path(self, jobs: Sequence[Job]) -> Path:
        """Returns where the state of a batch goes."""
        return self.folder / folder_name(jobs) / CHECKPOINT_STATE

    def announce(self, jobs: Sequence[Job]) -> None:
        """Names the pairs of a batch in its folder, before its first state is written.

        Raises:
            OSError: the folder cannot be written.
        """
        batch = SavedBatch(self.path(jobs).parent, tuple(map(identity, jobs)))
        check_inside(self.out, batch.folder)
        if batch not in self.saved:
            saved = SavedPairs(algorithm=ALGORITHM, pairs=batch.pairs)
            write_text(batch.folder / CHECKPOINT_PAIRS, saved.model_dump_json(indent=1) + "\n")
            self.saved.append(batch)

    def load(self, jobs: Sequence[Job]) -> tuple[SavedState | None, bool]:
        """Returns the state in which all these jobs were left, if any, and whether there is one
        that cannot be read."""
        unreadable = False
        asked = [identity(job) for job in jobs]
        self.saved = self._read_folders()  # another worker may have begun them, and died
        for batch in self.saved:
            if set(asked) <= set(batch.pairs):
                where = [batch.pairs.index(one) for one in asked]
                try:
                    return sliced(load_tensors(batch.folder / CHECKPOINT_STATE), where), False
                except Exception:  # whatever is raised by a file that is no state
                    unreadable = True
        return None, unreadable

    def _read_folders(self) -> list[SavedBatch]:
        found, self.foreign = [], []
        for path in sorted(self.folder.glob(f"*/{CHECKPOINT_PAIRS}")):
            with suppress(OSError, ValidationError):  # one that says nothing sensible is left
                saved = SavedPairs.model_validate_json(path.read_bytes())
                if saved.algorithm == ALGORITHM:
                    found.append(SavedBatch(path.parent, saved.pairs))
                else:
                    self.foreign.append(path.parent)
        return found

    def drop(self, jobs: Sequence[Job]) -> None:
        """Gives up the states of these jobs; a folder goes when none of its pairs is left."""
        self.dropped |= {identity(job) for job in jobs}
        self.remove_done(self.dropped.__contains__)

    def remove_done(self, is_done: Callable[[Identity], bool]) -> None:
        """Removes the states of which every pair is done."""
        over = [batch for batch in self.saved if all(map(is_done, batch.pairs))]
        for batch in over:
            shutil.rmtree(batch.folder, ignore_errors=True)
            self.saved.remove(batch)
        if over:
            with suppress(OSError):  # another process keeps states there
                self.folder.rmdir()
                self.folder.parent.rmdir()


def identity(job: Job) -> Identity:
    """Returns what a pair in progress is known by."""
    return job.pair.output.as_posix(), job.fingerprint


def folder_name(jobs: Sequence[Job]) -> str:
    """Returns `<content>--<style>-and-2-more.<hash>`: the first pair, and the batch's identity."""
    first = re.sub(r"[^\w.+-]+", "--", jobs[0].pair.output.with_suffix("").as_posix())
    first = first.encode()[:120].decode(errors="ignore")
    more = f"-and-{len(jobs) - 1}-more" if len(jobs) > 1 else ""
    digest = hashlib.sha256(repr([identity(job) for job in jobs]).encode()).hexdigest()
    return f"{first}{more}.{digest[:16]}"


def sliced(state: SavedState, indices: Sequence[int]) -> SavedState:
    """Returns the state of some of a batch's images, in the order of their indices.

    In the states of the module, its optimiser and its callbacks every tensor that has a dimension
    has the images as its first.
    """
    where = torch.tensor(indices)

    def pick(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[where] if value.ndim else value
        if isinstance(value, Mapping):
            return {key: pick(one) for key, one in value.items()}
        return [pick(one) for one in value] if isinstance(value, (list, tuple)) else value

    whole: dict[str, Any] = {**state}
    parts = ("state_dict", "optimizer_states", "callbacks", "images", "run")
    return cast(SavedState, whole | {part: pick(whole[part]) for part in parts})
