"""`nst-batch video`: every film in every style."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.errors import UserError
from nst_lightning.formats import CLIP_SUFFIXES
from nst_lightning.grid.blends import blended_columns
from nst_lightning.grid.clips import (
    SNAPSHOTS,
    container_of,
    missing_frames,
    read_clips,
    with_frame_masks,
)
from nst_lightning.grid.masks import check_found, find_masks
from nst_lightning.grid.pairs import Grid, Pair
from nst_lightning.grid.sources import Source, read_sources
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.settings import BatchSettings, build

from .flags import Flags, StyleFlags
from .grid import Shard, make_grid
from .options import settings_options
from .run import make_one
from .sides import check_names

Clips = Annotated[
    Path, typer.Argument(help="Folder of films, or one, or a folder of numbered frames.")
]
Styles = Annotated[Path, typer.Argument(help="Folder of paintings, or one image.")]
FilmOut = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FOLDER|FILE", help="Output folder, or one film's file."),
]


@settings_options(apart=SNAPSHOTS)
def video(
    clips: Clips,
    styles: Styles,
    given: Mapping[str, Any],
    flags: Flags,
    beside: StyleFlags,
    out: FilmOut = Path("out"),
    part: Shard = None,
) -> None:
    """Paint every film in every style, without flicker, its sound as it was.

    Results are OUT/<film>/<style>.mp4, or in the container that is asked for; -o with the name of a
    film makes that one file. Masks are a folder of images for each film, one for each frame.
    """
    if is_one_film(out):
        settings = build({"container": container_of(out), **given})
        make_one_film(clips, styles, settings, flags, out, beside)
        return
    settings = build(given)
    sides = read_film_sides(clips, styles, settings, out, beside)
    tell_gaps(sides[0], flags.quiet)
    pairs = Grid(*sides, settings.container)
    make_grid(pairs, sides, settings, out, flags, part, [clips, styles])


def is_one_film(out: Path) -> bool:
    """Whether an output is one film's file, and no folder."""
    return out.suffix.lower() in CLIP_SUFFIXES and not out.is_dir()


def read_film_sides(
    clips: Path, styles: Path, settings: BatchSettings, out: Path, beside: StyleFlags
) -> tuple[list[Source], list[Source]]:
    """Returns the rows and the columns of a grid of films.

    Raises:
        UserError: no films, no images, no masks, or a blend that cannot be.
    """
    rows, columns = read_clips(clips, settings, out), read_sources(styles, settings, out)
    if (folder := beside.mask_dir) is not None:
        rows = with_frame_masks(rows, folder, ImageReader(settings.max_pixels))
        check_found(rows, folder)
        columns = find_masks(columns, folder, settings)
    if beside.blend_styles is not None:
        check_names(rows)
        columns = blended_columns(beside.blend_styles, columns, out)
    return rows, columns


def tell_gaps(clips: Sequence[Source], quiet: bool) -> None:
    """Says which frames are missing in folders of frames; of the tasks of a job, the first does."""
    from nst_lightning.run.slurm import place

    if not quiet and place().rank == 0:
        for sentence in missing_frames(clips):
            typer.echo(f"nst-batch: {sentence}", err=True)


def make_one_film(
    clip: Path,
    style: Path,
    settings: BatchSettings,
    flags: Flags,
    file: Path,
    beside: StyleFlags,
) -> None:
    """Makes one film in one style.

    Raises:
        UserError: they are not one each, or the file would replace an input.
    """
    from nst_lightning.store.output import check_file

    if beside.blend_styles is not None:
        raise UserError("--blend-styles makes several films: name an output folder with --out.")
    rows, columns = read_film_sides(clip, style, settings, file.parent, beside)
    if len(rows) != 1 or len(columns) != 1:
        several = clip if len(rows) != 1 else style
        raise UserError(
            f"{several}: holds more than one; name one for the one file {file}, or an output "
            "folder with --out."
        )
    tell_gaps(rows, flags.quiet)
    pair = Pair(rows[0], columns[0], file.name)
    if pair.problem:
        raise UserError(pair.problem)
    if settings.container != (named := container_of(file)):
        raise UserError(
            f"{file}: is the name of a {named} file, but container is "
            f"{settings.container}; leave --container out, or name it "
            f"{file.with_suffix(f'.{settings.container}').name}."
        )
    check_file(file, pair)
    make_one(pair, settings, file, flags)
