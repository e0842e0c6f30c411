"""Whether a film's file is as long as it says: a copy that broke off is not."""

import os
import struct
from typing import BinaryIO


def missing_bytes(file: BinaryIO) -> int:
    """Returns how many bytes are missing at the end of a film's file, opened at its beginning.

    It is 0 where the file is whole and where its format does not tell how long it is. Known are MP4
    and MOV (ISO/IEC 14496-12, 4.2), MKV and WebM (RFC 8794), AVI, and of MPEG-TS and M2TS whether
    the last packet is whole (ITU-T H.222.0, 2.4.3.2).
    """
    size = os.fstat(file.fileno()).st_size
    start = file.read(12)
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        end = _segment_end(file)
    elif start.startswith(b"RIFF"):
        end = 8 + struct.unpack("<I", start[4:8])[0]
    elif start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        end = _boxes_end(file, size)
    else:
        end = _packets_end(file, size)
    return max(0, end - size)


def _packets_end(file: BinaryIO, size: int) -> int:
    """Returns where the last packet of an MPEG-TS ends; 0 where what is left at the end is none,
    and for another file."""
    for length, sync in ((188, 0), (192, 4)):  # of M2TS, after four bytes with the time
        file.seek(0)
        start = file.read(2 * length)
        if start[sync::length] == b"\x47\x47":
            last = size // length * length
            file.seek(last + sync)
            return last + length if file.read(1) == b"\x47" else 0
    return 0


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Returns where the last of the boxes of an MP4 ends."""
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16).ljust(16, b"\0")
        length = struct.unpack(">I", header[:4])[0]
        if length == 1:
            length = struct.unpack(">Q", header[8:])[0]
        if length < 8:  # 0: up to the end of the file; else what follows is no box
            return size
        at += length
    return at


def _segment_end(file: BinaryIO) -> int:
    """Returns where the segment of a Matroska file ends; 0 where its size is not known."""
    file.seek(4)
    header = _number(file)
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _number(file)
    return file.tell() + length if length else 0


def _number(file: BinaryIO) -> int:
    """Reads an EBML number of variable length; 0 where all its bits are set: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return 0
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big") - (1 << (7 * (more + 1)))
    return 0 if value == (1 << (7 * (more + 1))) - 1 else value
