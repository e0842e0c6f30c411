"""TIFFs of any size: in strips or tiles, some rows at a time, beyond 4 GiB as BigTIFF.

Pillow writes the tags, the EXIF among them, but no colour of 16 bits, no tiles, and only what it
holds as a whole.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import BinaryIO

import torch
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from torch import Tensor

from nst_lightning.imaging.levels import LevelRows, interleaved
from nst_lightning.imaging.metadata import Metadata, xmp_packet
from nst_lightning.imaging.tiff_pieces import (
    BITS,
    COMPRESSION,
    HEIGHT,
    PHOTOMETRIC,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    STRIP_ROWS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
)

TILED_FROM = 1 << 26
"""Pixels above which a TIFF is tiled, so that programs show a part of it without the rest. Below,
it has strips, which more programs read."""

TILE = 256
"""Side of a tile, in pixels."""

STRIP_PIXELS = 1 << 20
"""Pixels of a strip, at most."""

CLASSIC_BYTES = 2**32
"""The offsets of a TIFF end there, those of a BigTIFF do not."""

_RESOLUTION_X, _RESOLUTION_Y, _RESOLUTION_UNIT = 282, 283, 296
_PREDICTOR, _EXTRA_SAMPLES, _XMP, _PROFILE = 317, 338, 700, 34675
_DEFLATE, _RGB, _INCH, _DIFFERENCES, _ALPHA_APART = 8, 2, 2, 2, 2
_BYTE, _LONG, _UNDEFINED, _LONG8 = 1, 4, 7, 16  # types of tags
_THREADS = 8


@dataclass(frozen=True)
class _Layout:
    """How the pixels are cut into pieces."""

    height: int
    width: int
    tiled: bool
    across: int
    count: int
    big: bool


def write_tiff(file: BinaryIO, image: LevelRows, metadata: Metadata) -> None:
    """Writes a TIFF; beside the image it takes memory for a row of its tiles.

    Args:
        file: to write to, from its beginning; it is gone back in.
        image: the pixels.
        metadata: texts, EXIF and colour profile.
    """
    layout = _plan(image)
    header = _header(layout.big)
    tags = _tags(image, metadata, layout)
    # They stand before the pixels, as EXIF's own tags have to within the first 4 GiB: where the
    # pieces are is filled in when they are written.
    _locate(tags, layout, [0] * layout.count, [0] * layout.count, 0)
    begin = len(header) + len(tags.tobytes(len(header)))
    file.seek(begin)
    offsets, lengths = [], []
    for piece in _pieces(image, layout):
        offsets.append(file.tell())
        lengths.append(len(piece))
        file.write(piece)
    _locate(tags, layout, offsets, lengths, begin)
    file.seek(0)
    file.write(header + tags.tobytes(len(header)))
    file.seek(0, os.SEEK_END)


def _plan(image: LevelRows) -> _Layout:
    tiled = image.height * image.width > TILED_FROM
    width = TILE if tiled else image.width
    height = TILE if tiled else min(max(1, STRIP_PIXELS // image.width), image.height)
    across, down = -(-image.width // width), -(-image.height // height)
    pixels = across * width * (down * height if tiled else image.height)
    # Deflate adds at most 1 in 1000 to what it cannot compress; the rest is for the tags.
    most = pixels * image.channels * image.bits // 8 * 1.001 + 2**26
    return _Layout(height, width, tiled, across, across * down, most >= CLASSIC_BYTES)


def _header(big: bool) -> bytes:
    return (
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big else struct.pack("<2sHL", b"II", 42, 8)
    )


def _tags(image: LevelRows, metadata: Metadata, layout: _Layout) -> ImageFileDirectory_v2:
    tags = ImageFileDirectory_v2(_header(layout.big))
    tags[WIDTH], tags[HEIGHT] = image.width, image.height
    tags[BITS] = (image.bits,) * image.channels
    tags[COMPRESSION], tags[PHOTOMETRIC], tags[SAMPLES] = _DEFLATE, _RGB, image.channels
    tags[_RESOLUTION_X] = tags[_RESOLUTION_Y] = 72.0  # which a TIFF must have
    tags[_RESOLUTION_UNIT] = _INCH
    tags[_PREDICTOR] = _DIFFERENCES
    if image.channels == 4:
        tags[_EXTRA_SAMPLES] = _ALPHA_APART  # not multiplied into the colours
    if layout.tiled:
        tags[TILE_WIDTH], tags[TILE_HEIGHT] = layout.width, layout.height
    else:
        tags[STRIP_ROWS] = layout.height
    tags.tagtype[_XMP] = _BYTE
    tags[_XMP] = xmp_packet(metadata.texts)
    if metadata.profile:
        tags.tagtype[_PROFILE] = _UNDEFINED
        tags[_PROFILE] = metadata.profile
    for tag, value in metadata.exif.items():
        tags[tag] = value
    return tags


def _locate(
    tags: ImageFileDirectory_v2, layout: _Layout, offsets: list[int], lengths: list[int], begin: int
) -> None:
    """Says where the pieces are, the first of them at `begin`."""
    where, size = (TILE_OFFSETS, TILE_BYTES) if layout.tiled else (STRIP_OFFSETS, STRIP_BYTES)
    if not layout.tiled:  # Pillow counts strips from where the tags end
        offsets = [offset - begin for offset in offsets] if begin else offsets
    tags.tagtype[where] = _LONG8 if layout.big else _LONG
    tags.tagtype[size] = _LONG
    tags[where], tags[size] = tuple(offsets), tuple(lengths)


def _pieces(image: LevelRows, layout: _Layout) -> Iterator[bytes]:
    """Yields the compressed pieces in order, some of which are compressed at the same time."""
    across, width = range(layout.across), layout.width
    cut = (
        band[..., i * width : (i + 1) * width]
        for band in image.bands(layout.height)
        for i in across
    )
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        while some := list(islice(cut, 2 * _THREADS)):
            yield from pool.map(partial(_packed, layout=layout, bits=image.bits), some)


def _packed(levels: Tensor, layout: _Layout, bits: int) -> bytes:
    """Returns a piece, (C, h, w), deflated: each pixel as its difference from the one to its left.

    A tile is filled up at its right and at its bottom.
    """
    before = torch.cat([torch.zeros_like(levels[..., :1]), levels[..., :-1]], dim=-1)
    differences = levels - before  # modulo 256, or to be taken modulo 65536
    if layout.tiled:
        missing = (0, layout.width - levels.shape[-1], 0, layout.height - levels.shape[-2])
        differences = torch.nn.functional.pad(differences, missing)
    return zlib.compress(interleaved(differences & (2**bits - 1), bits), 6)
