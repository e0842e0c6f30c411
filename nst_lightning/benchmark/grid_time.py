"""A whole grid of small pairs, timed from outside."""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

from torch import Tensor

from nst_lightning.benchmark.cases import Bench
from nst_lightning.errors import UserError
from nst_lightning.imaging.writing import write_image
from nst_lightning.settings import BatchSettings, Scale
from nst_lightning.store.ledger import Ledger


@dataclass(frozen=True)
class GridTime:
    """What a grid took, in seconds."""

    seconds: float
    """Of the command, from its start to its end."""
    in_batches: float
    """Of the worker between the beginning and the end of its batches."""


def time_grid(
    bench: Bench, settings: BatchSettings, scale: Scale, pairs: int, ends: float
) -> GridTime:
    """Runs `nst-batch grid` over so many pairs, made from the content and the style.

    Args:
        bench: with the images.
        settings: for network, weights, device and precision.
        scale: size and steps.
        pairs: how many.
        ends: when it is to be given up, in seconds of `time.monotonic`.

    Raises:
        UserError: the command failed, or took longer than that.
    """
    styles = largest_divisor(pairs)
    with tempfile.TemporaryDirectory(prefix="nst-grid-") as name:
        folder = Path(name)
        content, style = (image.cpu() for image in bench.images(2 * scale.longest))
        write_turned(folder / "contents", content, pairs // styles)
        write_turned(folder / "styles", style, styles)
        words = [
            "grid", folder / "contents", folder / "styles", "-o", folder / "out", "--quiet",
            "--scales", f"{scale.size}:{scale.steps}", "--devices", 1,
            "--batch-size", "auto", "--precision", settings.precision,
            "--accelerator", settings.accelerator, "--weights", settings.weights,
            "--weights-input", settings.weights_input,
        ]  # fmt: skip
        command = [sys.executable, "-m", "nst_lightning", *map(str, words)]
        began = time.monotonic()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=max(1.0, ends - began), check=False
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"{pairs} pairs took longer than the time that was left.") from None
        seconds = time.monotonic() - began
        if done.returncode:
            raise UserError(f"the grid failed: {done.stderr.strip()[-300:]}")
        records = Ledger(folder / "out").read().values()
        return GridTime(seconds, sum(record.seconds for record in records))


def largest_divisor(number: int) -> int:
    """Returns the largest divisor that is not above the root."""
    return next(k for k in range(isqrt(number), 0, -1) if number % k == 0)


def write_turned(folder: Path, image: Tensor, many: int) -> None:
    """Writes an image (1, 3, H, W) under several names, each turned to the right by another way."""
    folder.mkdir()
    for k in range(many):
        turned = image.roll(k * image.shape[-1] // many, -1)
        write_image(folder / f"{k:04d}.png", turned)
