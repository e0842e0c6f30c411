"""How each codec of styled clips is encoded: by which encoder, in which samples, how well."""

import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nst_lightning.errors import UserError
from nst_lightning.extras import need_extra
from nst_lightning.formats import CLIP_CODECS, ClipCodec
from nst_lightning.video.clip import Shape

THREADS = 4
"""Of each encoder: a number of its own, for some write other bytes with another number."""


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg and what it is told."""

    name: str
    samples: Mapping[int, str]
    """The pixel format for 8 and 10 bits; its chroma has half the rows and columns of the luma
    where the codec allows it, which is what players take."""
    odd_samples: Mapping[int, str] | None
    """Those that hold odd sides; None where the codec has none."""
    options: Callable[[int], dict[str, str]]
    """From a quality of 1 to 100 to the options of the encoder."""
    narrowest: int = 1
    """Columns that a frame has at least."""


def rate_factor(quality: int, worst: int) -> int:
    """Returns the constant rate factor (crf) of a quality of 1 to 100: 1 ... `worst`.

    The factor is a logarithm of the step by which levels are rounded, so that its root makes even
    steps of quality: of 51, 80 gives 23, the default of x264, and 88 gives 18. It is never 0, for
    lossless H.264 is a profile that players do not take.
    """
    return max(1, round(worst * math.sqrt(1 - quality / 100)))


def _h264(quality: int) -> dict[str, str]:
    options = {"crf": str(rate_factor(quality, 51))}
    if platform.machine() in ("x86_64", "AMD64"):
        # With AVX-512, x264 165 wrote several files of the same frames, such as those of 112 or 368
        # columns. AVX2 and SSE4.2 wrote one and the same, and 1080p took them no longer.
        options["x264-params"] = "asm=sse4.2"
    return options


_HALF = {8: "yuv420p", 10: "yuv420p10le"}
_FULL = {8: "yuv444p", 10: "yuv444p10le"}

ENCODERS: dict[ClipCodec, Encoder] = {
    "h264": Encoder("libx264", _HALF, _FULL, _h264),
    "h265": Encoder(
        "libx265",
        _HALF,
        _FULL,
        lambda q: {"crf": str(rate_factor(q, 51)), "x265-params": "log-level=error"},
        # At 48 columns, x265 4.2 corrupts the heap and the process ends; at 64, the same frames
        # gave several files.
        narrowest=66,
    ),
    "vp9": Encoder(
        "libvpx-vp9",
        _HALF,
        _HALF,
        lambda q: {"crf": str(rate_factor(q, 63)), "row-mt": "1", "cpu-used": "2"},
    ),
    "av1": Encoder(
        "libsvtav1", _HALF, None, lambda q: {"crf": str(rate_factor(q, 63)), "preset": "6"}
    ),
    # Profiles 0 ... 3: Proxy, LT, standard and HQ, which differ in their bits a frame.
    "prores": Encoder(
        "prores_ks",
        {8: "yuv422p10le", 10: "yuv422p10le"},
        {8: "yuv444p10le", 10: "yuv444p10le"},
        lambda q: {"profile": str((q - 1) // 25)},
    ),
    # Every level of the frames is kept; version 3 has a checksum for each slice (RFC 9043).
    "ffv1": Encoder(
        "ffv1",
        {8: "bgr0", 10: "gbrp16le"},
        {8: "bgr0", 10: "gbrp16le"},
        lambda q: {"level": "3", "slicecrc": "1"},
    ),
}
"""By the name that users give; `formats.CLIP_CODECS` says which file takes which."""


def samples_of(codec: ClipCodec, size: Shape, bits: int) -> str | None:
    """Returns the pixel format in which frames are encoded; None where the codec does not take the
    size.

    Args:
        codec: of the film.
        size: (height, width) of its frames.
        bits: 8 or 10.
    """
    encoder = ENCODERS[codec]
    odd = size[0] % 2 or size[1] % 2
    samples = encoder.odd_samples if odd else encoder.samples
    return samples[bits] if samples and size[1] >= encoder.narrowest else None


def check_codec(path: Path, codec: ClipCodec, size: Shape, bits: int = 8) -> None:
    """Sees that a film can be written, before any work is done for it.

    Args:
        path: of the film to be.
        codec: that it is to have.
        size: (height, width) of its frames.
        bits: 8 or 10 of a channel.

    Raises:
        UserError: PyAV is not installed or has no encoder for the codec and bits, the format does
            not take the codec, or the codec does not take the size.
    """
    need_extra("video", f"{path}: films", "av")
    import av

    suffix = path.suffix[1:].lower()
    takes = {str(format): codecs for format, codecs in CLIP_CODECS.items()}.get(suffix)
    if not takes:
        known = ", ".join(f".{format}" for format, codecs in CLIP_CODECS.items() if codecs)
        raise UserError(f"{path}: is not a film that can be written; choose one of {known}.")
    if codec not in takes:
        raise UserError(
            f"{path}: a {path.suffix} file does not take {codec}; choose {' or '.join(takes)}, or "
            "another suffix."
        )
    samples = samples_of(codec, size, bits)
    if samples is None:
        least = ENCODERS[codec].narrowest
        only = "even sides" if least == 1 else f"{least} columns or more"
        raise UserError(
            f"{path}: {codec} takes {only}, not {size[1]} x {size[0]} pixels; choose another size "
            "or codec."
        )
    name = ENCODERS[codec].name
    try:
        known_samples = av.Codec(name, "w").video_formats
    except ValueError:
        known_samples = None
    if samples not in [one.name for one in known_samples or ()]:
        raise UserError(
            f"{path}: this PyAV has no encoder for {codec} of {bits} bits ({name}); choose another "
            "codec."
        )
