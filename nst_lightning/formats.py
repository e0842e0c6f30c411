"""The file formats of images, what each can hold, and which are known but not supported.

This is the one place for such facts; it imports no torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_PIXELS: int = 178_956_970
"""Images of more pixels are refused as decompression bombs: Pillow's own limit."""

ResultFormat = Literal["png", "jpeg", "webp", "tiff"]
"""The formats in which results are written: those of `RESULT_FORMATS`."""

FilmFormat = Literal["gif", "mp4", "webp"]
"""The formats of films, by their suffix; `drawing/films.py` writes them."""

ClipFormat = Literal["mp4", "mov", "mkv", "webm", "frames"]
"""The formats in which styled clips are written; `frames` is a folder of PNGs."""

ClipCodec = Literal["h264", "h265", "vp9", "av1", "prores", "ffv1"]
"""The codecs of styled clips; `video/clip_codecs.py` says how each is encoded."""


@dataclass(frozen=True)
class ImageFormat:
    """A file format that can be read, and perhaps written."""

    label: str
    """How people write its name."""
    suffixes: tuple[str, ...]
    """In lower case, with the dot; results get the first."""
    magic: bytes
    """A regular expression for the first bytes of a file."""
    bits: tuple[int, ...] = ()
    """Bits a channel that results can have; none where the format is only read."""
    alpha: bool = True
    """Whether results can be transparent."""
    lossy: bool = False
    """Whether a file may hold other colours than were put into it."""
    longest_side: int = 2**31 - 1
    """Pixels that a side can have."""
    in_browsers: bool = True
    """Whether browsers show it."""
    text_bytes: int | None = None
    """Room for an XMP packet; None where there is enough for any."""


FORMATS: dict[str, ImageFormat] = {
    "png": ImageFormat("PNG", (".png",), rb"\x89PNG", bits=(8, 16)),
    "jpeg": ImageFormat(
        "JPEG", (".jpg", ".jpeg"), rb"\xff\xd8\xff", bits=(8,), alpha=False, lossy=True,
        longest_side=65_500, text_bytes=65_000,
    ),
    "webp": ImageFormat(
        "WebP", (".webp",), rb"RIFF....WEBP", bits=(8,), lossy=True, longest_side=16_383
    ),
    "tiff": ImageFormat(
        "TIFF", (".tif", ".tiff"), rb"II[*+]\0|MM\0[*+]", bits=(8, 16), in_browsers=False
    ),
    "bmp": ImageFormat("BMP", (".bmp",), rb"BM"),
    "gif": ImageFormat("GIF", (".gif",), rb"GIF8"),
}  # fmt: skip
"""Every format that can be read, by the name that Pillow has for it, in lower case."""

RESULT_FORMATS: dict[str, ImageFormat] = {
    name: known for name, known in FORMATS.items() if known.bits
}
"""The formats of results, by the name that the setting `format` has for them."""

LOSSY: tuple[str, ...] = tuple(name for name, known in RESULT_FORMATS.items() if known.lossy)
"""The formats of results that have a quality."""

READABLE_SUFFIXES: frozenset[str] = frozenset(
    suffix for known in FORMATS.values() for suffix in known.suffixes
)
"""The suffixes of the formats that can be read."""

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
"""The suffixes of raw camera files: many look like a TIFF whose first page is a mere thumbnail."""

UNSUPPORTED_SUFFIXES: frozenset[str] = CAMERA_RAW | frozenset(_OTHERS.split())
"""The suffixes of formats that are known but not supported, so that they are named."""

UNSUPPORTED_MAGIC: dict[str, bytes] = {
    "HEIC": rb"....ftyp(hei[cxms]|hevc|mif1|msf1)",
    "AVIF": rb"....ftypavi[fs]",
    "CR3": rb"....ftypcrx ",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "Photoshop": rb"8BPS",
    "OpenEXR": rb"v/1\x01",
    "Radiance HDR": rb"#\?RADIANCE",
    "PDF": rb"%PDF",
    "PostScript": rb"%!PS",
    "SVG": rb"<svg",
}
"""A regular expression for the first bytes of formats that are not supported, by their names."""


MESH_SUFFIXES: frozenset[str] = frozenset((".glb", ".gltf", ".obj", ".ply"))
"""The suffixes of meshes, in lower case; `mesh/mesh_formats.py` reads and writes them."""

_CLIPS = """
.3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .webm .wmv .y4m
"""

CLIP_SUFFIXES: frozenset[str] = frozenset(_CLIPS.split())
"""The suffixes of clips that are read, in lower case; `video/clip_reading.py` reads them."""

CLIP_CODECS: dict[ClipFormat, tuple[ClipCodec, ...]] = {
    "mp4": ("h264", "h265", "av1", "vp9"),
    "mov": ("h264", "h265", "prores"),
    "mkv": ("h264", "h265", "vp9", "av1", "ffv1", "prores"),
    "webm": ("vp9", "av1"),
    "frames": (),
}
"""The codecs that each format of clips takes, the usual one first; frames need none."""


def result_format(path: Path) -> str | None:
    """Returns the name of the result format that a file's suffix stands for, None for another."""
    suffix = path.suffix.lower()
    return next((name for name, one in RESULT_FORMATS.items() if suffix in one.suffixes), None)


def result_suffixes() -> tuple[str, ...]:
    """Returns the suffix of results in each format, with the dot."""
    return tuple(one.suffixes[0] for one in RESULT_FORMATS.values())
