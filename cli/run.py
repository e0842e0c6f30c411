"""`nst-batch run`: one content, one style, one file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.errors import UserError
from nst_lightning.files import spell
from nst_lightning.formats import result_format, result_suffixes
from nst_lightning.grid.blends import blended, parse_blend, regional
from nst_lightning.grid.masks import check_found, find_masks, mask_problem, with_mask
from nst_lightning.grid.pairs import Case, Pair
from nst_lightning.grid.sources import Source, read_source
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.large_imports import large_imports
from nst_lightning.layout import safe_name
from nst_lightning.settings import BatchSettings, build
from nst_lightning.settings.knob import COLOURS

from .flags import Flags, MaskDir
from .options import settings_options
from .work import show_plan


def format_of(file: Path) -> dict[str, str]:
    """The format that a file's name asks for, as a setting; {} where there is none of the kind."""
    name = result_format(file)
    return {"format": name} if name else {}


def check_suffix(file: Path, settings: BatchSettings) -> None:
    """See that a file's name goes with the format.

    Raises:
        UserError: it does not.
    """
    named = format_of(file).get("format")
    if named is None:
        raise UserError(
            f"{file}: does not say which format it is to have; name one that ends in "
            f"{', '.join(result_suffixes())} with --out."
        )
    if named != settings.format:
        raise UserError(
            f"{file}: is the name of a {named} file, but format is {settings.format}; name one "
            f"that ends in .{settings.suffix} with --out, or leave --format out."
        )


@settings_options()
def run(
    content: Annotated[Path, typer.Argument(help="The photograph.")],
    given: Mapping[str, Any],
    flags: Flags,
    style: Annotated[Path | None, typer.Argument(help="The painting.")] = None,
    blend: Annotated[
        list[str] | None,
        typer.Option(
            "--blend",
            metavar="STYLE[=SHARE]",
            help="Several paintings, instead of STYLE.",
            rich_help_panel=COLOURS,
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            metavar="COLOUR=STYLE",
            help="A painting for the regions of that colour in the content's mask.",
            rich_help_panel=COLOURS,
        ),
    ] = None,
    content_mask: Annotated[
        Path | None,
        typer.Option(
            "--content-mask",
            metavar="FILE",
            help="Regions of the photograph.",
            rich_help_panel=COLOURS,
        ),
    ] = None,
    style_mask: Annotated[
        Path | None,
        typer.Option(
            "--style-mask",
            metavar="FILE",
            help="Regions of the painting.",
            rich_help_panel=COLOURS,
        ),
    ] = None,
    mask_dir: MaskDir = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Image file [<content>-<style>.png]."),
    ] = None,
) -> None:
    """Stylise one image into one file, whose suffix is its format where --format is not given."""
    from nst_lightning.store.output import check_file

    settings = build(given if out is None else {**format_of(out), **given})
    image = read_inputs(
        content, style, blend or [], region or [], content_mask, style_mask, mask_dir, settings
    )
    name = safe_name(f"{content.stem}-{image.style.name}")
    file = out or Path(f"{name}.{settings.suffix}")
    if spell(str(file)) != str(file):
        raise UserError(f"--out {file}: name a file in UTF-8.")
    check_file(file, image)
    check_suffix(file, settings)
    make_one(replace(image, file=file.name), settings, file, flags)


def make_one(pair: Pair, settings: BatchSettings, file: Path, flags: Flags) -> None:
    """Makes the one result of a command.

    Args:
        pair: whose file is that one's name.
        settings: of the command.
        file: the result.
        flags: as the options say.

    Raises:
        typer.Exit: with 1, where it failed.
        UserError: something is in the way, or cannot work.
    """
    if flags.dry_run:
        show_plan([Case(settings, [pair])], file.parent, flags.as_json)
        return

    with large_imports():
        from nst_lightning.run.runner import run as run_pairs
    from nst_lightning.run.slurm import place
    from nst_lightning.stop import Interrupted, StopFlag
    from nst_lightning.store.output import check_folder

    from .live import choose_display

    if place().rank > 0:
        typer.echo(f"{file}: the first task makes it; only a folder has work for several.")
        return

    check_folder(file.parent, [])
    stop = StopFlag()
    with stop.listening():
        try:
            summary = run_pairs(
                [Case(settings, [pair])],
                file.parent,
                choose_display(flags.quiet or flags.as_json, settings.log_every),
                stop,
                ledger=None,
                overwrite=flags.overwrite,
            )
        except Interrupted:
            typer.echo("Interrupted: run the same command again to go on.", err=True)
            raise
    if flags.as_json:
        made = summary.last.data() if summary.last else {}
        outcome = {"skipped": summary.skipped == 1, **made}
        typer.echo(json.dumps({**outcome, "output": str(file)}))
    for record in summary.failed:
        typer.echo(f"nst-batch: {record.reason}", err=True)
        raise typer.Exit(1)
    if not (flags.quiet or flags.as_json):
        typer.echo(f"{file} {'was made before' if summary.skipped else 'is made'}")


def read_inputs(
    content: Path,
    style: Path | None,
    blend: Sequence[str],
    region: Sequence[str],
    content_mask: Path | None,
    style_mask: Path | None,
    mask_dir: Path | None,
    settings: BatchSettings,
) -> Pair:
    """The pair that the command line names, its file still open.

    Raises:
        UserError: images that cannot be read, or options that contradict each other.
    """
    if (style is not None) + bool(blend) + bool(region) != 1:
        raise UserError("name the style once: STYLE, or --blend for several, or --region.")
    if style_mask and not style:
        raise UserError("--style-mask goes with a single STYLE; blends find theirs by --mask-dir.")
    images = ImageReader(settings.max_pixels)

    def read(path: Path, mask: Path | None = None, folder: Path | None = mask_dir) -> Source:
        source = read_image(path, images)
        if mask is not None:
            if not mask.is_file():
                raise UserError(f"{mask}: {'is a folder' if mask.is_dir() else 'not found'}.")
            return with_mask(source, mask, images)
        return find_masks([source], folder, settings)[0] if folder is not None else source

    photograph = read(content, content_mask)
    if mask_dir and not content_mask:
        check_found([photograph], mask_dir)
    if (style_mask or region) and not photograph.mask:
        which = "--style-mask" if style_mask else "--region"
        raise UserError(f"{which} needs the regions of the content: add --content-mask FILE.")
    if style:
        painting = read(style, style_mask)
    elif blend:
        named = [parse_blend(text) for text in blend]
        painting = blended([(read(path), share) for path, share in named], "--blend")
    else:
        named_regions = [parse_region(text) for text in region]
        painting = regional(
            [(colour, read(path, folder=None)) for colour, path in named_regions], "--region"
        )
    pair = Pair(photograph, painting, "")
    if problem := pair.problem or mask_problem(pair, images):
        raise UserError(problem)
    return pair


def read_image(path: Path, images: ImageReader) -> Source:
    """One image.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    if not path.is_file():
        kind = "is a folder; `nst-batch grid` takes folders" if path.is_dir() else "not found"
        raise UserError(f"{path}: {kind}.")
    source = read_source(path, path.stem, images)
    if source.problem:
        raise UserError(source.problem)
    return source


def parse_region(text: str) -> tuple[str, Path]:
    """Read `white=wave.jpg` as (white, wave.jpg).

    Raises:
        UserError: it is not of this form.
    """
    colour, equals, path = text.partition("=")
    if not equals:
        raise UserError(f"--region takes COLOUR=STYLE, such as white=wave.jpg, not {text!r}.")
    return colour, Path(path)
