"""Frames → film files, with the times and the sound of the clip that they were made of."""

import errno
import heapq
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from nst_lightning.errors import UserError
from nst_lightning.files import atomic_file
from nst_lightning.formats import ClipCodec
from nst_lightning.video.clip import Clip
from nst_lightning.video.clip_codecs import ENCODERS, THREADS, check_codec, samples_of
from nst_lightning.video.clip_colours import FULL, LIMITED, from_rgb, result_colour
from nst_lightning.video.clip_opening import opened_clip
from nst_lightning.video.clip_sound import add_tracks, copied, mux_sound

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

Array = npt.NDArray[Any]

_CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's name of each format."""

_OPTIONS = {
    "fflags": "+bitexact",  # no random numbers, dates or versions
    # The samples that a decoder of sound begins with come before 0. In MKV, they would move all.
    "avoid_negative_ts": "disabled",
}

_FRAME_DURATION = 1 << 8
"""FFmpeg's AV_CODEC_FLAG_FRAME_DURATION: frames say how long they stand, the last one too."""

_MOVFLAGS = {
    "mp4": {"movflags": "+faststart"},
    # Without the tags that are named in the file, a comment has 65,535 bytes at most.
    "mov": {"movflags": "+faststart+use_metadata_tags"},
}


def write_clip(
    path: Path,
    frames: Iterable[Array],
    clip: Clip,
    *,
    quality: int,
    codec: ClipCodec = "h264",
    bits: int = 8,
    comment: str = "",
) -> list[str]:
    """Writes a film that is seen whole or not at all; its folder is made if need be.

    Each frame is shown when the clip's is, exactly where the format allows it: MKV and WebM have
    milliseconds. The sound is copied as it is. The same frames make the same bytes.

    Args:
        path: its suffix is one of mp4, mov, mkv, webm.
        frames: as many as the clip has, all (H, W, 3) of one size: RGB, uint8, or uint16 of 0 to
            65535. Odd sides are kept, but few players show such films.
        clip: that they were made of; its file still holds the sound.
        quality: 1 to 100; see `rate_factor`. ProRes has four steps, FFV1 is lossless.
        codec: one that the format takes, see `CLIP_CODECS`.
        bits: 8 or 10 of a channel; ProRes always has 10.
        comment: text that `read_comment` finds again.

    Returns:
        Sentences about what of the clip's file could not be kept.

    Raises:
        UserError: see `check_codec`; or the clip's file cannot be read, or no film can have its
            times or its sound.
        ValueError: there are fewer or more frames than the clip has, or of several sizes.
        OSError: it cannot be written; what was there before is still there.
    """
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise ValueError("a film has one frame at least")
    check_codec(path, codec, (first.shape[0], first.shape[1]), bits)
    with atomic_file(path) as file, ExitStack() as stack:
        source = stack.enter_context(opened_clip(clip.path)) if clip.audio else None
        film = stack.enter_context(_created(path, file.name, clip))
        film.metadata["comment"] = comment
        stream = _video_stream(film, clip, codec, first, quality, bits)
        tracks, notes = add_tracks(film, path, clip, source)
        images = _encoded(stream, chain([first], rest), clip, codec)
        sound = copied(clip.path, source, tracks, hides=film.format.name in _MOVFLAGS)
        lost = 0
        for packet in heapq.merge(images, sound, key=_seconds):
            if packet.stream_index == stream.index:
                film.mux(packet)
            else:
                lost += not mux_sound(film, packet)
    if lost:
        notes.append(f"{path}: {lost} packets of the sound of {clip.path} are damaged, left out.")
    return notes


@contextmanager
def _created(path: Path, name: str, clip: Clip) -> Iterator["OutputContainer"]:
    """Opens a film to be written, under a name that it has until it is whole.

    Args:
        path: that it gets then.
        name: of the file until then.
        clip: that it is made of.

    Raises:
        UserError: no film can have the clip's times or sound.
        OSError: it cannot be written; PyAV has other errors too.
    """
    import av

    format = _CONTAINERS[path.suffix.lower()]
    options = {**_OPTIONS, **_MOVFLAGS.get(format, {})}
    if format in _MOVFLAGS:
        # In these ticks it is told when each track begins, and they would be milliseconds.
        options["movie_timescale"] = str(math.lcm(1000, clip.time_base.denominator))
    try:
        with av.open(name, "w", format=format, container_options=options) as film:
            yield film
    except av.error.FFmpegError as error:
        if error.errno not in errno.errorcode or error.errno == errno.EINVAL:
            raise UserError(
                f"{clip.path}: its times or its sound are damaged, so that {path} cannot have them "
                f"({error.strerror}); get a whole copy of it, or convert it first."
            ) from error
        raise OSError(error.errno, f"PyAV: {error.strerror}", str(path)) from error


def _video_stream(
    film: "OutputContainer",
    clip: Clip,
    codec: ClipCodec,
    first: Array,
    quality: int,
    bits: int,
) -> "VideoStream":
    """Adds the stream of the images, of which this is the first, to a film."""
    from av.video.stream import VideoStream

    encoder = ENCODERS[codec]
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 shows all but errors otherwise
    colour = result_colour(clip, lossless=codec == "ffv1")
    height, width, _ = first.shape
    stream = film.add_stream(
        encoder.name,
        rate=clip.rate.limit_denominator(1 << 16),
        options=encoder.options(quality),
    )
    assert isinstance(stream, VideoStream)
    stream.height, stream.width = height, width
    stream.pix_fmt = samples_of(codec, (height, width), bits)
    stream.time_base = stream.codec_context.time_base = clip.time_base
    stream.codec_context.thread_count = THREADS
    stream.codec_context.flags |= _FRAME_DURATION
    stream.codec_context.thread_type = "FRAME"  # PyAV's own makes x264 cut frames into slices
    stream.codec_context.color_range = FULL if colour.full else LIMITED
    stream.codec_context.colorspace = colour.matrix
    stream.codec_context.color_primaries = colour.primaries
    stream.codec_context.color_trc = colour.transfer
    if codec == "h265" and film.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = "hvc1"  # Apple's players do not take FFmpeg's hev1
    return stream


def _encoded(
    stream: "VideoStream", frames: Iterable[Array], clip: Clip, codec: ClipCodec
) -> Iterator["Packet[Any]"]:
    """Yields the packets of frames, each shown when the clip's is."""
    colour = result_colour(clip, lossless=codec == "ffv1")
    ends = (*clip.times[1:], clip.times[-1] + clip.last)
    for rgb, time, end in zip(frames, clip.times, ends, strict=True):
        if rgb.shape != (stream.height, stream.width, 3):
            raise ValueError(f"a frame is {rgb.shape}, the first {stream.height, stream.width, 3}")
        frame = from_rgb(rgb, colour, str(stream.pix_fmt))
        frame.pts, frame.time_base, frame.duration = time, clip.time_base, end - time
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _seconds(packet: "Packet[Any]") -> Fraction:
    """Returns when a packet is decoded, by which those of several streams are interleaved."""
    time = packet.pts if packet.dts is None else packet.dts
    return (time or 0) * packet.time_base
