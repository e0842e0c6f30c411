"""Pairs under many cases side by side: starts, and sweeps."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_lightning.drawing.csv_tables import write_table
from nst_lightning.grid.pairs import Case
from nst_lightning.layout import RESULTS_TABLE, curves_name, figure_name, snapshot_name
from nst_lightning.report.figure import draw_figure
from nst_lightning.report.panels import Panel, Row
from nst_lightning.studies.distances import (
    colour_distance,
    psnr,
    read_input,
    read_result,
    ssim,
)
from nst_lightning.studies.results import Result, find_finished, overlay_curves

COLUMNS = 8
"""Of a figure whose cases have one axis only."""

INITS = {"noise": {"init": "noise"}, "content": {"init": "content"}, "gray": {"init": "gray"}}
"""The starts that `compare-init` compares."""


def choose_milestones(steps: int) -> list[int]:
    """Returns the steps at which starts are compared: 1, 2, 5, 10, 20, 50 … and the last."""
    marks = {m * 10**k for k in range(len(str(steps))) for m in (1, 2, 5)}
    return sorted({mark for mark in marks if mark < steps} | {steps})


def write_report(cases: Sequence[Case], out: Path) -> list[Path]:
    """Writes figure.png, and results.csv with every result's labels, losses and distances.

    Returns:
        The files written; none where nothing is finished.
    """
    results = list(find_finished(cases, out))
    if not results:
        return []
    rows = [measure(result) for result in results]
    write_table(out / RESULTS_TABLE, rows)
    draw_figure(out / figure_name(), arrange_figure(results), max_pixels=results[0].max_pixels)
    return [out / figure_name(), out / RESULTS_TABLE, *draw_pair_curves(results, out)]


def draw_pair_curves(results: Sequence[Result], out: Path) -> list[Path]:
    """Draws the loss curves of each pair over all cases."""
    by_pair: dict[str, list[Result]] = {}
    for result in results:
        by_pair.setdefault(result.pair.label, []).append(result)
    written = []
    for group in by_pair.values():
        name = curves_name("" if len(by_pair) == 1 else name_pair(group[0]))
        written += overlay_curves(group, out, out / name)
    return written


def name_pair(result: Result) -> str:
    """Returns a pair as part of a file name."""
    return f"{result.pair.content.name}-{result.pair.style.name}"


def measure(result: Result) -> dict[str, Any]:
    """Returns a result's labels, losses, and how it compares with its content and style."""
    image = read_result(result)
    content = read_input(result, result.pair.content.path, like=image)
    style = read_input(result, result.pair.style.path)
    return {
        **result.labels,
        "content": result.pair.content.name,
        "style": result.pair.style.name,
        "total": result.loss("total"),
        "content_loss": result.loss("content"),
        "style_loss": result.loss("style"),
        "tv_loss": result.loss("tv"),
        "psnr_content": psnr(image, content),
        "ssim_content": ssim(image, content),
        "colour_distance_content": colour_distance(image, content),
        "colour_distance_style": colour_distance(image, style),
        "steps": result.record.steps,
        "seconds": result.record.seconds,
    }


def arrange_figure(results: Sequence[Result]) -> list[Row]:
    """Puts the last axis across, the others down, pair by pair; a single axis in lines of 8."""
    axes = list(results[0].labels)
    pairs = list(dict.fromkeys(result.pair.label for result in results))
    rows = []
    for pair in pairs:
        group = [result for result in results if result.pair.label == pair]
        source = group[0].pair
        heads = [Panel(source.content.path, "content"), Panel(source.style.path, "style")]
        label = pair if len(pairs) > 1 else ""
        if len(axes) == 1:
            panels = [*heads, *(make_panel(result, result.labels) for result in group)]
            width = COLUMNS if len(panels) > COLUMNS + 2 else len(panels)
            for start in range(0, len(panels), width):
                rows.append(Row(label if start == 0 else "", panels[start : start + width]))
            continue
        rows.append(Row(label, heads))
        across = axes[-1]
        lines: dict[str, list[Result]] = {}
        for result in group:
            name = ", ".join(f"{axis} {result.labels[axis]}" for axis in axes[:-1])
            lines.setdefault(name, []).append(result)
        rows += [
            Row(name, [make_panel(r, {across: r.labels[across]}) for r in line])
            for name, line in lines.items()
        ]
    return rows


def make_panel(result: Result, labels: Mapping[str, str]) -> Panel:
    """Returns a result under its labels."""
    name = ", ".join(
        value if axis == "case" else f"{axis} {value}" for axis, value in labels.items()
    )
    return Panel(result.path, name, format_losses(result))


def format_losses(result: Result) -> str:
    """Returns the unweighted losses in a line."""
    terms = [(term, result.loss(term)) for term in ("content", "style")]
    return ", ".join(f"{term} {value:.3g}" for term, value in terms if value is not None)


def write_start_report(cases: Sequence[Case], out: Path) -> list[Path]:
    """Writes figure.png of each pair, a start down and the same step counts across, and
    results.csv.

    Returns:
        The files written.
    """
    results = list(find_finished(cases, out))
    by_pair: dict[str, list[Result]] = {}
    for result in results:
        by_pair.setdefault(result.pair.label, []).append(result)
    written = []
    for label, group in by_pair.items():
        source = group[0].pair
        rows = [Row("", [Panel(source.content.path, "content"), Panel(source.style.path, "style")])]
        for result in group:
            seconds = result.record.seconds
            start = (
                f"from {result.labels['init']}: {seconds:.0f} s, loss {result.loss('total'):.4g}"
            )
            rows.append(Row(start, milestone_panels(result, out)))
        name = figure_name("" if len(by_pair) == 1 else name_pair(group[0]))
        path = out / name
        heading = f"{label}: starts compared at equal steps"
        draw_figure(path, rows, heading, max_pixels=group[0].max_pixels)
        written.append(path)
    if results:
        write_table(out / RESULTS_TABLE, [measure(result) for result in results])
        written += [out / RESULTS_TABLE, *draw_pair_curves(results, out)]
    return written


def milestone_panels(result: Result, out: Path) -> list[Panel]:
    """Returns the images of one result at its milestones."""
    steps = result.record.steps
    folder = out / result.pair.extras
    marks = choose_milestones(steps)
    every = max(1, math.ceil(len(marks) / COLUMNS))
    shown = [mark for i, mark in enumerate(reversed(marks)) if i % every == 0][::-1]
    panels = []
    for mark in shown:
        path = result.path if mark == steps else folder / snapshot_name(mark)
        name = f"{mark} step" + ("s" if mark > 1 else "")
        panels.append(Panel(path if path.is_file() else None, name))
    return panels
