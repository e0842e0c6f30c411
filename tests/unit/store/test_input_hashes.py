"""Checksums of inputs, remembered from run to run."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from nst_lightning.files import file_sha256
from nst_lightning.layout import INPUT_HASHES
from nst_lightning.store import input_hashes as module
from nst_lightning.store.input_hashes import InputHashes


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read."""
    seen: list[Path] = []
    whole = file_sha256

    def watch(path: Path) -> str:
        seen.append(path)
        return whole(path)

    monkeypatch.setattr(module, "file_sha256", watch)
    return seen


def put(path: Path, data: bytes, age: float) -> str:
    path.write_bytes(data)
    os.utime(path, (time.time() - age, time.time() - age))
    return hashlib.sha256(data).hexdigest()


def run(out: Path, path: Path) -> str:
    hashes = InputHashes(out)
    found = hashes.of(path)
    assert hashes.of(path) == found
    hashes.save()
    return found


def test_an_old_file_is_read_once(tmp_path: Path, read: list[Path]):
    path = tmp_path / "größe.png"
    expected = put(path, b"one", age=100)
    assert [run(tmp_path, path) for _ in range(3)] == [expected] * 3
    assert read == [path]
    changed = put(path, b"two", age=50)  # as large, another date
    assert run(tmp_path, path) == changed


def test_a_file_changed_just_now_is_read_again(tmp_path: Path, read: list[Path]):
    path = tmp_path / "a.png"
    expected = put(path, b"one", age=0)
    assert [run(tmp_path, path) for _ in range(2)] == [expected] * 2
    assert read == [path, path]


@pytest.mark.parametrize("damage", ["", "[]", "{torn"])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, read: list[Path], damage: str):
    path = tmp_path / "a.png"
    expected = put(path, b"one", age=100)
    (tmp_path / INPUT_HASHES).parent.mkdir()
    (tmp_path / INPUT_HASHES).write_text(damage)
    assert [run(tmp_path, path) for _ in range(2)] == [expected] * 2
    assert read == [path]


def test_without_a_folder_nothing_is_written(tmp_path: Path):
    path = tmp_path / "a.png"
    expected = put(path, b"one", age=100)
    hashes = InputHashes(None)
    assert hashes.of(path) == expected
    hashes.save()
    assert list(tmp_path.iterdir()) == [path]
