"""`nst-batch bench-gpu`: all that is asked about a GPU, as one table."""

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from nst_lightning.settings import build

from .bench import parse_names, parse_numbers, parse_passes
from .flags import Accelerator, Weights


def bench_gpu(
    content: Annotated[Path, typer.Argument(help="Photograph.")],
    style: Annotated[Path, typer.Argument(help="Painting.")],
    into: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Markdown in whose lines `gpu table` the table goes."),
    ] = None,
    only: Annotated[str, typer.Option(help="Parts of the table, by name; by default all.")] = "",
    sizes: Annotated[str, typer.Option(help="Sides of the square images.")] = "512,256,1024",
    batches: Annotated[str, typer.Option(help="Images per batch.")] = "1,2,4,8,16,32",
    precisions: Annotated[
        str, typer.Option(help="Precisions; the first is what single questions are asked in.")
    ] = "bf16-mixed,16-mixed,TF32,32-true",
    rounds: Annotated[int, typer.Option(min=1, help="Calls of each kind.")] = 5,
    large: Annotated[int, typer.Option(min=16, help="Side whose memory is asked for.")] = 2048,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of the grid.")] = 1000,
    grid: Annotated[
        str, typer.Option(metavar="SIZE:STEPS", help="Of the grid's images.")
    ] = "256:300",
    exact: Annotated[
        str, typer.Option(metavar="SIZE:STEPS", help="Of the runs whose losses are compared.")
    ] = "256:60",
    minutes: Annotated[
        float, typer.Option(min=0, help="After these, what is left is not measured.")
    ] = 8,
    accelerator: Accelerator = "auto",
    weights: Weights = "normalized",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the figures go.")] = Path(
        "bench-gpu.json"
    ),
) -> None:
    """Measure what a GPU makes of it: steps, precisions, memory, a grid, and how exact they are.

    Both files are written anew after every row, so that nothing is lost where it ends early. A row
    that a device cannot make says why. Without a GPU the same is measured on the processor.
    """
    ends = time.monotonic() + 60 * minutes
    from nst_lightning.benchmark.gpu_figures import Asked
    from nst_lightning.benchmark.gpu_parts import PARTS, load_subject, measure_parts
    from nst_lightning.benchmark.gpu_table import check_markers, format_table, write_between_markers
    from nst_lightning.benchmark.modes import MODES
    from nst_lightning.files import write_text

    asked = Asked(
        sizes=parse_numbers(sizes),
        batches=parse_numbers(batches),
        modes=parse_names("precision", precisions, MODES),
        rounds=rounds,
        large=large,
        grid=parse_passes(grid)[-1],
        pairs=pairs,
        exact=parse_passes(exact)[-1],
    )
    parts = parse_names("part", only, PARTS) if only else list(PARTS)
    if into:
        check_markers(into)
    settings = build({"weights": weights, "accelerator": accelerator, "scales": 1})
    subject = load_subject(settings, content, style, asked, ends)
    command = f"nst-batch {shlex.join(sys.argv[1:])}"
    for figures in measure_parts(subject, parts, lambda text: typer.echo(text, err=True)):
        write_text(out, json.dumps({"command": command, **figures}, indent=1) + "\n")
        if into:
            write_between_markers(into, format_table({"command": command, **figures}))
    typer.echo(f"all figures are in {out}" + (f", the table in {into}" if into else ""))
