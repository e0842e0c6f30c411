"""Images → files: levels, the formats' encoders, and the file that is seen whole or not at all."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image, PngImagePlugin, TiffImagePlugin
from torch import Tensor

from nst_lightning.files import write_bytes
from nst_lightning.formats import RESULT_FORMATS
from nst_lightning.imaging.encoding import encode_image
from nst_lightning.imaging.exif import exif_block
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.metadata import Metadata, xmp_packet
from nst_lightning.imaging.png import SIGNATURE
from nst_lightning.imaging.profiles import srgb_profile

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
    levels = _levels(rgb, 3, "rgb", bits, dither)
    if alpha is not None:
        if not known.alpha:
            raise ValueError(f"{format} has no alpha")
        opacity = _levels(alpha, 1, "alpha", bits)
        if opacity.shape[-2:] != levels.shape[-2:]:
            raise ValueError(f"alpha is {tuple(alpha.shape)}, rgb is {tuple(rgb.shape)}")
        levels = torch.cat([levels, opacity])
    write_bytes(path, _ENCODERS[format](levels, quality, metadata))


def to_pillow(rgb: Tensor, alpha: Tensor | None = None, *, dither: bool = False) -> Image.Image:
    """Returns an sRGB image as Pillow's, of 8 bits, with its profile, which its files will carry.

    Args:
        rgb: as of `write_image`, like the others.
        alpha: likewise.
        dither: likewise.

    Returns:
        Of mode RGB, or RGBA with `alpha`.
    """
    levels = _levels(rgb, 3, "rgb", 8, dither)
    if alpha is not None:
        levels = torch.cat([levels, _levels(alpha, 1, "alpha", 8)])
    image = _pillow(levels)
    image.info["icc_profile"] = srgb_profile()
    return image


def _pillow(levels: Tensor) -> Image.Image:
    channels, height, width = levels.shape
    return Image.frombytes("RGB" if channels == 3 else "RGBA", (width, height), _bytes(levels, 8))


def _levels(image: Tensor, channels: int, name: str, bits: int, dither: bool = False) -> Tensor:
    """Returns (channels, H, W) on the CPU, uint8 for 8 bits and int32 for 16."""
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] != channels or 0 in image.shape:
        raise ValueError(f"{name} must be ({channels}, H, W), not {tuple(image.shape)}")
    image = image.detach().cpu()
    if image.dtype == (torch.uint8 if bits == 8 else torch.int32):
        return image
    return to_levels(image, bits, dither=dither)


def _png(levels: Tensor, quality: int, metadata: Metadata) -> bytes:
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
    if levels.dtype != torch.uint8:
        return _deep_png(levels, texts, metadata)
    return _by_pillow(levels, "PNG", metadata, pnginfo=texts)


def _jpeg(levels: Tensor, quality: int, metadata: Metadata) -> bytes:
    # Colours at full resolution: the paintings that styles come from are full of edges between
    # saturated ones. Not `optimize`, for which Pillow's buffer is too small for pure noise.
    packet = xmp_packet(metadata.texts)
    return _by_pillow(levels, "JPEG", metadata, quality=quality, subsampling=0, xmp=packet)


def _webp(levels: Tensor, quality: int, metadata: Metadata) -> bytes:
    # `exact` keeps the colours under transparent pixels.
    options = {"quality": quality, "lossless": quality == 100, "exact": True}
    return _by_pillow(levels, "WEBP", metadata, xmp=xmp_packet(metadata.texts), **options)


def _by_pillow(levels: Tensor, format: str, metadata: Metadata, **options: Any) -> bytes:
    about = {"icc_profile": metadata.profile, "exif": exif_block(metadata.exif)}
    about = {name: value for name, value in about.items() if value}
    return encode_image(_pillow(levels), format, **about, **options)


def _deep_png(levels: Tensor, texts: PngImagePlugin.PngInfo, metadata: Metadata) -> bytes:
    """Encodes a PNG of 16 bits a channel, which Pillow cannot."""
    channels, height, width = levels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    chunks = [(b"IHDR", head)]
    if metadata.profile:
        chunks.append((b"iCCP", b"sRGB\0\0" + zlib.compress(metadata.profile)))
    chunks += [(name, data) for name, data, _ in texts.chunks]
    if block := exif_block(metadata.exif):
        chunks.append((b"eXIf", block.removeprefix(b"Exif\0\0")))
    # Each row as its difference from the one above (filter 2), byte by byte.
    rows = torch.frombuffer(bytearray(_bytes(levels, 16, ">")), dtype=torch.uint8).view(height, -1)
    rows = torch.cat([rows[:1], rows[1:] - rows[:-1]])
    rows = torch.cat([rows.new_full((height, 1), 2), rows], dim=1)
    chunks += [(b"IDAT", zlib.compress(rows.numpy().tobytes(), 6)), (b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _tiff(levels: Tensor, quality: int, metadata: Metadata) -> bytes:
    """Encodes a TIFF in one deflated strip; Pillow writes its tags, but no colour of 16 bits."""
    channels, height, width = levels.shape
    bits = 8 if levels.dtype == torch.uint8 else 16
    # Each pixel as its difference from the one to its left (predictor 2).
    deltas = torch.cat([levels[..., :1], levels[..., 1:].int() - levels[..., :-1].int()], dim=-1)
    strip = zlib.compress(_bytes(deltas.remainder(2**bits), bits, "<"), 6)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[256], tags[257] = width, height
    tags[258] = (bits,) * channels
    tags[259] = 8  # compression: deflate
    tags[262] = 2  # RGB
    tags[273], tags[278], tags[279] = 0, height, len(strip)  # the strip, at the end
    tags[277] = channels
    tags[282] = tags[283] = 72.0  # resolution, which a TIFF must have
    tags[296] = 2  # per inch
    tags[317] = 2  # predictor
    if channels == 4:
        tags[338] = 2  # alpha, not multiplied into the colours
    tags.tagtype[700] = 1
    tags[700] = xmp_packet(metadata.texts)
    if metadata.profile:
        tags.tagtype[34675] = 7
        tags[34675] = metadata.profile
    for tag, value in metadata.exif.items():
        tags[tag] = value
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + strip


def _bytes(levels: Tensor, bits: int, order: str = "<") -> bytes:
    """Returns rows of pixels, channels together, of (C, H, W); 16 bits in the byte order given."""
    pixels = levels.permute(1, 2, 0).contiguous()
    if bits == 8:
        return pixels.to(torch.uint8).numpy().tobytes()
    high, low = (pixels >> 8).to(torch.uint8), (pixels & 255).to(torch.uint8)
    pair = (high, low) if order == ">" else (low, high)
    return torch.stack(pair, dim=-1).numpy().tobytes()


_ENCODERS: dict[str, Callable[[Tensor, int, Metadata], bytes]] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
}
"""From levels, (3, H, W) or (4, H, W), quality and metadata to the bytes of a file."""
