"""What a picture file says before it is decoded: format, size, metadata. Imports no torch.

Pillow is imported when a file is opened, because `nst-batch --help` does not need it.
"""

import math
from pathlib import Path

from nst_lightning.imaging import png

MAX_PIXELS: int = 178_956_970
"""Pictures of more pixels are refused as decompression bombs: Pillow's own limit."""

SUFFIXES: frozenset[str] = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
)
"""The suffixes, in lower case, of the formats that can be read."""

RESULT_SUFFIXES: dict[str, str] = {"png": "png", "jpeg": "jpg", "webp": "webp", "tiff": "tif"}
"""The suffix, without its dot, of results in each format that is written."""

FORMATS: dict[str, str] = {f".{suffix}": name for name, suffix in RESULT_SUFFIXES.items()} | {
    ".jpeg": "jpeg",
    ".tiff": "tiff",
}
"""The format that a suffix, in lower case, stands for."""

SMALLEST_START = 192
"""Longest side, in pixels, from which `scales: auto` starts at the least, and to which a share of a
picture's size does not go below: with fewer too little of a photograph is left (looked at; figures
in docs/performance.md)."""

Target = int | float | tuple[int, int]
"""A size to bring a picture to: its longest side, a share of its own size, or (height, width)."""

_RAW = """
.3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf
.raw .rw2 .rwl .sr2 .srf .srw .x3f
"""
_OTHERS = """
.ai .apng .avif .cur .dds .dib .emf .eps .exr .fits .hdr .heic .heif .hif .icns .ico .j2c .j2k
.jfif .jif .jp2 .jpc .jpe .jpf .jpx .jxl .jxr .kra .pbm .pcx .pfm .pgm .pic .pnm .ppm .psb .psd
.qoi .sgi .svg .svgz .tga .wdp .wmf .xbm .xcf .xpm
"""

CAMERA_RAW: frozenset[str] = frozenset(_RAW.split())
"""Raw camera files: many look like a TIFF whose first page is a mere thumbnail."""

OTHER_PICTURES: frozenset[str] = CAMERA_RAW | frozenset(_OTHERS.split())
"""The suffixes of pictures in formats that are known but not supported, so that they are named."""


def picture_size(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a picture as it is to be looked at, without decoding its pixels.

    Raises:
        UserError: the file is not a picture that can be read, or has more than `max_pixels`.
    """
    from nst_lightning.imaging.opening import header_orientation, opened

    with opened(path, max_pixels) as image:
        width, height = image.size
        # Pillow gives a TIFF's size with the orientation applied, and only a TIFF's.
        turned = image.format != "TIFF" and header_orientation(image) >= 5
    return (width, height) if turned else (height, width)


def fit(height: int, width: int, size: Target | None, upscale: bool = False) -> tuple[int, int]:
    """(height, width) with the longest side brought to `size`, the aspect kept.

    The other side is rounded to the nearest whole number, at least 1. None leaves a picture as
    it is, and so does a `size` beyond the longest side unless `upscale` is asked for. A `size` of
    two numbers is (height, width) itself, whatever the aspect. A float is a share of the picture's
    own size, of which at least `SMALLEST_START` pixels are left where it has so many.

    Raises:
        ValueError: a side or `size` is below 1, or a share is not above 0.
    """
    if isinstance(size, tuple):
        return size
    if isinstance(size, float):
        if size <= 0:
            raise ValueError(f"a share must be above 0, not {size}")
        own = max(height, width)
        size = max(math.floor(own * size + 0.5), min(SMALLEST_START, own))
    if height < 1 or width < 1 or (size is not None and size < 1):
        raise ValueError(f"sides must be at least 1, not {height} x {width} to {size}")
    longest = max(height, width)
    if size is None or size == longest or (size > longest and not upscale):
        return height, width
    # In whole numbers: (2 a b + c) // 2c rounds a b / c half up, without a float's doubts.
    scaled = [max(1, (2 * side * size + longest) // (2 * longest)) for side in (height, width)]
    return scaled[0], scaled[1]


def read_metadata(path: Path | str) -> dict[str, str]:
    """The texts of a picture by keyword: the text chunks of a PNG, and those that `write_result`
    puts into the XMP of other formats; {} for any other file, and for one that is not whole."""
    path = Path(path)
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            if file.read(8) == png.SIGNATURE:
                return png.texts(file)
    except (OSError, ValueError):
        return {}
    from nst_lightning.imaging.xmp import read_texts

    return read_texts(path)
