"""The parts of the GPU's table: their cases, and how each row is measured and shown."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from torch import Tensor

from nst_lightning.benchmark.cases import Bench, Figures
from nst_lightning.benchmark.gpu_figures import (
    COMPILE,
    GRAPH,
    MOVED,
    SEARCH,
    Asked,
    Subject,
    compare_company,
    compare_losses,
    compare_memory,
    forget_freed,
    grid_share,
    time_copies,
    time_steps,
    time_tutorial,
    time_variant,
    try_auto_batch,
)
from nst_lightning.benchmark.machine import describe_machine
from nst_lightning.run.memory import keep_freed_memory
from nst_lightning.run.outcome import explain, is_out_of_memory
from nst_lightning.settings import BatchSettings

Row = Mapping[str, Any]
"""A case with its figures, or with the `problem` that there are none."""

Show = Callable[[Row], str]
"""Writes one of a row's figures; a KeyError means that the row has none."""


@dataclass(frozen=True)
class Part:
    """One table."""

    title: str
    cases: Callable[[Asked], Iterable[Row]]
    measure: Callable[..., Figures]
    """Called with the subject and a case's own values."""
    columns: Mapping[str, Show]
    """By their headings, after those of the case."""


def over(*names: str) -> Callable[..., list[Row]]:
    """Returns what makes a case of every choice of values for these names."""

    def cases(*values: Iterable[Any]) -> list[Row]:
        return [dict(zip(names, chosen, strict=True)) for chosen in product(*values)]

    return cases


def number(name: str, form: str = ".2f", factor: float = 1) -> Show:
    """Shows a number."""
    return lambda row: format(factor * row[name], form)


def percent(name: str) -> Show:
    """Shows a share in per cent."""
    return lambda row: f"{100 * row[name]:.0f} %"


def gib(name: str) -> Show:
    """Shows bytes in GiB."""
    return number(name, ".2f", 2**-30)


def milliseconds(name: str) -> Show:
    """Shows one of the row's `seconds` in milliseconds."""
    return lambda row: f"{1000 * row['seconds'][name]:.2f}"


COURSE = {
    "runs": number("runs", "d"),
    "mean": number("mean", ".4f"),
    "smallest": number("smallest", ".4f"),
    "largest": number("largest", ".4f"),
}

PARTS: dict[str, Part] = {
    "steps": Part(
        "One evaluation of the default losses with its gradient and the optimiser's step. *Bare* "
        "is the network forward and backward and nothing else; *autograd* our step with autograd's "
        "gradient through the same network, which pays where its column is below 1.",
        lambda asked: over("size", "batch", "mode")(asked.sizes, asked.batches, asked.modes),
        time_steps,
        {
            "ms": milliseconds("ours"),
            "evaluations/s": number("evaluations_per_second", ".1f"),
            "TFLOP/s": number("tflop_per_second", ".3g"),
            "of peak": percent("share_of_peak"),
            "ours / bare": lambda row: f"{1 / row['bare_over_ours']:.2f}",
            "autograd / ours": number("autograd_over_ours"),
        },
    ),
    "tutorial": Part(
        "The tutorial's loop, one image, with torch's defaults (float32, its convolutions in TF32 "
        "on CUDA).",
        lambda asked: over("size")(asked.sizes),
        time_tutorial,
        {
            "ms": number("seconds", ".2f", 1000),
            "evaluations/s": number("evaluations_per_second", ".2f"),
        },
    ),
    "grid": Part(
        "A whole `nst-batch grid` of small pairs, from the command to its last file, against its "
        "steps alone at the same batch size.",
        lambda asked: [
            {"size": asked.grid.longest, "steps": asked.grid.steps, "pairs": asked.pairs}
        ],
        grid_share,
        {
            "batch": number("batch", "d"),
            "precision": lambda row: str(row["precision"]),
            "s": number("seconds", ".1f"),
            "images/h": number("images_per_hour", ".0f"),
            "s in batches": number("seconds_in_batches", ".1f"),
            "s in steps": number("seconds_in_steps", ".1f"),
            "in steps": percent("share_in_steps"),
        },
    ),
    "large": Part(
        "Memory of one large image, all that the process takes from the device included.",
        lambda asked: over("size", "batch", "mode")([asked.large], [1], asked.modes),
        compare_memory,
        {"GiB": gib("all_bytes"), "a step's": gib("step_bytes"), "planned": gib("planned_bytes")},
    ),
    "losses": Part(
        "Final losses, all taken in float32, over those in 32-true from the same start "
        "(content, noise, gray); *moved* began 1e-5 beside it, and shows what rounding alone does.",
        lambda asked: over("size", "steps", "mode")(
            [asked.exact.longest],
            [asked.exact.steps],
            [*(mode for mode in asked.modes if mode != "32-true"), MOVED],
        ),
        compare_losses,
        COURSE,
    ),
    "company": Part(
        "Final losses of the images of a batch over those of the same images alone.",
        lambda asked: over("size", "steps", "batch", "mode")(
            [asked.exact.longest], [asked.exact.steps], [4], asked.modes
        ),
        compare_company,
        COURSE,
    ),
    "auto": Part(
        "The batch that `--batch-size auto` chooses, and the memory that it then takes, network "
        "and making of targets included.",
        lambda asked: over("size")([*asked.sizes, asked.large]),
        try_auto_batch,
        {
            "mode": lambda row: str(row["mode"]),
            "batch": number("batch", "d"),
            "GiB": gib("all_bytes"),
            "planned": gib("planned_bytes"),
            "of what was free": percent("share_of_free"),
        },
    ),
    "memory": Part(
        "Memory of a step against the plan's, GiB.",
        lambda asked: over("size", "batch", "mode")(
            asked.sizes, sorted({1, min(8, max(asked.batches))}), asked.modes
        ),
        compare_memory,
        {
            "a step's": gib("step_bytes"),
            "planned": gib("planned_bytes"),
            "measured / planned": number("step_over_plan"),
        },
    ),
    "variants": Part(
        "The same step in another way: what it gains (above 1 it is faster), and how far apart the "
        "images are after four steps.",
        lambda asked: over("what", "size", "batch")(
            [GRAPH, SEARCH, COMPILE],  # to compile takes the longest by far
            sorted(asked.sizes)[:2],
            sorted({1, min(16, max(asked.batches))}),
        ),
        time_variant,
        {
            "mode": lambda row: str(row["mode"]),
            "plain, ms": milliseconds("plain"),
            "plain / it": number("plain_over_it"),
            "preparation, s": number("preparation_seconds", ".1f"),
            "largest difference": number("largest_difference", ".1e"),
        },
    ),
    "copies": Part(
        "A batch of float32 images on its way to the device, by page-locked memory against a plain "
        "copy.",
        lambda asked: over("size", "batch")([max(asked.sizes)], [max(asked.batches)]),
        time_copies,
        {
            "ms": milliseconds("ours"),
            "plain, ms": milliseconds("plain"),
            "plain / ours": number("plain_over_ours"),
        },
    ),
}
"""In order of importance, should the time not be enough for all."""

NO_TIME = "no time was left (--minutes)"


def measure_row(part: Part, case: Row, subject: Subject) -> Row:
    """Returns a case with its figures, or with the problem that there are none."""
    free_memory(subject)
    try:
        if time.monotonic() > subject.ends:
            return {**case, "problem": NO_TIME}
        return {**case, **part.measure(subject, **case)}
    except Exception as error:
        problem = "out of memory" if is_out_of_memory(error) else explain(error)
    return {**case, "problem": problem}


def free_memory(subject: Subject) -> None:
    """Frees what earlier rows left: objects that hold on to one another stay until they are looked
    for, and on an H100 11 GiB of them went away in the middle of the next row's measurement."""
    gc.collect()
    forget_freed(subject.bench.device)


def load_subject(
    settings: BatchSettings, content: Path, style: Path, asked: Asked, ends: float
) -> Subject:
    """Reads weights and images, which are cut to squares.

    Raises:
        UserError: one of them cannot be had.
    """
    keep_freed_memory()
    bench = Bench.load(settings, content, style, [])
    bench.content, bench.style = cut_square(bench.content), cut_square(bench.style)
    return Subject(bench, settings, asked, ends)


def cut_square(image: Tensor) -> Tensor:
    """Returns the middle of an image (1, 3, H, W), as wide as high."""
    side = min(image.shape[-2:])
    top, left = ((length - side) // 2 for length in image.shape[-2:])
    return image[..., top : top + side, left : left + side]


def measure_parts(
    subject: Subject, names: Sequence[str], say: Callable[[str], None]
) -> Iterator[Figures]:
    """Yields all figures so far, ready for JSON, after every row.

    Args:
        subject: what is measured.
        names: of `PARTS`.
        say: is told what comes next.
    """
    began = time.monotonic()
    rows: dict[str, list[Row]] = {name: [] for name in names}
    for name in names:
        for case in PARTS[name].cases(subject.asked):
            say(", ".join([name, *(f"{key} {value}" for key, value in case.items())]))
            rows[name].append(measure_row(PARTS[name], case, subject))
            yield {
                "machine": describe_machine(subject.bench.device),
                "minutes": (time.monotonic() - began) / 60,
                "peaks": subject.peaks,
                "parts": rows,
            }
