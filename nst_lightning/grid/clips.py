"""Films that are contents: found in folders, looked through and named."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nst_lightning.errors import UserError
from nst_lightning.extras import need_extra
from nst_lightning.files import file_state, write_text
from nst_lightning.formats import CLIP_CODECS, CLIP_SUFFIXES
from nst_lightning.grid.sources import Film, Source, find_images, output_names
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.layout import SCANS, STATE, short_hash
from nst_lightning.settings import BatchSettings

_FILM = TypeAdapter(Film)

SNAPSHOTS = ("save_every", "save_first", "save_at")
"""Settings that do not go with films; a preset that has them does without."""

FILMS = "films, nor two numbered frames or more, such as frame-0001.png and frame-0002.png"
"""What a folder holds that holds no clips."""

SCAN = 2
"""Raised when a film is looked through in another way, so that what was found before does not
count."""


def read_clips(where: Path, settings: BatchSettings, out: Path) -> list[Source]:
    """Reads the films of a folder, or one, folders of numbered frames among them; those that cannot
    be read with their problem.

    Raises:
        UserError: there is none, or the settings do not go with films.
    """
    check_for_films(settings)
    from nst_lightning.video.frame_folder import is_frame_folder

    if is_frame_folder(where):
        paths, root = [where], where.parent
    else:
        root = where if where.is_dir() else where.parent
        folders = sorted(filter(is_frame_folder, where.iterdir())) if where.is_dir() else []
        paths = folders + find_films(where, settings, out, known=bool(folders))
    # A name of a folder may have dots; what stands after them is no suffix.
    names = output_names([_named(path, root) for path in paths])
    return [read_clip(path, names[_named(path, root)], settings, out) for path in paths]


def missing_frames(sources: Sequence[Source]) -> list[str]:
    """Returns a sentence for each folder of frames in which numbers are left out."""
    from nst_lightning.video.frame_folder import gaps

    told = []
    for source in sources:
        found = gaps(source.film.clip) if source.film else []
        if found:
            named = ", ".join(
                f"{first}" if first == last else f"{first} to {last}" for first, last in found[:3]
            )
            more = ", and more" if len(found) > 3 else ""
            told.append(
                f"{source.path}: frames are missing ({named}{more}), and those on both sides are "
                "taken to follow on one another; if they should be there, add them first."
            )
    return told


def find_films(where: Path, settings: BatchSettings, out: Path, *, known: bool) -> list[Path]:
    """Returns the film files of a folder, or the one that is named.

    Args:
        where: the folder or file.
        settings: whether sub-folders are looked through.
        out: the output folder, which is left out.
        known: whether there are folders of frames, so that there need be no file.

    Raises:
        UserError: there are none.
    """
    try:
        return find_images(
            where, recursive=settings.recursive, skip=out, suffixes=CLIP_SUFFIXES, what=FILMS
        )
    except UserError:
        if known:
            return []
        raise


def _named(path: Path, root: Path) -> Path:
    """Returns a path from the folder of films on, a folder with a suffix to be cut off."""
    relative = path.relative_to(root)
    return relative.with_name(f"{relative.name}.frames") if path.is_dir() else relative


def read_clip(path: Path, name: str, settings: BatchSettings, out: Path) -> Source:
    """Returns one film, with what is known of it or the reason why it cannot be read."""
    try:
        film = look_through(path, settings, out)
    except UserError as error:
        return Source(path, name, None, str(error))
    return Source(path, name, film.clip.shape, film=film)


def look_through(path: Path, settings: BatchSettings, out: Path) -> Film:
    """Looks through a film once: counts its frames and finds its shots.

    What was found is kept in an output folder that is in use already, until the film changes.

    Raises:
        UserError: it cannot be read.
    """
    from nst_lightning.video.clip_reading import scan_clip
    from nst_lightning.video.shots import ShotFinder

    state = (os.path.realpath(path), file_state(path), SCAN, settings.frame_rate)
    scan = out / SCANS / f"{short_hash(repr(state))}.json"
    if path.is_file():
        with suppress(OSError, ValidationError):
            film = _FILM.validate_json(scan.read_bytes())
            return replace(film, clip=replace(film.clip, path=path))
    finder = ShotFinder()
    rate = Fraction(settings.frame_rate).limit_denominator(1001)
    clip = scan_clip(path, settings.max_pixels, lambda index, frame: finder.see(frame), rate=rate)
    film = Film(clip, tuple(finder.cuts))
    if path.is_file() and (out / STATE).is_dir():
        with suppress(OSError):
            # Without its path, which need not be text that JSON can hold.
            anywhere = replace(film, clip=replace(clip, path=Path()))
            write_text(scan, _FILM.dump_json(anywhere).decode())
    return film


def with_frame_masks(sources: Sequence[Source], folder: Path, images: ImageReader) -> list[Source]:
    """Returns films with the masks of their frames: the images of `folder/<name>`, or of the folder
    itself where there is one film, in order of their names, one for each frame.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"--mask-dir {folder}: there is no such folder.")
    found = []
    for source in sources:
        own = folder / source.name
        if own.is_dir() or len(sources) == 1:
            found.append(_with_masks(source, own if own.is_dir() else folder, images))
        else:
            found.append(source)
    return found


def _with_masks(source: Source, folder: Path, images: ImageReader) -> Source:
    """Returns a film with the masks of a folder; masks that do not fit are its problem."""
    from nst_lightning.imaging.mask import check_aspect
    from nst_lightning.video.frame_folder import scan_frames

    if source.film is None or source.shape is None:
        return source
    try:
        if not any(one.is_file() for one in folder.iterdir()):
            raise UserError(
                f"{folder}: holds no masks for {source.path}; put an image for each frame there, "
                f"0001.png and so on, or into a folder {source.name} in it."
            )
        masks = scan_frames(folder, images.max_pixels).images
        if len(masks) != source.film.clip.frames:
            raise UserError(
                f"{folder}: holds {len(masks)} masks, and {source.path} has "
                f"{source.film.clip.frames} frames; give one for each frame."
            )
        check_aspect(masks[0], images.size(masks[0]), source.path, source.shape)
    except UserError as error:
        return replace(source, shape=None, problem=str(error))
    except OSError as error:
        problem = f"{folder}: cannot be read ({error.strerror})."
        return replace(source, shape=None, problem=problem)
    return replace(source, mask=masks[0], film=replace(source.film, masks=masks))


def container_of(film: Path) -> str:
    """Returns the container that a film's name asks for.

    Raises:
        UserError: none that is written.
    """
    container = film.suffix[1:].lower()
    if container not in CLIP_CODECS:
        known = ", ".join(f".{format}" for format in CLIP_CODECS)
        raise UserError(f"{film}: films are written as {known}; choose one of these names.")
    return container


def check_for_films(settings: BatchSettings) -> None:
    """Sees that settings go with films, and that the packages for them are installed.

    Raises:
        UserError: they do not, or are not.
    """
    check_packages()
    for name, wanted, why in (
        ("split", False, "a frame is made on one device"),
        ("finish", "none", "a film has the size of its frames"),
        ("format", "png", "a film has a container instead"),
        ("bit_depth", 8, "a film has as many bits as its clip"),
        ("dither", False, "its grain would flicker"),
        ("keep_exif", False, "a film has none"),
        ("animate", "none", "the result is a film itself"),
        ("curves", False, "each frame has its own"),
        ("logger", "none", "each frame has its own losses"),
        ("save_every", 0, "its frames are its snapshots"),
        ("save_first", 0, "its frames are its snapshots"),
        ("save_at", [], "its frames are its snapshots"),
    ):
        value = getattr(settings, name)
        if value != wanted:
            raise UserError(f"{name} {value} does not go with films, for {why}: leave it out.")


def check_packages() -> None:
    """Sees that the packages for films are installed.

    Raises:
        UserError: they are not.
    """
    need_extra("video", "films", "av", "cv2")
