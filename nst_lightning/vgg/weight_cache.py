"""The cache folder: where it is, one writer at a time, whole files or none. Imports no torch."""

import contextlib
import errno
import os
import secrets
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
    """The folder that holds pulled weights: `NST_CACHE`, else this platform's cache folder."""
    chosen = os.environ.get("NST_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(platformdirs.user_cache_dir("nst-lightning", appauthor=False))


def say(line: str) -> None:
    """One line for the person watching; standard output stays for results."""
    print(line, file=sys.stderr, flush=True)


def unwritable(folder: Path, error: OSError) -> UserError:
    """The sentence for a cache folder that is read-only, full or not a folder."""
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


def write_atomic(path: Path, data: bytes) -> None:
    """Writes a file that is seen whole or not at all, whatever happens meanwhile.

    Raises OSError when the folder cannot be written; nothing is left behind then.
    """
    # Not tempfile's: that would make the file unreadable for others who share the folder.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def sweep(path: Path) -> None:
    """Removes what killed writers of `path` left; only for who holds its lock."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(OSError):
            leftover.unlink()
