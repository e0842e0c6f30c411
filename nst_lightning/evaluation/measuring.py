"""Measures the results of an output folder: batched, in float32, in a fixed order."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from nst_lightning.evaluation.measure import Compare, against_content, against_style
from nst_lightning.evaluation.similarity import psnr, total_variation
from nst_lightning.evaluation.sources import Sources
from nst_lightning.evaluation.subject import Subject
from nst_lightning.evaluation.yardstick import Look, Yardstick
from nst_lightning.grid.sources import Shape

T = TypeVar("T")
Values = dict[str, float]
"""Column → number; what could not be measured is not there."""

Watch = Callable[[int, int], None]

MOST_PIXELS = 1 << 22
"""In a batch: its largest features, of 64 channels, then take 1 GiB."""

EXACT = 100.0
"""The PSNR, in dB, that stands for a picture that came back bit for bit, which has none."""

READERS = 4


@dataclass(frozen=True)
class Evaluation:
    """What was measured."""

    values: list[Values]
    """Of each subject, in order."""
    warnings: list[str]
    """A sentence for each file that could not be used, or not for all metrics."""


@torch.no_grad()
def evaluate(
    subjects: Sequence[Subject],
    yardstick: Yardstick,
    device: torch.device,
    *,
    lpips: Compare | None = None,
    batch_size: int = 8,
    watch: Watch = lambda done, of: None,
) -> Evaluation:
    """The values of all subjects. What cannot be read costs only the numbers that need it.

    Args:
        subjects: results.
        yardstick: the network.
        device: where it runs.
        lpips: that metric, (B, 3, H, W) twice → (B,), where it is to be had.
        batch_size: results of one shape that are measured together, at most.
        watch: hears how many of how many results have been seen to.
    """
    values: list[Values] = [{} for _ in subjects]
    sources = Sources(yardstick, device)
    # TF32 would round to 10 bits, and a search for the fastest algorithm vary from run to run.
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    done = 0
    with exact, ThreadPoolExecutor(READERS) as readers:
        for batch in batches(subjects, sources, batch_size):
            read = readers.map(lambda i: sources.result(subjects[i]), batch)
            there = {i: one for i, one in zip(batch, read, strict=True) if one is not None}
            if there:
                images = torch.cat(list(there.values())).to(device)
                found = measure([subjects[i] for i in there], images, sources, lpips)
                for i, mine in zip(there, found, strict=True):
                    values[i] = mine
            done += len(batch)
            watch(done, len(subjects))
    return Evaluation(values, sorted(sources.warnings))


def batches(subjects: Sequence[Subject], sources: Sources, batch_size: int) -> Iterator[list[int]]:
    """Indices of readable subjects, those of one shape together, else in order."""
    groups: dict[Shape, list[int]] = {}
    for i, subject in enumerate(subjects):
        shape = sources.shape(subject)
        if shape is not None:
            groups.setdefault(shape, []).append(i)
    for (height, width), members in groups.items():
        most = max(1, min(batch_size, MOST_PIXELS // (height * width)))
        for start in range(0, len(members), most):
            yield members[start : start + most]


def measure(
    subjects: Sequence[Subject], images: Tensor, sources: Sources, lpips: Compare | None
) -> list[Values]:
    """The values of results of one shape, (B, 3, H, W) in [0, 1]."""
    values: list[Values] = [{} for _ in subjects]
    height, width = images.shape[-2:]
    look = sources.look(subjects, images)
    put(values, range(len(subjects)), {"total_variation": total_variation(images)})

    contents = known(sources.content(subject, (height, width)) for subject in subjects)
    if contents:
        these, wanted = list(contents), list(contents.values())
        put(values, these, against_content(images[these], part(look, these), wanted, lpips))
    same = [i for i in contents if subjects[i].identity]
    if same:
        back = psnr(images[same], torch.cat([contents[i].image for i in same]))
        put(values, same, {"identity_psnr": back.clamp(max=EXACT)})

    styles = known(sources.style(subject, max(height, width)) for subject in subjects)
    if styles:
        these, aims = list(styles), list(styles.values())
        put(values, these, against_style(images[these], part(look, these), aims))
    return values


def known(found: Iterable[T | None]) -> dict[int, T]:
    """What there is, by its place."""
    return {i: one for i, one in enumerate(found) if one is not None}


def put(values: list[Values], these: Sequence[int], found: Mapping[str, Tensor]) -> None:
    """Add columns, (B,) each, to the values of some results; what is no finite number is left."""
    for name, column in found.items():
        for i, value in zip(these, column.tolist(), strict=True):
            if math.isfinite(value):
                values[i][name] = value


def part(look: Look | None, these: Sequence[int]) -> Look | None:
    """What the network saw in some pictures of a batch."""
    if look is None:
        return None
    moments = {layer: (m[these], s[these]) for layer, (m, s) in look.moments.items()}
    return Look(moments, look.content[these], look.structure[these])
