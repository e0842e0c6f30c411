"""The sound of a clip, copied packet by packet into another film."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_lightning.video.clip import Clip
from nst_lightning.video.clip_opening import damaged, packets_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream


def add_tracks(
    film: "OutputContainer", path: Path, clip: Clip, source: "InputContainer | None"
) -> tuple[dict[int, "Stream"], list[str]]:
    """Adds a stream for each track of sound that a film can hold.

    Args:
        film: being written.
        path: of it.
        clip: whose sound it gets.
        source: the clip's file; None where it has no sound.

    Returns:
        The new streams by the index of the track in the source, and sentences about what is left
        out.
    """
    tracks: dict[int, Stream] = {}
    notes = []
    for track in source.streams.audio if source else ():
        if not _takes(film.format.name, track):
            codec = track.codec_context.codec.canonical_name if track.codec_context else "its codec"
            notes.append(
                f"{path}: the sound of {clip.path} is left out, for a {path.suffix} file does not "
                f"take {codec}; an .mkv file does."
            )
            continue
        tracks[track.index] = film.add_stream_from_template(track)
        if language := track.metadata.get("language"):
            tracks[track.index].metadata["language"] = language
    if clip.others:
        kinds = ", ".join(sorted(set(clip.others)))
        notes.append(f"{path}: of {clip.path} only the film and its sound are kept, no {kinds}.")
    return tracks, notes


def copied(
    path: Path,
    source: "InputContainer | None",
    tracks: Mapping[int, "Stream"],
    *,
    hides: bool,
) -> Iterator["Packet[Any]"]:
    """Yields the packets of tracks as they are in the source, made out to their new streams.

    Packets without a time, or not later than the one before, are damaged, and no file takes them.

    Args:
        path: of the source.
        source: the clip's file; None where it has no sound.
        tracks: see `add_tracks`.
        hides: whether the film can hold packets that are not to be heard, as the edit lists of MP4
            and MOV do. Of those before what is heard, another gets the last, by which a decoder
            begins.

    Raises:
        UserError: the source breaks off.
    """
    import av

    if source is None or not tracks:
        return
    before: dict[int, int] = {}
    unheard: dict[int, Packet[Any]] = {}
    try:
        for packet in packets_of(source, [source.streams[index] for index in tracks]):
            index, time = packet.stream_index, packet.dts
            if packet.size == 0 or time is None or time <= before.get(index, time - 1):
                continue  # those of no size end a decoding
            before[index] = time
            packet.stream = tracks[index]
            if packet.is_discard and not hides:
                unheard[index] = packet
                continue
            if index in unheard:
                yield unheard.pop(index)
            yield packet
    except av.error.FFmpegError as error:
        raise damaged(path, error) from error


def mux_sound(film: "OutputContainer", packet: "Packet[Any]") -> bool:
    """Adds a packet of sound to a film; returns whether it could, which it cannot if damaged.

    Raises:
        OSError: the film cannot be written.
    """
    import av

    try:
        film.mux(packet)
    except OSError:
        raise
    except av.error.FFmpegError:
        return False
    return True


def _takes(format: str, track: "AudioStream") -> bool:
    """Whether a format can hold a track: FFmpeg's own list says yes to some, such as Opus in MOV,
    for which it cannot write the header."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=format) as trial:
            trial.add_stream_from_template(track)
            trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True
