"""The strips and tiles of a TIFF, each decoded by itself. Imports no torch."""

import io
import struct
from collections.abc import Sequence

from PIL import Image, ImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from nst_lightning.imaging.opening import load, open_image

WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR = 256, 257, 259, 262, 277, 284
STRIP_OFFSETS, STRIP_ROWS, STRIP_BYTES = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
BITS, JPEG_TABLES = 258, 347

_HOW_PIXELS_ARE_STORED = (
    BITS, COMPRESSION, PHOTOMETRIC, 266, SAMPLES, PLANAR, 292, 293, 317, 320, 332, 338, 339,
    JPEG_TABLES, 529, 530, 531, 532,
)  # fmt: skip
"""The tags that say it; the rest is about where they are, or about the whole image."""

_NONE, _OLD_JPEG = 1, 6
_YCBCR = 6
PLAIN_STRIP = 1 << 22
"""Bytes that are read at a time where nothing is compressed."""


class TiffPieces:
    """Decodes parts of a TIFF that Pillow has opened, without decoding the others.

    Each strip or tile is given to Pillow as a small TIFF of its own, so that every compression and
    every way of storing colours comes out as it does where Pillow decodes the whole.

    Args:
        image: opened, not decoded.
        max_pixels: that its file may have.
    """

    def __init__(self, image: ImageFile.ImageFile, max_pixels: int) -> None:
        tags = image.tag_v2  # type: ignore[attr-defined]
        file = image.fp
        assert file is not None
        self.file = file
        self.tags: ImageFileDirectory_v2 = tags
        self.max_pixels = max_pixels
        self.image_width: int = tags[WIDTH]
        self.image_height: int = tags[HEIGHT]
        if TILE_OFFSETS in tags:
            self.width: int = tags[TILE_WIDTH]
            self.height: int = tags[TILE_HEIGHT]
            self.offsets: Sequence[int] = tags[TILE_OFFSETS]
            self.lengths: Sequence[int] = tags[TILE_BYTES]
        else:
            self.width = self.image_width
            self.height = min(tags.get(STRIP_ROWS, self.image_height), self.image_height)
            self.offsets, self.lengths = tags[STRIP_OFFSETS], tags[STRIP_BYTES]
            self._cut_plain_strips()
        self.across = -(-self.image_width // self.width)
        self.count = self.across * -(-self.image_height // self.height)
        self.planes: int = tags.get(SAMPLES, 1) if tags.get(PLANAR, 1) == 2 else 1

    @property
    def is_whole(self) -> bool:
        """Whether the file says of every piece where it is."""
        pieces = self.count * self.planes
        return (len(self.offsets), len(self.lengths)) == (pieces, pieces)

    def region(self, left: int, top: int, right: int, bottom: int) -> Image.Image:
        """Returns a part of the image as Pillow would of the whole, before any turn.

        Raises:
            Exception: a piece is damaged; see `as_sentences`.
        """
        found: Image.Image | None = None
        for row in range(top // self.height, -(-bottom // self.height)):
            for column in range(left // self.width, -(-right // self.width)):
                piece = self._decode(row * self.across + column)
                x, y = column * self.width, row * self.height
                if (x, y, x + piece.width, y + piece.height) == (left, top, right, bottom):
                    return piece
                if found is None:
                    found = Image.new(piece.mode, (right - left, bottom - top))
                    if piece.palette:
                        found.putpalette(piece.palette)
                inner = piece.crop(
                    (
                        max(left - x, 0),
                        max(top - y, 0),
                        min(right - x, piece.width),
                        min(bottom - y, piece.height),
                    )
                )
                found.paste(inner, (max(x - left, 0), max(y - top, 0)))
        assert found is not None  # a region has pixels
        return found

    def _cut_plain_strips(self) -> None:
        """Cuts rows that follow one another uncompressed into strips of our own: many programs
        write the whole image as one."""
        tags = self.tags
        bits, samples = tags.get(BITS, (1,)), tags.get(SAMPLES, 1)
        row = (self.image_width * bits[0] * samples + 7) // 8
        ends = [start + length for start, length in zip(self.offsets, self.lengths, strict=True)]
        if (
            tags.get(COMPRESSION, _NONE) == _NONE
            and tags.get(PHOTOMETRIC) != _YCBCR
            and (samples == 1 or tags.get(PLANAR, 1) == 1)
            and len(set(bits)) == 1
            and list(self.offsets[1:]) == ends[:-1]
            and ends[-1] - self.offsets[0] == row * self.image_height
        ):
            self.height = min(max(1, PLAIN_STRIP // row), self.image_height)
            tops = range(0, self.image_height, self.height)
            self.offsets = [self.offsets[0] + top * row for top in tops]
            self.lengths = [min(self.height, self.image_height - top) * row for top in tops]

    def _decode(self, number: int) -> Image.Image:
        """Returns one strip, or one tile with what it has beyond the image's border."""
        top = number // self.across * self.height
        tiled = TILE_OFFSETS in self.tags
        height = self.height if tiled else min(self.height, self.image_height - top)
        parts = [self._bytes(number + plane * self.count) for plane in range(self.planes)]
        header = self.tags.prefix + struct.pack(
            "<HL" if self.tags.prefix == b"II" else ">HL", 42, 8
        )
        small = ImageFileDirectory_v2(header)
        for tag in _HOW_PIXELS_ARE_STORED:
            if tag in self.tags:
                small.tagtype[tag] = self.tags.tagtype[tag]
                small[tag] = self.tags[tag]
        small[WIDTH], small[HEIGHT], small[STRIP_ROWS] = self.width, height, height
        small.tagtype[STRIP_OFFSETS] = small.tagtype[STRIP_BYTES] = 4
        # Pillow counts them from where the tags end.
        small[STRIP_OFFSETS] = tuple(sum(map(len, parts[:i])) for i in range(len(parts)))
        small[STRIP_BYTES] = tuple(map(len, parts))
        file = io.BytesIO(header + small.tobytes(8) + b"".join(parts))
        piece = open_image(file, self.max_pixels)
        load(piece, self.max_pixels)
        return piece

    def _bytes(self, number: int) -> bytes:
        self.file.seek(self.offsets[number])
        data = self.file.read(self.lengths[number])
        if len(data) < max(self.lengths[number], 1):
            raise OSError("image file is truncated")
        return data


def find_pieces(image: ImageFile.ImageFile, max_pixels: int) -> TiffPieces | None:
    """Returns the pieces of an opened image; None where it is no TIFF, or one that can only be
    decoded as a whole."""
    if image.format != "TIFF" or image.tag_v2.get(COMPRESSION) == _OLD_JPEG:  # type: ignore[attr-defined]
        return None
    try:
        pieces = TiffPieces(image, max_pixels)
    except Exception:  # damaged tags raise nearly anything; Pillow says what is wrong with them
        return None
    return pieces if pieces.is_whole else None
