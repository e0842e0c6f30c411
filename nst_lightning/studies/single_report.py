"""Figures and tables of content reconstruction and texture synthesis."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nst_lightning.drawing.csv_tables import write_table
from nst_lightning.files import check_inside
from nst_lightning.grid.pairs import Case
from nst_lightning.imaging.levels import to_levels
from nst_lightning.layout import RESULTS_TABLE, SEEDS_TABLE, curves_name, figure_name
from nst_lightning.report.figure import draw_figure
from nst_lightning.report.panels import Panel, Row
from nst_lightning.studies.distances import (
    colour_distance,
    grain,
    psnr,
    read_input,
    read_result,
    rms,
    ssim,
)
from nst_lightning.studies.results import Result, find_finished, overlay_curves
from nst_lightning.studies.single import LAYERS, SEED, Kind

FACTORS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""By which a difference image may be scaled."""


def write_report(kind: Kind, cases: Sequence[Case], out: Path) -> list[Path]:
    """Writes figure.png of each image, results.csv (each result against its original) and seeds.csv
    (results of two seeds against each other).

    Returns:
        The files written.
    """
    by_image: dict[str, list[Result]] = {}
    for result in find_finished(cases, out):
        by_image.setdefault(result.pair.content.name, []).append(result)
    written, rows, pairs = [], [], []
    for name, results in by_image.items():
        numbers = [measure(kind, result) for result in results]
        rows += numbers
        pairs += [compare_seeds(a, b) for a, b in seed_pairs(results)]
        path = out / name / figure_name()
        check_inside(out, path.parent)
        draw_figure(path, arrange_figure(kind, results, numbers), max_pixels=results[0].max_pixels)
        written += [path, *overlay_curves(results, out, path.with_name(curves_name()))]
    for file, table in ((RESULTS_TABLE, rows), (SEEDS_TABLE, pairs)):
        if table:
            write_table(out / file, table)
            written.append(out / file)
    return written


def measure(kind: Kind, result: Result) -> dict[str, Any]:
    """Returns a result's losses, and how it compares with its original."""
    image = read_result(result)
    like = image if kind == "reconstruct" else None
    original = read_input(result, result.pair.content.path, like=like)
    row: dict[str, Any] = {
        "image": result.pair.content.name,
        "layers": result.labels[LAYERS],
        "seed": result.labels[SEED],
        "loss": result.loss("content" if kind == "reconstruct" else "style"),
        "steps": result.record.steps,
        "seconds": result.record.seconds,
    }
    if kind == "reconstruct":
        row |= {"psnr": psnr(image, original), "ssim": ssim(image, original)}
    return row | {"colour_distance": colour_distance(image, original), "grain": grain(image)}


def compare_seeds(a: Result, b: Result) -> dict[str, Any]:
    """Returns how two seeds of one set differ."""
    first, second = read_result(a), read_result(b)
    return {
        "image": a.pair.content.name,
        "layers": a.labels[LAYERS],
        "seed_a": a.labels[SEED],
        "seed_b": b.labels[SEED],
        "rms": rms(first, second),
        "psnr": psnr(first, second),
        "ssim": ssim(first, second),
        "colour_distance": colour_distance(first, second),
    }


def seed_pairs(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Returns every two results of one set of layers."""
    return [
        (a, b)
        for a, b in itertools.combinations(results, 2)
        if a.labels[LAYERS] == b.labels[LAYERS]
    ]


def arrange_figure(
    kind: Kind, results: Sequence[Result], numbers: Sequence[Mapping[str, Any]]
) -> list[Row]:
    """Returns the original and each set of layers across, seeds down, then differences."""
    sets = list(dict.fromkeys(result.labels[LAYERS] for result in results))
    seeds = list(dict.fromkeys(result.labels[SEED] for result in results))
    at = {(result.labels[LAYERS], result.labels[SEED]): result for result in results}
    notes = {(row["layers"], row["seed"]): describe_result(kind, row) for row in numbers}
    original = Panel(results[0].pair.content.path, "original")
    empty = Panel(None)
    rows = [
        Row(
            f"seed {seed}",
            [
                original if seed == seeds[0] else empty,
                *(
                    Panel(at[s, seed].path, s, notes[s, seed]) if (s, seed) in at else empty
                    for s in sets
                ),
            ],
        )
        for seed in seeds
    ]
    if kind == "reconstruct":
        rows.append(
            Row(
                f"seed {seeds[0]} − original",
                [empty, *(subtract_original(at.get((s, seeds[0]))) for s in sets)],
            )
        )
    if len(seeds) > 1:
        rows.append(
            Row(
                f"seed {seeds[0]} − seed {seeds[1]}",
                [
                    empty,
                    *(subtract_seed(at.get((s, seeds[0])), at.get((s, seeds[1]))) for s in sets),
                ],
            )
        )
    return rows


def describe_result(kind: Kind, row: Mapping[str, Any]) -> str:
    """Returns what stands below a result."""
    loss = f"loss {row['loss']:.3g}"
    return f"{loss}, {row['psnr']:.1f} dB" if kind == "reconstruct" else loss


def subtract_original(result: Result | None) -> Panel:
    """Returns a result minus its original."""
    if result is None:
        return Panel(None)
    image = read_result(result)
    return draw_difference(image, read_input(result, result.pair.content.path, like=image))


def subtract_seed(a: Result | None, b: Result | None) -> Panel:
    """Returns one seed minus another."""
    if a is None or b is None:
        return Panel(None)
    return draw_difference(read_result(a), read_result(b))


def draw_difference(a: Tensor, b: Tensor) -> Panel:
    """Draws a − b of (1, 3, H, W) in [0, 1] around grey, scaled as far as 99 % of it allow."""
    delta = a - b
    top = max(
        float(torch.quantile(delta.abs().flatten()[:: max(1, delta.numel() // 10**6)], 0.99)), 1e-9
    )
    factor = max((k for k in FACTORS if k * top <= 0.5), default=1)
    shown = to_levels((0.5 + factor * delta).clamp(0, 1))[0]
    image = Image.fromarray(shown.permute(1, 2, 0).numpy())
    return Panel(image, f"× {factor}", f"{psnr(a, b):.1f} dB, rms {rms(a, b):.3g}")
