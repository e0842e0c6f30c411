"""The cache folder: where it is, and one writer at a time. Imports no torch."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from nst_lightning.errors import UserError

LOCK_PATIENCE = 1800.0
"""Seconds to wait for another process's pull before giving up."""

_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def cache_folder() -> Path:
    """Returns the folder of pulled weights: `NST_CACHE`, else this platform's cache folder."""
    chosen = os.environ.get("NST_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(platformdirs.user_cache_dir("nst-lightning", appauthor=False))


def say(line: str) -> None:
    """Prints one line for the person watching; standard output stays for results."""
    print(line, file=sys.stderr, flush=True)


def unwritable(folder: Path, error: OSError) -> UserError:
    """Makes the error for a cache folder that is read-only, full or not a folder."""
    return UserError(
        f"the cache folder {folder} cannot be written ({error.strerror or error}): make room and "
        "grant access there, or set NST_CACHE to a folder that can be written."
    )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock that says who may write `path`, waiting for another process that has it.

    A file system without locks is used without: files appear by rename, so the worst is that the
    same bytes are fetched twice.

    Raises:
        UserError: the folder cannot be written, or the lock is still held after LOCK_PATIENCE.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquired(path)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _acquired(path: Path) -> FileLock | None:
    lock = FileLock(f"{path}.lock")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another process that is fetching {path.name}")
            lock.acquire(timeout=LOCK_PATIENCE)
    except Timeout:
        raise UserError(
            f"another process has held {path}.lock for {LOCK_PATIENCE / 60:.0f} minutes: end it "
            "if it hangs, then try again."
        ) from None
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return None
        raise
    return lock
