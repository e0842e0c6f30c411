"""The sound of a clip, copied packet by packet into another film."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nst_lightning.video.clip import Clip

if TYPE_CHECKING:
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
    for track, codec in zip(source.streams.audio if source else (), clip.audio, strict=True):
        try:
            tracks[track.index] = film.add_stream_from_template(track)
        except ValueError:
            notes.append(
                f"{path}: the sound of {clip.path} is left out, for a {path.suffix} file does not "
                f"take {codec}; an .mkv file does."
            )
            continue
        if language := track.metadata.get("language"):
            tracks[track.index].metadata["language"] = language
    if clip.others:
        kinds = ", ".join(sorted(set(clip.others)))
        notes.append(f"{path}: only the images and the sound of {clip.path} are kept, not: {kinds}.")
    return tracks, notes


def copied(
    source: "InputContainer | None", tracks: Mapping[int, "Stream"]
) -> Iterator["Packet"]:
    """Yields the packets of tracks as they are in the source, made out to their new streams."""
    if source is None or not tracks:
        return
    for packet in source.demux([source.streams[index] for index in tracks]):
        if packet.size:  # the last ones are empty and end the decoding
            packet.stream = tracks[packet.stream_index]
            yield packet
