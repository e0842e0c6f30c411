"""What can be said of a picture format before any file is opened. Imports no torch."""

from typing import Literal

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

FilmFormat = Literal["gif", "mp4", "webp"]
"""The formats of films, by their suffix; `drawing/films.py` writes them."""
