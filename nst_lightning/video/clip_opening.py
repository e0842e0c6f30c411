"""Opening films: every way a file can be wrong, as a sentence."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_lightning.errors import UserError
from nst_lightning.extras import need_extra
from nst_lightning.imaging.opening import open_file
from nst_lightning.video.whole_film import missing_bytes

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.error import FFmpegError
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

_OPTIONS = {
    # Others read playlists that name further files, images, or any text as an animation.
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mxf,yuv4mpegpipe,h264,hevc",
    "protocol_whitelist": "file",
}

_MAGIC = re.compile(
    rb"....(ftyp|moov|mdat|wide|free)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|OggS|YUV4MPEG2|"
    rb"\0\0\x01\xba|\x47.{187}\x47|\x30\x26\xb2\x75|\x06\x0e\x2b\x34",
    re.DOTALL,
)
"""How films begin: MP4 and MOV, MKV and WebM, AVI, FLV, Ogg, Y4M, MPEG, MPEG-TS, ASF, MXF."""


@contextmanager
def opened_clip(path: Path) -> Iterator["InputContainer"]:
    """Opens a film.

    Raises:
        UserError: PyAV is not installed, or the file is not a film that can be read.
    """
    need_extra("video", f"{path}: films", "av")
    import av

    with open_file(path, "a film") as file:
        start = file.read(512)
        file.seek(0)
        missing = missing_bytes(file)
    if not start:
        raise UserError(f"{path}: is empty (0 bytes); get a whole copy of it.")
    if missing:
        raise UserError(
            f"{path}: is cut short, {missing} bytes are missing at its end; get a whole copy, or "
            f"keep what can be read of it: ffmpeg -i {path.name} -c copy other{path.suffix}."
        )
    try:
        # An absolute path names no protocol, whatever its file is called.
        container = av.open(
            os.path.abspath(path),  # noqa: PTH100
            container_options=_OPTIONS,
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        if _MAGIC.match(start):
            raise damaged(path, error) from error
        raise UserError(
            f"{path}: is not a film that can be read; MP4, MOV, MKV, WebM, AVI or MPEG is expected."
        ) from error
    with container:
        yield container


def damaged(path: Path, error: "FFmpegError", frames: int = 0) -> UserError:
    """Returns the sentence for a film that PyAV could not read any further.

    Args:
        path: of the film.
        error: what PyAV said.
        frames: that could be read.
    """
    if frames:
        return UserError(
            f"{path}: is damaged after frame {frames} ({error.strerror}); get a whole copy of it, "
            "or cut the film there."
        )
    return UserError(
        f"{path}: is a film that is cut short or damaged ({error.strerror}); get a whole copy of "
        "it."
    )


def video_stream(path: Path, container: "InputContainer") -> "VideoStream":
    """Returns the first moving image of a film; the cover of an album is none.

    Raises:
        UserError: there is none, or nothing here decodes it.
    """
    from av.stream import Disposition

    found = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not found:
        raise UserError(f"{path}: has no moving image, only sound or data; name a film.")
    if not found[0].codec_context:
        raise UserError(
            f"{path}: its codec is not known to this PyAV; convert the film to H.264 first."
        )
    found[0].thread_type = "AUTO"
    return found[0]


def packets_of(container: "InputContainer", streams: Sequence["Stream"]) -> Iterator["Packet[Any]"]:
    """Yields the packets of streams, and at the end an empty one for each.

    PyAV asks for an empty one of a stream, too, that has come up in the midst of the film and that
    it does not know, after those that it does.
    """
    with suppress(IndexError):
        yield from container.demux(list(streams))
