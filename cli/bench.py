"""`nst-batch bench`: how fast this machine is, against the PyTorch tutorial's loop."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.errors import UserError
from nst_lightning.settings import BatchSettings, Scale, build, parse_scales
from nst_lightning.settings.sizes import ShorterSide, is_whole_number

from .flags import Accelerator, Json, Weights, WeightsInput


def bench(
    content: Annotated[Path, typer.Argument(help="Photograph.")],
    style: Annotated[Path, typer.Argument(help="Painting.")],
    sizes: Annotated[str, typer.Option(help="Longest sides to time.")] = "256,512,1024",
    batches: Annotated[str, typer.Option(help="Images per batch to time.")] = "1",
    precisions: Annotated[str, typer.Option(help="Precisions to time.")] = "32-true,bf16-mixed",
    rounds: Annotated[int, typer.Option(min=1, help="Calls of each kind.")] = 7,
    until: Annotated[
        str, typer.Option(help="SIZE:EVALUATIONS,…: time until the tutorial loop's loss.")
    ] = "",
    scales: Annotated[
        str, typer.Option(help="SIZE:STEPS,…;…: then these lists of scales too (with --until).")
    ] = "",
    memory: Annotated[str, typer.Option(help="Longest sides whose peak memory to measure.")] = "",
    accelerator: Accelerator = "auto",
    weights: Weights = "normalized",
    weights_input: WeightsInput = "auto",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the figures go.")] = Path(
        "bench.json"
    ),
    as_json: Json = False,
) -> None:
    """Time a step against the PyTorch tutorial's loop and the bare network, in one run.

    All of them take turns, and medians and ratios are printed. Keep the machine free of other work.
    """
    settings = build(
        {
            "weights": weights,
            "weights_input": weights_input,
            "accelerator": accelerator,
            "scales": 1,
        }
    )
    from nst_lightning.files import write_text
    from nst_lightning.run.devices import DTYPES

    asked = {
        "sizes": parse_numbers(sizes),
        "batches": parse_numbers(batches),
        "precisions": parse_names("precision", precisions, DTYPES),
        "rounds": rounds,
        "until": [parse_passes(part)[0] for part in until.split(",") if part],
        "scales": [parse_passes(part) for part in scales.split(";") if part],
        "memory": parse_numbers(memory),
    }
    figures = measure(settings, content, style, asked)
    write_text(out, json.dumps(figures, indent=1) + "\n")
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        typer.echo("\n".join(format_figures(figures)))
        typer.echo(f"all figures are in {out}")


def parse_numbers(text: str) -> list[int]:
    """Reads whole numbers such as `256,512`.

    Raises:
        UserError: anything else.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(is_whole_number(part) and int(part) > 0 for part in parts):
        raise UserError(f"{text!r}: should be whole numbers above 0, such as 256,512.")
    return [int(part) for part in parts]


def parse_names(what: str, text: str, known: Iterable[str]) -> list[str]:
    """Reads names such as `32-true,bf16-mixed`.

    Raises:
        UserError: one of them is not known.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise UserError(f"{what} {(wrong or [text])[0]!r} should be one of {', '.join(known)}.")
    return names


def parse_passes(text: str) -> list[Scale]:
    """Reads scales such as `256:150,512:60`.

    Raises:
        UserError: a size that each content makes another of.
    """
    scales = build({"scales": parse_scales(text)}).scales
    if any(isinstance(scale.target, (float, ShorterSide)) for scale in scales):
        raise UserError(f"{text}: bench takes the longest side in pixels, such as 256:150.")
    return scales


def measure(
    settings: BatchSettings, content: Path, style: Path, asked: dict[str, Any]
) -> dict[str, Any]:
    """Returns all figures, ready for JSON."""
    from nst_lightning.benchmark.cases import Bench
    from nst_lightning.benchmark.machine import describe_machine, measure_memory
    from nst_lightning.run.memory import keep_freed_memory

    keep_freed_memory()
    bench = Bench.load(settings, content, style, asked["precisions"])

    def say(text: str) -> None:
        typer.echo(text, err=True)

    figures: dict[str, Any] = {"machine": describe_machine(bench.device), "peaks": bench.peaks}
    figures["steps"], figures["until"], figures["memory"] = [], [], []
    for size in asked["sizes"]:
        for batch in asked["batches"]:
            say(f"timing {size} px, batch {batch}")
            figures["steps"].append(bench.steps(size, batch, asked["rounds"]))
    for scale in asked["until"]:
        say(f"the tutorial's loss after {scale.steps} evaluations at {scale.size} px")
        lists = [some for some in asked["scales"] if some[-1].size == scale.size]
        figures["until"].append(bench.until(scale.longest, scale.steps, lists))
    for size in asked["memory"]:
        for precision in asked["precisions"]:
            say(f"memory at {size} px, {precision}")
            peak = measure_memory(settings, content, style, size, precision)
            figures["memory"].append({"size": size, "precision": precision, "bytes": peak})
    return figures


def format_figures(figures: dict[str, Any]) -> list[str]:
    """Returns the figures as lines of text."""
    lines = [", ".join(str(value) for value in figures["machine"].values()), ""]
    lines.append(
        f"{'size':>9} {'batch':>5} {'precision':>10} {'tutorial':>9} {'bare':>8} {'ours':>8}"
        f" {'of bare':>8} {'faster':>7} {'eval/s':>7} {'pict./h':>8} {'TFLOP/s':>8} {'of peak':>7}"
    )
    for case in figures["steps"]:
        for precision, ours in case["ours"].items():
            ms = {name: 1000 * value for name, value in case["seconds"].items()}
            faster = f"{ours['under_tutorial']:.2f}×" if ours["under_tutorial"] else ""
            tutorial = f"{ms['tutorial']:.1f} ms" if "tutorial" in ms else ""
            lines.append(
                f"{case['width']}×{case['height']}".rjust(9)
                + f" {case['batch']:>5} {precision:>10} {tutorial:>9}"
                f" {ms[f'bare {precision}']:>8.1f} {ms[f'ours {precision}']:>8.1f}"
                f" {ours['over_bare']:>7.3f}× {faster:>7} {ours['evaluations_per_second']:>7.2f}"
                f" {ours['images_per_hour_of_300_steps']:>8.1f} {ours['tflop_per_second']:>8.3f}"
                f" {100 * ours['share_of_peak']:>6.1f}%"
            )
    for case in figures["until"]:
        goal = case["tutorial"]
        lines += ["", f"{case['size']} px until the tutorial's loss after {case['evaluations']}:"]
        rows = {"tutorial": goal, **case["ours"], **case["scales"]}
        for name, row in rows.items():
            reached = "" if row.get("reached", True) else "  not reached"
            lines.append(
                f"{name:>28} {row['seconds']:>8.1f} s {row.get('share', 1):>6.3f}"
                f"  loss {row['total']:.4g}  content {row['content']:.4g}"
                f"  style {row['style']:.4g}{reached}"
            )
    for case in figures["memory"]:
        lines.append(
            f"{case['size']} px, {case['precision']}: {case['bytes'] / 2**30:.2f} GiB at the peak"
        )
    return lines
