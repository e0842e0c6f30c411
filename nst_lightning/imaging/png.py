"""The chunks of a PNG file, without its pixels."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
MAX_TEXT = 16 * 2**20
"""Bytes of text, unpacked, beyond which a chunk is taken to be harmful."""


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, where its data begin, length) of each chunk up to and with IEND.

    Raises:
        ValueError: this is no PNG, or it ends before its last chunk does.
    """
    end = file.seek(0, 2)
    file.seek(0)
    if file.read(8) != SIGNATURE:
        raise ValueError("not a PNG")
    position, name = 8, b""
    while name != b"IEND":
        file.seek(position)
        head = file.read(8)
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or position + 12 + length > end:
            raise ValueError("cut short")
        yield name, position + 8, length
        position += 12 + length


def texts(file: BinaryIO) -> dict[str, str]:
    """Reads the texts of a whole PNG by keyword.

    Raises:
        ValueError: this is no PNG, it is cut short, or a text chunk is damaged.
    """
    found: dict[str, str] = {}
    for name, start, length in chunks(file):
        if name in TEXT_CHUNKS:
            file.seek(start)
            data = file.read(length)
            if zlib.crc32(name + data) != int.from_bytes(file.read(4), "big"):
                raise ValueError("a text chunk is damaged")
            keyword, text = _text(name, data)
            found[keyword] = text
    return found


def has_text_or_exif_after_pixels(file: BinaryIO) -> bool:
    """Returns whether the orientation may stand behind the pixels; `file` stays where it is."""
    position = file.tell()
    names = []
    with suppress(ValueError):  # a broken end takes nothing from what stands before it
        for name, _, _ in chunks(file):
            names.append(name)
    file.seek(position)
    late = names[names.index(b"IDAT") :] if b"IDAT" in names else []
    return not TEXT_CHUNKS.isdisjoint(late) or b"eXIf" in late


def _text(name: bytes, data: bytes) -> tuple[str, str]:
    keyword, _, rest = data.partition(b"\0")
    encoding = "latin-1"
    if name == b"zTXt":
        rest = _unpack(rest[1:])
    elif name == b"iTXt":
        packed, encoding = rest[:1] == b"\1", "utf-8"
        rest = rest[2:].split(b"\0", 2)[2] if rest.count(b"\0", 2) >= 2 else b""
        rest = _unpack(rest) if packed else rest
    return keyword.decode("latin-1"), rest.decode(encoding)


def _unpack(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT)
    except zlib.error as error:
        raise ValueError(f"a text chunk is damaged ({error})") from None
    if not unpacker.eof:
        raise ValueError("a text chunk is damaged or too long")
    return text
