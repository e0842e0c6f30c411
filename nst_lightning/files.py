"""Files that are seen whole or not at all, whatever happens meanwhile. Imports no torch."""

import errno
import hashlib
import itertools
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".nst-tmp"
STALE_SECONDS = 24 * 3600.0
"""Age beyond which a leftover is removed whoever made it: none is in use for that long."""

_NAME_BYTES = 255
"""The longest file name that common file systems take."""

_NO_FSYNC_HERE = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
_NO_LINKS_HERE = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_LEFTOVER = re.compile(r"\.(?P<host>[^.]*)-(?P<pid>\d+)-[0-9a-f]+\.nst-tmp$")


def file_sha256(path: Path) -> str:
    """Returns the sha256 of a file's bytes."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that takes the place of `path` when the `with` ends without an exception.

    Until then, and for good when there is one, `path` is as it was. Of two writers the last one
    to finish wins, and leaves one whole file. The folder is made if need be.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_temporary_name(path.name))
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            _fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _fsync_folder(path.parent)


def check_inside(out: Path, path: Path) -> None:
    """Sees that no link on the way to a folder, or to a file written in place, leads out of `out`.

    The output folder itself may be a link, and links that stay in it are fine.

    Args:
        out: the output folder.
        path: below it, `out` being the beginning of its name.

    Raises:
        OSError: a link leads out of it; its `filename` is the link.
    """
    root = os.path.realpath(out)

    def leads_out(place: Path) -> bool:
        return not Path(os.path.realpath(place)).is_relative_to(root)

    if leads_out(path):
        below = itertools.takewhile(lambda place: place != out, (path, *path.parents))
        link = [place for place in below if leads_out(place)][-1]
        raise OSError(errno.ELOOP, f"{link} is a link that leads out of {out}", str(link))


def files_and_links(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns all files below a folder and all links, each in order; no link is followed."""
    files, links = [], []
    for current, folders, names in os.walk(folder):
        for path in (Path(current, name) for name in (*folders, *names)):
            if path.is_symlink():
                links.append(path)
            elif path.is_file():
                files.append(path)
    return sorted(files), sorted(links)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Writes a file of these bytes; see `atomic_file`."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Writes text as UTF-8, its line ends as they are; see `atomic_file` and `spell`."""
    write_bytes(path, spell(text).encode())


def create(path: Path, data: bytes) -> bool:
    """Writes a file that is seen whole, unless there is one: of several writers one succeeds, on
    shared disks too.

    Returns:
        Whether it was this one.

    Raises:
        OSError: it cannot be written.
    """
    whole = path.with_name(_temporary_name(path.name))
    write_bytes(whole, data)
    try:
        os.link(whole, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS_HERE:
            raise
        with suppress(FileExistsError), path.open("xb") as file:  # may be seen half-written
            file.write(data)
            return True
        return False
    finally:
        whole.unlink()
    return True


def spell(text: str) -> str:
    """Returns a text that UTF-8 can hold.

    A file's name is bytes on Linux. Those that are not UTF-8 stand in text as lone surrogates
    (PEP 383), which UTF-8 does not have: they are spelled `\\udcff`.
    """
    return text.encode("utf-8", errors="backslashreplace").decode()


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; there is none of a name that the system refuses."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def printable(text: str) -> str:
    """Returns a text in one line: line ends and control characters are spelled `\\n`, `\\x1b`."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def home_expanded(text: str) -> Path:
    """Returns a path that a user wrote, its `~` or `~name` read where there is such a home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def file_state(path: Path) -> tuple[str, int, int]:
    """Returns name, size and date of a file, 0 where there is none: another one has others."""
    try:
        found = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, found.st_size, found.st_mtime_ns


def remove_leftovers(folder: Path) -> None:
    """Removes what killed writers left anywhere below `folder`.

    Those are the temporary files of processes of this host that no longer live; of other hosts,
    where that cannot be seen, only those older than a day. Nothing is raised: a leftover that
    cannot be removed does no harm.
    """
    for current, _, names in os.walk(folder):
        for name in names:
            if name.endswith(SUFFIX):
                _remove_if_abandoned(Path(current) / name)


def remove_leftovers_of(path: Path) -> None:
    """Removes what killed writers of one file left beside it; see `remove_leftovers`."""
    if not path.parent.is_dir():
        return
    for leftover in path.parent.glob(f".*{SUFFIX}"):
        parts = _LEFTOVER.search(leftover.name)
        if parts and path.name.startswith(leftover.name[1 : parts.start()]):
            _remove_if_abandoned(leftover)


def is_alive(pid: int) -> bool:
    """Whether a process of this host lives, as far as can be seen."""
    if os.name != "posix":  # there, signal 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


def started_at(pid: int) -> str:
    """Returns when a process of this host began, in ticks of Linux's clock; "" on other systems
    and of a process that is gone. It tells apart processes that had the same number.
    """
    try:
        # proc(5): the 22nd field; the second, a name in brackets, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _temporary_name(name: str) -> str:
    tail = f".{_host()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
    room = _NAME_BYTES - len(os.fsencode(tail)) - 1
    return f".{name.encode('utf-8', 'ignore')[:room].decode('utf-8', 'ignore')}{tail}"


def _host() -> str:
    """Returns this host's name as a part of a file name: without the dots that divide its parts."""
    return re.sub(r"[^\w-]", "_", socket.gethostname(), flags=re.ASCII)[:64]


def _remove_if_abandoned(leftover: Path) -> None:
    with suppress(OSError):
        if _abandoned(leftover):
            leftover.unlink()


def _abandoned(leftover: Path) -> bool:
    if time.time() - leftover.lstat().st_mtime > STALE_SECONDS:
        return True
    parts = _LEFTOVER.search(leftover.name)
    return parts is not None and parts["host"] == _host() and not is_alive(int(parts["pid"]))


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC_HERE:
            raise


def _fsync_folder(folder: Path) -> None:
    """Makes a rename last through a power cut, where the system has a way to."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that one may write to but not list
        return
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)
