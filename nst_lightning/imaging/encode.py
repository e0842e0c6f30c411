"""Levels → the bytes of a picture file, with its profile, its texts and its EXIF."""

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin
from torch import Tensor

from nst_lightning.imaging import xmp
from nst_lightning.imaging.exif import Kept, to_bytes
from nst_lightning.imaging.png import SIGNATURE

LONGEST_TEXT = 65_000
"""Bytes of an XMP packet that a JPEG can hold."""

LONGEST_SIDE = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383, "tiff": 2**31 - 1}
"""Pixels that a side can have in each format."""


@dataclass(frozen=True)
class Beside:
    """What a file holds beside its pixels."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """By keyword of 1 to 79 printable Latin-1 characters."""
    exif: Kept = field(default_factory=dict)


def encode(levels: Tensor, bits: int, format: str, quality: int, beside: Beside) -> bytes:
    """A picture file in sRGB, its profile embedded.

    Args:
        levels: (3, H, W), or (4, H, W) with alpha last where the format is not jpeg; uint8 for 8
            bits and int32 for 16.
        bits: 8; 16 with png and tiff.
        format: png, jpeg, webp or tiff.
        quality: 1 to 100, of jpeg and webp; webp at 100 is lossless.
        beside: texts and EXIF.

    Raises:
        ValueError: what the format cannot hold.
    """
    if format == "tiff":
        return _tiff(levels, bits, beside)
    if format == "png" and bits == 16:
        return _deep_png(levels, beside)
    channels, height, width = levels.shape
    image = Image.frombytes("RGB" if channels == 3 else "RGBA", (width, height), _bytes(levels, 8))
    data = io.BytesIO()
    about = {"icc_profile": srgb_profile(), "exif": to_bytes(beside.exif)}
    about = {name: value for name, value in about.items() if value}
    if format == "png":
        image.save(data, "PNG", pnginfo=png_texts(beside.texts), **about)
        return data.getvalue()
    packet = xmp.packet(beside.texts)
    if format == "jpeg":
        # Colours at full resolution: the paintings that styles come from are full of edges between
        # saturated ones. Not `optimize`, for which Pillow's buffer is too small for pure noise.
        image.save(data, "JPEG", quality=quality, subsampling=0, xmp=packet, **about)
    else:
        # `exact` keeps the colours under transparent pixels.
        image.save(
            data, "WEBP", quality=quality, lossless=quality == 100, exact=True, xmp=packet, **about
        )
    return data.getvalue()


@cache
def srgb_profile() -> bytes:
    """An ICC profile of sRGB, the same bytes every time."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # In its header: when it was made, as six numbers of 16 bits.
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


def png_texts(texts: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """Texts as Pillow writes them.

    Raises:
        ValueError: a keyword or a text that PNG does not allow.
    """
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        if not 1 <= len(key) <= 79 or not key.isprintable() or key != key.strip():
            raise ValueError(f"{key!r} cannot be a PNG keyword: 1 to 79 printable characters")
        # Pillow writes a value that is not Latin-1 as UTF-8; a NUL is not allowed in either.
        if "\0" in value:
            raise ValueError(f"the value of {key!r} holds a NUL character")
        info.add_text(key, value)
    return info


def _deep_png(levels: Tensor, beside: Beside) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write."""
    channels, height, width = levels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))]
    chunks += [(name, text) for name, text, _ in png_texts(beside.texts).chunks]
    if block := to_bytes(beside.exif):
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


def _tiff(levels: Tensor, bits: int, beside: Beside) -> bytes:
    """A TIFF in one deflated strip; Pillow writes its table of tags, but no colour of 16 bits."""
    channels, height, width = levels.shape
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
    tags[700] = xmp.packet(beside.texts)
    tags.tagtype[34675] = 7
    tags[34675] = srgb_profile()
    for tag, value in beside.exif.items():
        tags[tag] = value
    return b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + strip


def _bytes(levels: Tensor, bits: int, order: str = "<") -> bytes:
    """(C, H, W) → rows of pixels, channels together; 16 bits in the byte order given."""
    pixels = levels.permute(1, 2, 0).contiguous()
    if bits == 8:
        return pixels.to(torch.uint8).numpy().tobytes()
    high, low = (pixels >> 8).to(torch.uint8), (pixels & 255).to(torch.uint8)
    pair = (high, low) if order == ">" else (low, high)
    return torch.stack(pair, dim=-1).numpy().tobytes()
