"""The state of pictures in progress, so that a run goes on where it was interrupted."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from torch import Tensor

from nst_lightning.files import atomic_file, write_text
from nst_lightning.layout import CHECKPOINT_PAIRS, CHECKPOINT_STATE, CHECKPOINTS
from nst_lightning.store.output import Job

State = dict[str, Any]
"""Lightning's checkpoint of a fit."""


Identity = tuple[str, str]
"""Output and fingerprint of a pair."""


@dataclass(frozen=True)
class Begun:
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
        self.folder = out / CHECKPOINTS
        self.begun = self._look()
        self.gone: set[Identity] = set()

    def groups(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Jobs that can go on together, as they were begun; the rest is in no group."""
        waiting = {identity(job): job for job in jobs}
        groups = ([waiting.pop(one) for one in b.pairs if one in waiting] for b in self.begun)
        return [group for group in groups if group]

    def path(self, jobs: Sequence[Job]) -> Path:
        """Where the state of a batch goes."""
        return self.folder / folder_name(jobs) / CHECKPOINT_STATE

    def announce(self, jobs: Sequence[Job]) -> None:
        """Name the pairs of a batch, before its first state is written.

        Raises:
            OSError: the folder cannot be written.
        """
        begun = Begun(self.path(jobs).parent, tuple(map(identity, jobs)))
        if begun not in self.begun:
            text = json.dumps(begun.pairs, ensure_ascii=False, indent=1)
            write_text(begun.folder / CHECKPOINT_PAIRS, text + "\n")
            self.begun.append(begun)

    def load(self, jobs: Sequence[Job]) -> tuple[State | None, bool]:
        """The state in which all these jobs were left, if any, and whether one cannot be read."""
        torn = False
        asked = [identity(job) for job in jobs]
        self.begun = self._look()  # another worker may have begun them, and died
        for begun in self.begun:
            if set(asked) <= set(begun.pairs):
                try:
                    state = torch.load(
                        begun.folder / CHECKPOINT_STATE, map_location="cpu", weights_only=True
                    )
                except Exception:  # whatever torch says of a file that is no checkpoint
                    torn = True
                    continue
                return sliced(state, [begun.pairs.index(one) for one in asked]), False
        return None, torn

    def _look(self) -> list[Begun]:
        found = (read(path) for path in sorted(self.folder.glob(f"*/{CHECKPOINT_PAIRS}")))
        return [begun for begun in found if begun]

    def drop(self, jobs: Sequence[Job]) -> None:
        """Forget what these jobs were begun with; a folder goes when none of its pairs is left."""
        self.gone |= {identity(job) for job in jobs}
        self.sweep(self.gone.__contains__)

    def sweep(self, done: Callable[[Identity], bool]) -> None:
        """Remove the states of which every pair is done."""
        finished = [begun for begun in self.begun if all(map(done, begun.pairs))]
        for begun in finished:
            shutil.rmtree(begun.folder, ignore_errors=True)
            self.begun.remove(begun)
        if finished:
            with suppress(OSError):  # another process keeps states there
                self.folder.rmdir()
                self.folder.parent.rmdir()


def read(path: Path) -> Begun | None:
    """What a folder of states says of itself; None where it says nothing sensible."""
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))
        return Begun(path.parent, tuple((output, fingerprint) for output, fingerprint in pairs))
    except (OSError, ValueError, TypeError):
        return None


def identity(job: Job) -> Identity:
    """What a pair in progress is known by."""
    return job.pair.output.as_posix(), job.fingerprint


def folder_name(jobs: Sequence[Job]) -> str:
    """`<content>--<style>-and-2-more.<hash>`: the first pair, and the batch's identity."""
    first = re.sub(r"[^\w.+-]+", "--", jobs[0].pair.output.with_suffix("").as_posix())
    first = first.encode()[:120].decode(errors="ignore")
    more = f"-and-{len(jobs) - 1}-more" if len(jobs) > 1 else ""
    digest = hashlib.sha256(repr([identity(job) for job in jobs]).encode()).hexdigest()
    return f"{first}{more}.{digest[:16]}"


def sliced(state: State, indices: Sequence[int]) -> State:
    """The state of some of a batch's pictures.

    In the states of the module, its optimiser and its callbacks every tensor that has a dimension
    has the pictures as its first.
    """
    where = torch.tensor(indices)

    def pick(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[where] if value.ndim else value
        if isinstance(value, Mapping):
            return {key: pick(one) for key, one in value.items()}
        return [pick(one) for one in value] if isinstance(value, (list, tuple)) else value

    parts = ("state_dict", "optimizer_states", "callbacks", "pictures", "run")
    return {**state, **{part: pick(state[part]) for part in parts}}


class Files(CheckpointIO):
    """Lightning's way to disk: writes whole, synced files; gives back a state read before.

    Args:
        state: what `load_checkpoint` returns.
    """

    def __init__(self, state: State | None = None) -> None:
        self.state = state

    def save_checkpoint(self, checkpoint: State, path: Any, storage_options: Any = None) -> None:
        """Write a state in the place of an earlier one.

        Raises:
            OSError: it cannot be written.
        """
        with atomic_file(Path(path)) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # so torch says that a disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> State:
        """The state; the path only names where it came from."""
        assert self.state is not None
        return self.state

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a state."""
        Path(path).unlink(missing_ok=True)
