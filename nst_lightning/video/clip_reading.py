"""Film files → what is known of them, and their frames as RGB."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain, dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from nst_lightning.errors import UserError
from nst_lightning.video.clip import Clip, Shape
from nst_lightning.video.clip_colours import colour_of, to_rgb
from nst_lightning.video.clip_opening import damaged, opened_clip, packets_of, video_stream
from nst_lightning.video.frame_folder import DEFAULT_RATE, read_images, scan_frames
from nst_lightning.video.frame_times import times_of
from nst_lightning.video.upright import Turn, turn_of, turned, turned_shape

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Array = npt.NDArray[Any]

Watch = Callable[[int, Array], None]
"""Is given the number of a frame and the frame, (H, W, 3) uint8."""

_FIRST_STEP_BACK = 16
"""Frames by which a search begins earlier where it came out too late; doubled each time."""


def scan_clip(
    path: Path, max_pixels: int, watch: Watch | None = None, *, rate: Fraction = DEFAULT_RATE
) -> Clip:
    """Decodes a whole clip once and returns what is known of it; one frame is held at a time.

    Args:
        path: of a film, or of a folder of numbered frames.
        max_pixels: that a frame may have.
        watch: is given every frame as it will be read, but of 8 bits.
        rate: frames a second of a folder; a film has its own.

    Raises:
        UserError: it cannot be read as a whole, has no frames, too many pixels, or frames of
            several sizes; the message begins with `path`.
    """
    if path.is_dir():
        clip = scan_frames(path, max_pixels, rate)
        if watch is not None:
            for index, image in enumerate(read_images(clip, 0, clip.frames)):
                watch(index, image)
        return clip
    with opened_clip(path) as container:
        stream = video_stream(path, container)
        _check_pixels(path, _square(stream, stream.height, stream.width), max_pixels)
        stamps: list[int | None] = []
        first = last = None
        for frame in _decoded(path, container, stream):
            if first is None:
                first, colour, turn = frame, colour_of(frame, stream), turn_of(frame)
                square = _square(stream, frame.height, frame.width)
                _check_pixels(path, square, max_pixels)
            elif (frame.width, frame.height) != (first.width, first.height):
                raise UserError(
                    f"{path}: its size changes from {first.width} x {first.height} to "
                    f"{frame.width} x {frame.height} pixels at frame {len(stamps) + 1}; cut it "
                    "there into two films."
                )
            if watch is not None:
                watch(len(stamps), turned(to_rgb(frame, colour, 8, square), turn))
            stamps.append(frame.pts)
            last = frame
        if first is None or last is None:
            raise UserError(f"{path}: has no frames; get a whole copy of it.")
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        shown = times_of(stamps, last.duration, stream.time_base, rate)
        return Clip(
            path=path,
            shape=turned_shape(square, turn),
            times=shown.times,
            last=shown.last,
            time_base=shown.time_base,
            rate=rate,
            bits=8 if first.format.components[0].bits <= 8 else 10,
            colour=colour,
            audio=tuple(
                track.codec_context.codec.canonical_name if track.codec_context else "unknown"
                for track in container.streams.audio
            ),
            others=tuple(
                one.type
                for one in container.streams
                if one.type not in ("audio", "data") and one.index != stream.index
            ),
            stamped=shown.stamped,
        )


def read_frames(clip: Clip, start: int, stop: int) -> Iterator[Array]:
    """Yields the frames start ... stop - 1 of a clip, upright, as RGB.

    Decoding begins at the key frame before `start`; one frame is held at a time.

    Args:
        clip: as `scan_clip` returned it.
        start: 0 or more.
        stop: up to `clip.frames`.

    Yields:
        (H, W, 3): uint8, or uint16 of 0 to 65535 where the clip has more than 8 bits.

    Raises:
        UserError: the file is gone, damaged, or another than the one that was scanned.
    """
    if start >= stop:
        return
    if clip.images:
        yield from read_images(clip, start, stop)
        return
    done = start
    for key in _earlier(start) if clip.stamped else [0]:
        with opened_clip(clip.path) as container:
            for frame in _matching(clip, container, key, start=done, stop=stop):
                yield frame
                done += 1
        if done == stop:
            return
    raise UserError(f"{clip.path}: has changed since it was looked through; start anew.")


def read_comment(path: Path) -> str:
    """Returns the comment that `write_clip` put into a film; "" where there is none, or no film."""
    try:
        with opened_clip(path) as container:
            found = {name.lower(): text for name, text in container.metadata.items()}
            return found.get("comment", "")
    except UserError:
        return ""


def _square(stream: "VideoStream", height: int, width: int) -> Shape:
    """Returns the (height, width) of frames whose pixels have been made square, none left out."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)


def _check_pixels(path: Path, shape: Shape, max_pixels: int) -> None:
    pixels = shape[0] * shape[1]
    if pixels > max_pixels:
        raise UserError(
            f"{path}: its frames have {pixels} pixels, more than the limit of {max_pixels}; if you "
            f"trust the file, raise it with --max-pixels {pixels}."
        )


def _decoded(
    path: Path, container: "InputContainer", stream: "VideoStream"
) -> Iterator["VideoFrame"]:
    """Yields the frames of a film from where it stands to its end, and with the empty packet at
    the end those that the decoder had held back.

    Raises:
        UserError: the decoding breaks off.
    """
    import av

    frames = 0
    try:
        for packet in packets_of(container, [stream]):
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                if frames:
                    raise
                continue  # recordings begin between key frames
            for frame in decoded:
                frames += 1
                yield frame
    except av.error.FFmpegError as error:
        raise damaged(path, error, frames) from error


def _earlier(start: int) -> Iterator[int]:
    """Yields `start` and ever earlier frames to the first one: some films find a key frame that is
    shown later than the frame that was looked for, or show others behind it than in one go."""
    back = 0
    while start > back:
        yield start - back
        back = 2 * back or _FIRST_STEP_BACK
    yield 0


def _matching(
    clip: Clip, container: "InputContainer", key: int, *, start: int, stop: int
) -> Iterator[Array]:
    """Yields the frames start ... stop - 1 as long as each has the time and size that it should.

    Args:
        clip: that is read.
        container: its file.
        key: a number from whose key frame on it is decoded.
        start: see above.
        stop: likewise.
    """
    stream = video_stream(clip.path, container)
    number, frames = _from_key_frame(clip, container, stream, key)
    if number > start:
        return
    turn: Turn | None = None
    for index, frame in enumerate(frames, number):
        # Asked once, for side data and the frame that they belong to keep one another in memory.
        turn = turn or turn_of(frame)
        size = _square(stream, frame.height, frame.width)
        if clip.stamped and (frame.pts, stream.time_base) != (clip.times[index], clip.time_base):
            return
        if turned_shape(size, turn) != clip.shape:
            return
        if index >= start:
            yield turned(to_rgb(frame, clip.colour, clip.bits, size), turn)
        if index == stop - 1:
            return


def _from_key_frame(
    clip: Clip, container: "InputContainer", stream: "VideoStream", start: int
) -> tuple[int, Iterator["VideoFrame"]]:
    """Returns the number of a key frame near `start`, and the frames from it on; all of them where
    `start` is 0, none where there is no such key frame."""
    import av

    if start == 0:
        return 0, _decoded(clip.path, container, stream)
    try:
        container.seek(clip.times[start], stream=stream)
    except av.error.FFmpegError:  # a format without an index
        return clip.frames, iter(())
    frames = dropwhile(lambda one: not one.key_frame, _decoded(clip.path, container, stream))
    first = next(frames, None)
    if first is None or first.pts not in clip.times:
        return clip.frames, iter(())
    return clip.times.index(first.pts), chain([first], frames)
