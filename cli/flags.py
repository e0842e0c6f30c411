"""Flags that several commands share, each declared once. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nst_lightning.settings.knob import COLOURS

Out = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Output folder.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and its estimated cost.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace results of other settings or inputs."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
MaskDir = Annotated[
    Path | None,
    typer.Option(
        "--mask-dir",
        metavar="FOLDER",
        help="Where <name>.mask.png, the regions of an image, is, if not beside it.",
        rich_help_panel=COLOURS,
    ),
]
BlendStyles = Annotated[
    str | None,
    typer.Option(
        "--blend-styles",
        metavar="WHICH",
        help="Blends of styles as columns: pairs (every two of them), or those that a YAML FILE "
        "names.",
        rich_help_panel=COLOURS,
    ),
]
Network = Annotated[str, typer.Option("--network", help="vgg19 or vgg16.")]
Weights = Annotated[str, typer.Option("--weights", help="Weights of the network.")]
WeightsInput = Annotated[
    str, typer.Option("--weights-input", help="What a weights file's network is fed.")
]
Accelerator = Annotated[str, typer.Option("--accelerator", help="auto, cpu, gpu or mps.")]


@dataclass(frozen=True)
class Flags:
    """How a command that makes images goes about it."""

    dry_run: DryRun = False
    overwrite: Overwrite = False
    quiet: Quiet = False
    as_json: Json = False


@dataclass(frozen=True)
class StyleFlags:
    """What goes with the contents and styles of a grid."""

    blend_styles: BlendStyles = None
    mask_dir: MaskDir = None
