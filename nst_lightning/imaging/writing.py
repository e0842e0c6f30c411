"""Images → files: levels, the formats' encoders, and the file that is seen whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, PngImagePlugin
from torch import Tensor

from nst_lightning.files import atomic_file
from nst_lightning.formats import RESULT_FORMATS
from nst_lightning.imaging.encoding import encode_image
from nst_lightning.imaging.exif import exif_block
from nst_lightning.imaging.levels import LevelRows, interleaved
from nst_lightning.imaging.metadata import Metadata, xmp_packet
from nst_lightning.imaging.png_writing import write_png
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.tiff_writing import write_tiff

_BAND_PIXELS = 1 << 22
_STREAMED_FROM = 1 << 26
"""Pixels above which a PNG is written some rows at a time; below, Pillow is faster."""

_NOTHING = Metadata()


def write_image(
    path: Path,
    rgb: Tensor,
    alpha: Tensor | None = None,
    metadata: Metadata = _NOTHING,
    *,
    format: str = "png",
    bits: int = 8,
    quality: int = 95,
    dither: bool = False,
) -> None:
    """Writes an sRGB image that is seen whole or not at all; its folder is made if need be.

    Args:
        rgb: (3, H, W) or (1, 3, H, W): values in [0, 1], or levels as of `to_levels`.
        alpha: (1, H, W) or (1, 1, H, W), likewise; not for a format without alpha.
        metadata: texts, EXIF and colour profile.
        format: one of `RESULT_FORMATS`.
        bits: one that the format can have.
        quality: 1 to 100, of a lossy format; webp at 100 is lossless.
        dither: see `to_levels`; alpha is rounded.

    Raises:
        ValueError: a shape does not fit, NaN, or what the format cannot hold.
        OSError: the file cannot be written; what was there before is still there.
    """
    known = RESULT_FORMATS[format]
    if bits not in known.bits:
        deep = [one.suffixes[0] for one in RESULT_FORMATS.values() if bits in one.bits]
        raise ValueError(f"{format} has 8 bits; name a {' or '.join(deep)} file for {bits}")
    if alpha is not None and not known.alpha:
        raise ValueError(f"{format} has no alpha")
    levels = LevelRows(rgb, alpha, bits, dither=dither)
    with atomic_file(path) as file:
        _ENCODERS[format](file, levels, quality, metadata)


def to_pillow(rgb: Tensor, alpha: Tensor | None = None, *, dither: bool = False) -> Image.Image:
    """Returns an sRGB image as Pillow's, of 8 bits, with its profile, which its files will carry.

    Args:
        rgb: as of `write_image`, like the others.
        alpha: likewise.
        dither: likewise.

    Returns:
        Of mode RGB, or RGBA with `alpha`.
    """
    image = _pillow(LevelRows(rgb, alpha, dither=dither))
    image.info["icc_profile"] = srgb_profile()
    return image


def _pillow(levels: LevelRows) -> Image.Image:
    mode, width = "RGB" if levels.channels == 3 else "RGBA", levels.width
    image, top = Image.new(mode, (width, levels.height)), 0
    for band in levels.bands(max(1, _BAND_PIXELS // width)):
        rows = band.shape[-2]
        image.paste(Image.frombytes(mode, (width, rows), interleaved(band, 8)), (0, top))
        top += rows
    return image


def _png(file: BinaryIO, levels: LevelRows, quality: int, metadata: Metadata) -> None:
    texts = PngImagePlugin.PngInfo()
    for key, value in metadata.texts.items():
        if not 1 <= len(key) <= 79 or not key.isprintable() or key != key.strip():
            raise ValueError(f"{key!r} cannot be a PNG keyword: 1 to 79 printable characters")
        # Pillow writes a value that is not Latin-1 as UTF-8; a NUL is not allowed in either.
        if "\0" in value:
            raise ValueError(f"the value of {key!r} holds a NUL character")
        texts.add_text(key, value)
    if not metadata.profile:
        texts.add(b"sRGB", b"\x01")  # relative colorimetric
    if levels.bits == 16 or levels.height * levels.width > _STREAMED_FROM:
        write_png(file, levels, texts, metadata)
    else:
        _by_pillow(file, levels, "PNG", metadata, pnginfo=texts)


def _jpeg(file: BinaryIO, levels: LevelRows, quality: int, metadata: Metadata) -> None:
    # Colours at full resolution: the paintings that styles come from are full of edges between
    # saturated ones. Not `optimize`, for which Pillow's buffer is too small for pure noise.
    packet = xmp_packet(metadata.texts)
    _by_pillow(file, levels, "JPEG", metadata, quality=quality, subsampling=0, xmp=packet)


def _webp(file: BinaryIO, levels: LevelRows, quality: int, metadata: Metadata) -> None:
    # `exact` keeps the colours under transparent pixels.
    options = {"quality": quality, "lossless": quality == 100, "exact": True}
    _by_pillow(file, levels, "WEBP", metadata, xmp=xmp_packet(metadata.texts), **options)


def _by_pillow(
    file: BinaryIO, levels: LevelRows, format: str, metadata: Metadata, **options: Any
) -> None:
    about = {"icc_profile": metadata.profile, "exif": exif_block(metadata.exif)}
    about = {name: value for name, value in about.items() if value}
    file.write(encode_image(_pillow(levels), format, **about, **options))


def _tiff(file: BinaryIO, levels: LevelRows, quality: int, metadata: Metadata) -> None:
    write_tiff(file, levels, metadata)


_ENCODERS: dict[str, Callable[[BinaryIO, LevelRows, int, Metadata], None]] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
}
"""From levels, quality and metadata to the bytes of a file, written to it."""
