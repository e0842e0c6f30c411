"""What can be said of an image file without decoding it."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageFile, PngImagePlugin

from nst_lightning.formats import READABLE_SUFFIXES, UNSUPPORTED_SUFFIXES
from nst_lightning.imaging.metadata import image_size, read_metadata


def test_suffixes() -> None:
    expected = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
    assert expected == READABLE_SUFFIXES
    assert UNSUPPORTED_SUFFIXES.isdisjoint(READABLE_SUFFIXES)
    assert {
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".psd",
        ".svg",
        ".cr2",
        ".exr",
    } <= UNSUPPORTED_SUFFIXES
    assert all(
        s.startswith(".") and s == s.lower() for s in READABLE_SUFFIXES | UNSUPPORTED_SUFFIXES
    )


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp", "a.gif"])
def test_the_size_is_had_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / name)

    def decoded(self: ImageFile.ImageFile) -> None:
        raise AssertionError("the pixels were decoded")

    for plugin in (ImageFile.ImageFile, PngImagePlugin.PngImageFile):
        monkeypatch.setattr(plugin, "load", decoded)
    assert image_size(tmp_path / name) == (20, 30)


def test_nothing_heavy_is_imported_for_the_constants() -> None:
    code = (
        "import sys, nst_lightning.imaging.metadata, nst_lightning.files\n"
        "assert not {'torch', 'PIL', 'numpy'} & set(sys.modules)\n"
        "import nst_lightning.report.contact_sheet, nst_lightning.imaging.decoding\n"
        "assert 'torch' not in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    """A PNG with all three kinds of text chunks."""
    info = PngImagePlugin.PngInfo()
    info.add_text("plain", "café")
    info.add_text("packed", "squeezed " * 50, zip=True)
    info.add_itxt("unicode", "日本", lang="ja", tkey="翻訳")
    info.add_itxt("packed unicode", "日本 " * 50, zip=True)
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png", pnginfo=info)
    return tmp_path / "a.png"


def test_metadata_of_every_kind(annotated: Path) -> None:
    assert read_metadata(annotated) == {
        "plain": "café",
        "packed": "squeezed " * 50,
        "unicode": "日本",
        "packed unicode": "日本 " * 50,
    }


def test_metadata_of_a_png_that_is_not_whole(annotated: Path) -> None:
    data = annotated.read_bytes()
    for length in range(len(data)):
        annotated.write_bytes(data[:length])
        assert read_metadata(annotated) == {}, length


def test_metadata_that_were_altered(annotated: Path) -> None:
    data = annotated.read_bytes()
    annotated.write_bytes(data.replace(b"caf\xe9", b"cafe"))
    assert read_metadata(annotated) == {}


def test_text_that_unpacks_without_end(tmp_path: Path) -> None:
    data = b"zTXt" + b"bomb\0\0" + zlib.compress(bytes(2**25), 9)
    bomb = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:33] + bomb + whole[33:])
    assert read_metadata(tmp_path / "a.png") == {}


def test_metadata_of_other_files(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg", comment=b"hello")
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("a.jpg", "plain.png", "empty.png", "absent.png", "."):
        assert read_metadata(tmp_path / name) == {}, name
