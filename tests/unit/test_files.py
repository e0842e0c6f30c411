"""Files are seen whole or not at all, and what killed writers leave is removed."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nst_lightning.files import (
    atomic_file,
    create,
    home_expanded,
    is_alive,
    printable,
    remove_leftovers,
    started_at,
    write_text,
)

STUCK_WRITER = """
import sys, time
from pathlib import Path
from nst_lightning.files import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half of the new")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def leftovers(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nst-tmp"))


@pytest.fixture
def dead_pid() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "a.bin"
    with atomic_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
        (temporary,) = leftovers(tmp_path)
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".a.bin.")
        assert f"-{os.getpid()}-" in temporary.name
    assert path.read_bytes() == b"whole"
    assert not leftovers(tmp_path)


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "fjörd\nzwei\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "fjörd\nzwei\r\n".encode()


def test_the_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_an_exception_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_file(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_text(tmp_path / "a", "new")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_file_where_a_folder_is_needed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(OSError, match="a"):
        write_text(tmp_path / "a" / "b.txt", "new")
    assert (tmp_path / "a").read_text() == "a file"


def test_the_data_reach_the_disk_before_the_name_and_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "a.txt", []

    def fsync(descriptor: int) -> None:
        info = os.fstat(descriptor)
        seen.append((info.st_ino, info.st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(path, "12345")
    assert seen[0] == (path.stat().st_ino, 5, False)
    assert (seen[1][0], seen[1][2]) == (tmp_path.stat().st_ino, True)


def test_a_file_system_without_fsync_is_used_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", unsupported)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, ".hidden", "a b"])
def test_any_name_that_the_file_system_takes(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    texts = [letter * 200_000 for letter in "abcd"]

    def write(text: str) -> None:
        for _ in range(5):
            write_text(path, text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert not leftovers(tmp_path)


def test_kill_9_leaves_the_old_file_whole_and_the_leftover_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", STUCK_WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            remove_leftovers(tmp_path)
            assert len(leftovers(tmp_path)) == 1, "a living writer's file was taken away"
        finally:
            writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    assert [p.read_bytes() for p in leftovers(tmp_path)] == [b"half of the new"]
    remove_leftovers(tmp_path)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text() == "old"


def test_removing_leftovers_spares_other_hosts_for_a_day(tmp_path: Path, dead_pid: int) -> None:
    young = tmp_path / f".a.png.elsewhere-{dead_pid}-0123abcd.nst-tmp"
    old = tmp_path / f".b.png.elsewhere-{dead_pid}-0123abcd.nst-tmp"
    for path in (young, old):
        path.write_bytes(b"")
    long_ago = time.time() - 25 * 3600
    os.utime(old, (long_ago, long_ago))
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [young]


def test_removing_leftovers_tells_hosts_with_domains_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead_pid: int
) -> None:
    def write_as(host: str) -> Path:
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        with atomic_file(tmp_path / "a.png"):
            (temporary,) = leftovers(tmp_path)
        name = temporary.name.replace(f"-{os.getpid()}-", f"-{dead_pid}-")
        return temporary.with_name(name)

    theirs, ours = write_as("node.other"), write_as("other")
    theirs.write_bytes(b"")
    ours.write_bytes(b"")
    remove_leftovers(tmp_path)
    assert theirs.exists()
    assert not ours.exists()


def test_removing_leftovers_touches_nothing_else(
    tmp_path: Path,
) -> None:
    for name in ("a.png", "odd.nst-tmp", ".a.tmp"):
        (tmp_path / name).write_bytes(b"")
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "absent")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_home_that_nobody_has_is_a_name_like_any_other():
    assert home_expanded("~/x") == Path.home() / "x"
    assert home_expanded("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


def test_a_printable_text_is_one_line():
    assert printable("é\n\x1b[31m\u202e\udcff") == "é\\n\\x1b[31m\\u202e\\udcff"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a process began")
def test_a_process_is_told_from_another_of_its_number(dead_pid: int):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert started_at(os.getpid()).isdecimal()
        assert int(started_at(child.pid)) >= int(started_at(os.getpid()))
        assert is_alive(child.pid)
    finally:
        child.communicate(b"\n")
    assert started_at(dead_pid) == ""


@pytest.mark.parametrize("links", [True, False])
def test_only_one_of_several_writers_creates_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
):
    if not links:

        def refuse(*paths: Path) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "folder" / "file"
    made: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(create(path, b"%d" % n * 99)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert len(set(path.read_bytes())) == 1
    assert len(path.read_bytes()) == 99
    assert list(path.parent.iterdir()) == [path]
