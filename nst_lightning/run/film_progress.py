"""Which films are in progress and how far, from the folders of their frames. Imports no torch."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from nst_lightning.files import file_state, write_text
from nst_lightning.layout import FILM_NOTE, FLOWS, FRAMES, MANIFEST, SCANS, STATE, frame_name


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
    found = {}
    for folder, note in sorted(_notes(out), key=lambda one: file_state(one[0] / FILM_NOTE)[2]):
        with suppress(FileNotFoundError):  # the film was finished meanwhile
            found[note.output] = (frames_made(folder), note.frames)
    return found


def frames_made(folder: Path) -> int:
    """Returns how many frames of a film are there; those with which a segment only begins do not
    count, for the segment before shows them.

    Raises:
        FileNotFoundError: the folder is gone.
    """
    return sum(
        frame.name >= frame_name(int(segment.name))
        for segment in folder.iterdir()
        if segment.name.isdecimal()
        for frame in segment.iterdir()
        if frame.suffix == ".png"
    )


def tidy_films(out: Path, is_done: Callable[[str], bool]) -> None:
    """Removes the frames of films that are done, with whatever settings they were begun, and where
    no film is left in progress what is remembered of motion, and beside a film of its own, which
    has no output folder, all else."""
    notes = _notes(out)
    for folder, note in notes:
        if is_done(note.output):
            shutil.rmtree(folder, ignore_errors=True)
    if all(is_done(note.output) for _, note in notes):
        shutil.rmtree(out / FLOWS, ignore_errors=True)
        if not (out / MANIFEST).exists():
            shutil.rmtree(out / SCANS, ignore_errors=True)
    for folder in (out / FRAMES, out / STATE):
        with suppress(OSError):  # there are others, or none
            folder.rmdir()


def _notes(out: Path) -> list[tuple[Path, FilmNote]]:
    """Returns the folders of frames, each with what is noted there."""
    found: list[tuple[Path, FilmNote]] = []
    with suppress(FileNotFoundError):
        for folder in (out / FRAMES).iterdir():
            with suppress(OSError, ValidationError):
                text = (folder / FILM_NOTE).read_bytes()
                found.append((folder, FilmNote.model_validate_json(text)))
    return found
