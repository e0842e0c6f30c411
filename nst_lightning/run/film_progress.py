"""Which films are in progress and how far, from the folders of their frames. Imports no torch."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from nst_lightning.files import write_text
from nst_lightning.layout import FILM_NOTE, FLOWS, FRAMES, STATE, frame_name


class FilmNote(BaseModel, frozen=True):
    """What the frames of a folder are of."""

    output: str
    """The film, relative to the output folder."""
    frames: int = Field(gt=0)
    """Of the film."""


def write_note(folder: Path, output: str, frames: int) -> None:
    """Notes what the frames of a folder are to become; the film that is noted last counts where its
    settings have changed.

    Raises:
        OSError: it cannot be written.
    """
    write_text(folder / FILM_NOTE, FilmNote(output=output, frames=frames).model_dump_json())


def films_in_progress(out: Path) -> dict[str, tuple[int, int]]:
    """Returns how many frames are made of each film that is not finished, and of how many."""
    found = sorted(_notes(out), key=lambda one: _written(one[0]))
    return {note.output: (frames_made(folder), note.frames) for folder, note in found}


def frames_made(folder: Path) -> int:
    """Returns how many frames of a film are there; those with which a segment only begins do not
    count, for the segment before shows them."""
    return sum(
        frame.name >= frame_name(int(segment.name))
        for segment in folder.iterdir()
        if segment.name.isdecimal()
        for frame in segment.glob("*.png")
    )


def tidy_films(out: Path, is_done: Callable[[str], bool]) -> None:
    """Removes the frames of films that are done, with whatever settings they were begun, and where
    no film is left in progress what is remembered of motion."""
    notes = _notes(out)
    for folder, note in notes:
        if is_done(note.output):
            shutil.rmtree(folder, ignore_errors=True)
    if all(is_done(note.output) for _, note in notes):
        shutil.rmtree(out / FLOWS, ignore_errors=True)
    for folder in (out / FRAMES, out / STATE):
        with suppress(OSError):  # there are others, or none
            folder.rmdir()


def _notes(out: Path) -> list[tuple[Path, FilmNote]]:
    """Returns the folders of frames, each with what is noted there."""
    found = []
    for path in (out / FRAMES).glob(f"*/{FILM_NOTE}"):
        with suppress(OSError, ValidationError):
            found.append((path.parent, FilmNote.model_validate_json(path.read_bytes())))
    return found


def _written(folder: Path) -> int:
    try:
        return (folder / FILM_NOTE).stat().st_mtime_ns
    except OSError:
        return 0
