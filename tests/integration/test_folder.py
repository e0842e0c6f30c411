"""archive and clean, on a true folder of results."""

import hashlib
import tarfile
import zipfile
from pathlib import Path

import pytest

from .conftest import EXAMPLES, Nst


@pytest.fixture
def out(nst: Nst, tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    words = ("--weights", "random", "--size", 48, "--steps", 4, "--curves", "--save-every", 2)
    made = nst(
        "grid", EXAMPLES / "contents" / "chelsea.jpg", EXAMPLES / "styles", "--out", folder, *words
    )
    assert made.returncode == 0, made.stderr
    assert (folder / "curves-chelsea.png").is_file()  # one row, its styles overlaid
    assert nst("report", folder).returncode == 0
    return folder


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_an_archive_holds_everything_with_its_checksums(nst: Nst, out: Path):
    visible = {name for name in files(out) if not name.startswith(".")}
    assert nst("archive", out).returncode == 0
    with tarfile.open(out.with_name("results.tar.gz")) as tar:
        packed = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    assert set(packed) == {f"results/{name}" for name in (*visible, "SHA256SUMS")}
    for line in packed["results/SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(packed[f"results/{name}"]).hexdigest() == digest
        assert packed[f"results/{name}"] == (out / name).read_bytes()

    inside = out / "all.zip"
    for _ in range(2):  # the second time it is there already, and must not pack itself
        assert nst("archive", out, "--out", inside).returncode == 0
        with zipfile.ZipFile(inside) as pack:
            assert set(pack.namelist()) == set(packed)
    wrong = nst("archive", out, "--out", out / "all.rar")
    assert (wrong.returncode, "ends in .tar.gz" in wrong.stderr) == (2, True)


def test_clean_removes_what_was_made_and_nothing_else(nst: Nst, out: Path):
    mine = out / "chelsea" / "notes.txt"
    mine.write_text("mine")
    replaced = out / "chelsea" / "woodcut.png"
    replaced.write_bytes((EXAMPLES / "styles" / "woodcut.jpg").read_bytes())
    before = files(out)
    asked = nst("clean", out)
    assert asked.returncode == 2
    assert "add --yes" in asked.stderr
    assert "chelsea/brush_flow.png" in asked.stdout
    assert files(out) == before

    assert nst("clean", out, "--yes").returncode == 0
    left = files(out)
    assert {"chelsea/notes.txt", "chelsea/woodcut.png"} <= left
    assert all(name.startswith(("chelsea/woodcut", "chelsea/notes")) for name in left)
    again = nst("clean", out, "--yes")
    assert again.returncode == 2
    assert "is not an output folder" in again.stderr


def test_clean_leaves_no_empty_folder(nst: Nst, out: Path):
    assert nst("clean", out, "--yes").returncode == 0
    assert not out.exists()
