"""Decoded samples ↔ RGB: the matrix and range that a clip's tags name.

swscale, which FFmpeg converts with, is exact for 8 bits. In its conversions between Y'CbCr and RGB
of 16 bits, white is off by 3 of 1023 levels and saturated colours overflow, so that it only brings
the chroma to the size of the luma there.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nst_lightning.video.clip import BT601, BT709, BT2020, RGB, UNSPECIFIED, Clip, Colour

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Array = npt.NDArray[Any]

LIMITED, FULL = 1, 2
"""FFmpeg's numbers of the ranges."""

BICUBIC_ACCURATE = 4 | 0x2000 | 0x4000 | 0x40000
"""swscale's flags: bicubic, chroma at full resolution on both sides, accurate rounding."""

_SWSCALE = {BT709: 1, 4: 4, 5: 5, BT601: 5, 7: 7, BT2020: 9, 10: 9, RGB: 1}
"""swscale's number of each matrix; it knows BT.601 by one alone."""

_KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 7: (0.212, 0.087),
          9: (0.2627, 0.0593)}  # fmt: skip
"""The shares of red and blue in the luma, by swscale's number (ITU-T H.273, table 4)."""

ON_FIRST, BETWEEN = (1, 4, 6, 4, 1), (1, 3, 3, 1)
"""Weights of the samples around the first of two, and around the middle between both."""

_HIGH_DEFINITION = 720
"""Rows from which untagged films are taken to be BT.709, as players do."""


def colour_of(frame: "VideoFrame", stream: "VideoStream") -> Colour:
    """Returns what the samples of a stream's first decoded frame stand for; an untagged matrix is
    guessed."""
    matrix = int(frame.colorspace)
    if matrix not in _SWSCALE:
        matrix = BT709 if frame.height >= _HIGH_DEFINITION else BT601
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
    # Frames do not tell these two before PyAV 17.
    primaries = getattr(frame, "color_primaries", stream.color_primaries)
    transfer = getattr(frame, "color_trc", stream.color_trc)
    return Colour(matrix, full, int(primaries), int(transfer))


def result_colour(clip: Clip, *, lossless: bool) -> Colour:
    """Returns the tags of a styled clip: BT.709, limited, or RGB where it is lossless. A clip of
    BT.2020 keeps its own, for its levels would be shown wrongly under others."""
    colour = Colour()
    if clip.colour.primaries == BT2020:
        known = clip.colour.transfer != UNSPECIFIED
        colour = Colour(BT2020, False, BT2020, clip.colour.transfer if known else BT709)
    return replace(colour, matrix=RGB, full=True) if lossless else colour


def to_rgb(frame: "VideoFrame", colour: Colour, bits: int, size: tuple[int, int]) -> Array:
    """Converts a decoded frame to RGB.

    Args:
        frame: in any format.
        colour: what its samples stand for.
        bits: 8 or 10, of the result's clip.
        size: (height, width) of the result.

    Returns:
        (height, width, 3): uint8 for 8 bits, else uint16 of 0 to 65535.
    """
    height, width = size
    number = _SWSCALE[colour.matrix]
    if bits > 8 and not frame.format.is_rgb:
        # With one range on both sides the levels are only shifted to 16 bits.
        deep = frame.reformat(
            width,
            height,
            "yuv444p16le",
            src_colorspace=number,
            dst_colorspace=number,
            interpolation=BICUBIC_ACCURATE,
            src_color_range=LIMITED,
            dst_color_range=LIMITED,
        )
        depth = frame.format.components[0].bits
        return _rgb(_planes(deep), number, depth if colour.full else None)
    return frame.reformat(
        width,
        height,
        "rgb24" if bits == 8 else "rgb48le",
        src_colorspace=number,
        dst_colorspace=RGB,  # PyAV 16 takes BT.601 where both are said to be one
        interpolation=BICUBIC_ACCURATE,
        src_color_range=FULL if colour.full else LIMITED,
        dst_color_range=FULL,
    ).to_ndarray()


def from_rgb(rgb: Array, colour: Colour, format: str) -> "VideoFrame":
    """Converts RGB to a frame that an encoder takes.

    Args:
        rgb: (H, W, 3), uint8 or uint16 of 0 to 65535.
        colour: what the samples of the frame shall stand for: RGB, or Y'CbCr of limited range.
        format: FFmpeg's name of a pixel format, of 8 or 10 bits where it is Y'CbCr.
    """
    from av.video.frame import VideoFrame

    if colour.matrix == RGB:
        source = "rgb48le" if rgb.dtype == np.uint16 else "rgb24"
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format=source)
        frame = frame.reformat(
            format=format,
            interpolation=BICUBIC_ACCURATE,
            src_color_range=FULL,
            dst_color_range=FULL,
        )
    else:
        frame = VideoFrame(rgb.shape[1], rgb.shape[0], format)
        deep = frame.format.components[0].bits > 8
        for plane, values in zip(frame.planes, _yuv(rgb, colour, format, deep), strict=True):
            rows = np.zeros((plane.height, plane.line_size // (1 + deep)), values.dtype)
            rows[:, : plane.width] = values
            plane.update(rows.tobytes())
    tags = {
        "colorspace": colour.matrix,
        "color_range": FULL if colour.full else LIMITED,
        "color_primaries": colour.primaries,
        "color_trc": colour.transfer,
    }
    for name, value in tags.items():
        if hasattr(frame, name):  # the last two are not there before PyAV 17
            setattr(frame, name, value)
    return frame


def _planes(frame: "VideoFrame") -> list[Array]:
    """Returns the three planes of yuv444p16le, (H, W) uint16 each."""
    planes = []
    for plane in frame.planes:
        values = np.frombuffer(plane, np.uint16)  # type: ignore[call-overload]
        planes.append(values.reshape(plane.height, -1)[:, : plane.width])
    return planes


def _rgb(yuv: list[Array], number: int, full: int | None) -> Array:
    """Converts the planes Y', Cb and Cr, shifted up to 16 bits, to (H, W, 3) uint16.

    Args:
        yuv: of limited range, or of full range by levels of so many bits.
        number: swscale's, of the matrix.
        full: bits before the shift, None for limited range.
    """
    kr, kb = _KR_KB[number]
    if full is None:
        black, white, chroma = 16 * 256, 219 * 256, 224 * 256
    else:
        black, white = 0, (2**full - 1) << (16 - full)
        chroma = white
    y = (yuv[0].astype(np.float32) - black) / white
    cb, cr = ((plane.astype(np.float32) - 32768) / chroma for plane in yuv[1:])
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    rgb = np.stack([red, green, blue], axis=-1)
    return (rgb.clip(0, 1) * 65535 + 0.5).astype(np.uint16)


def _yuv(rgb: Array, colour: Colour, format: str, deep: bool) -> list[Array]:
    """Converts (H, W, 3) to the planes Y', Cb and Cr of limited range, 8 or 10 bits each.

    Chroma is sited as H.264 and the others have it where nothing is said: at the left of two
    columns and between two rows (ITU-T H.264, figure E-1). It is smoothed before every other sample
    is left out: colours of strokes are as fine as pixels, and would flicker by aliasing as they
    move. From one frame to the next, a clip of 512 px changed by 0.72 of what its input does so,
    and by 1.25 with means of [1, 2, 1] and [1, 1], both without loss otherwise.
    """
    kr, kb = _KR_KB[_SWSCALE[colour.matrix]]
    white = 65535 if rgb.dtype == np.uint16 else 255
    red, green, blue = (rgb[..., i].astype(np.float32) / white for i in range(3))
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = [(blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))]
    if "444" not in format:
        chroma = [_every_other(plane.T, ON_FIRST).T for plane in chroma]
    if "420" in format:
        chroma = [_every_other(plane, BETWEEN) for plane in chroma]
    level, kind = (4, np.uint16) if deep else (1, np.uint8)
    scaled = [219 * luma + 16, *(224 * plane + 128 for plane in chroma)]
    return [(plane * level + 0.5).astype(kind) for plane in scaled]


def _every_other(plane: Array, weights: tuple[int, ...]) -> Array:
    """Returns every other row of a plane, (ceil(H / 2), W), as a mean of those around it."""
    rows = -(-len(plane) // 2)
    around = (len(weights) - 1) // 2
    padded = np.pad(plane, ((around, len(weights)), (0, 0)), mode="edge")
    each = (weight * padded[k : k + 2 * rows : 2] for k, weight in enumerate(weights))
    total: Array = sum(each) / np.float32(sum(weights))
    return total
