"""`nst-batch reconstruct`, `texture`, `compare-init` and `sweep`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Case, Grid
from nst_lightning.grid.sources import read_sources
from nst_lightning.settings import build, merge
from nst_lightning.settings.layers import layer_sets
from nst_lightning.settings.presets import read_preset, sweep_file
from nst_lightning.studies.single import SINGLE, Kind, make_axes, make_cases
from nst_lightning.studies.sweep import Axes, Sweep, add_pairs, dump_sweep, expand_axes, read_sweep

from .flags import Flags, Out, StyleFlags
from .options import settings_options
from .sides import draw_blends, read_sides
from .work import carry_out, show_plan

Layers = Annotated[
    str,
    typer.Option(
        "--layers",
        metavar="LAYERS",
        help="Layers and sets of layers, one result each: conv_1, conv_1+conv_2, conv_5..conv_8, "
        "all.",
    ),
]
Seeds = Annotated[
    int, typer.Option("--seeds", min=1, metavar="N", help="Noise starts of each set.")
]
Images = Annotated[Path, typer.Argument(help="Folder of images, or one image.")]

Given = Mapping[str, Any]

CURVES = {"curves": True}
ALIKE = {"curves": True, "scales": 1, "precision": "32-true"}
"""What is not said to `compare-init`: starts are compared at one scale, without rounding."""


@settings_options(SINGLE)
def reconstruct(
    images: Images,
    given: Given,
    flags: Flags,
    layers: Layers = "conv_1, conv_2, conv_3, conv_4, conv_5",
    seeds: Seeds = 2,
    out: Out = Path("reconstruct"),
) -> None:
    """Rebuild images from noise by their content alone, layer by layer: what a layer keeps."""
    study("reconstruct", images, given, flags, layers, seeds, out)


@settings_options(SINGLE)
def texture(
    images: Images,
    given: Given,
    flags: Flags,
    layers: Layers = "conv_1, conv_1..conv_2, conv_1..conv_3, conv_1..conv_4, conv_1..conv_5",
    seeds: Seeds = 2,
    out: Out = Path("texture"),
) -> None:
    """Draw textures from noise by the Gram matrices alone, set by set of layers.

    --size WIDTHxHEIGHT makes them of any size; --style-size is that of the image they come from.
    """
    study("texture", images, given, flags, layers, seeds, out)


def study(
    kind: Kind, images: Path, given: Given, flags: Flags, layers: str, seeds: int, out: Path
) -> None:
    """Runs content reconstruction or texture synthesis."""
    settings = build(given)
    if kind == "texture" and settings.finish == "detail":
        raise UserError("finish detail does not go with texture: a texture has no content.")
    axes = make_axes(kind, layer_sets(layers, settings.network), seeds, given)
    cases = make_cases(kind, axes, given, read_sources(images, settings, out))

    def write_report() -> list[Path]:
        from nst_lightning.studies.single_report import write_report

        return write_report(kind, cases, out)

    perform(cases, axes, given, out, [images], flags, write_report)


@settings_options(ALIKE)
def compare_init(
    contents: Annotated[Path, typer.Argument(help="Photograph, or folder of photographs.")],
    styles: Annotated[Path, typer.Argument(help="Painting, or folder of paintings.")],
    given: Given,
    flags: Flags,
    beside: StyleFlags,
    out: Out = Path("compare-init"),
) -> None:
    """Start from noise, from the content and from gray, and compare at equal steps."""
    from nst_lightning.studies.compare import INITS, choose_milestones, write_start_report

    settings = build(given)
    axes = {"init": INITS}
    base = merge({"save_at": choose_milestones(settings.total_steps), **ALIKE}, given)
    pairs = Grid(*read_sides(contents, styles, settings, out, beside))
    cases = add_pairs(expand_axes(axes, base), pairs)
    inputs = [contents, styles]
    perform(cases, axes, base, out, inputs, flags, lambda: write_start_report(cases, out))


@settings_options(CURVES)
def sweep(
    file: Annotated[str, typer.Argument(help="YAML file of base settings and axes, or a name.")],
    given: Given,
    flags: Flags,
    beside: StyleFlags,
    contents: Annotated[
        Path | None, typer.Argument(help="Photographs, instead of the file's.")
    ] = None,
    styles: Annotated[Path | None, typer.Argument(help="Paintings, instead of the file's.")] = None,
    out: Out = Path("sweep"),
) -> None:
    """Run every combination of the axes of FILE on every content and style.

    FILE is a path, or the name of one of the sweeps that come along: seed-004, say.
    """
    path = sweep_file(file)
    plan = read_sweep(path)
    preset = read_preset(plan.preset) if plan.preset else {}
    base = merge(CURVES, preset, plan.base, given)
    photographs, paintings = contents or plan.contents, styles or plan.styles
    if photographs is None or paintings is None:
        raise UserError(f"{file}: names no images; write `nst-batch sweep {file} CONTENTS STYLES`.")
    cases = expand_axes(plan.axes, base)
    settings = cases[0].settings
    sides = read_sides(photographs, paintings, settings, out, beside)
    pairs = Grid(*sides)
    cases = add_pairs(cases, pairs)

    def write_report() -> list[Path]:
        from nst_lightning.studies.compare import write_report

        return write_report(cases, out)

    inputs = [photographs, paintings]
    perform(cases, plan.axes, base, out, inputs, flags, write_report)


def perform(
    cases: Sequence[Case],
    axes: Axes,
    base: Given,
    out: Path,
    inputs: Sequence[Path],
    flags: Flags,
    report: Callable[[], list[Path]],
) -> None:
    """Runs a study's cases; leaves `sweep.yaml`, which repeats it."""
    if flags.dry_run:
        show_plan(cases, out, flags.as_json)
        return
    from nst_lightning.files import write_text
    from nst_lightning.layout import SWEEP
    from nst_lightning.store.output import check_folder

    check_folder(out, inputs)

    def ready() -> None:
        write_text(out / SWEEP, dump_sweep(Sweep(base=base, axes=axes)))
        draw_blends({pair.style for pair in cases[0].pairs}, cases[0].settings.max_pixels)

    carry_out(cases, out, flags=flags, ready=ready, report=report)
