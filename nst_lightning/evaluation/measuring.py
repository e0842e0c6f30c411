"""Measures the results of an output folder: batched, in float32, in a fixed order."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from nst_lightning.drawing.csv_tables import six_digits
from nst_lightning.evaluation.columns import GRAM, STYLE_LAYERS, WASSERSTEIN, layer_columns
from nst_lightning.evaluation.content_metrics import (
    cfsd,
    edge_agreement,
    psnr,
    ssim,
    total_variation,
)
from nst_lightning.evaluation.feature_extractor import FeatureExtractor, Features
from nst_lightning.evaluation.references import ContentReference, References, StyleReference
from nst_lightning.evaluation.style_metrics import (
    colour_histogram,
    histogram_distance,
    relative_distance,
    wasserstein_distance,
)
from nst_lightning.evaluation.subject import Subject
from nst_lightning.evaluation.table import Values, read_current
from nst_lightning.grid.sources import Shape

T = TypeVar("T")
Compare = Callable[[Tensor, Tensor], Tensor]
"""Images and others, (B, 3, H, W) in [0, 1] each → (B,)."""

Watch = Callable[[int, int], None]

MOST_PIXELS = 1 << 22
"""In a batch: its largest features, of 64 channels, then take 1 GiB."""

EXACT = 100.0
"""The PSNR, in dB, that stands for an image that came back bit for bit, which has none."""

READERS = 4


@dataclass(frozen=True)
class Evaluation:
    """What was measured."""

    values: list[Values]
    """Of each subject, in order."""
    warnings: list[str]
    """A sentence for each file that could not be used, or not for all metrics."""
    measured: int
    """How many results were measured; the numbers of the others were known."""


def evaluate_changed(
    out: Path,
    subjects: Sequence[Subject],
    extractor: FeatureExtractor,
    device: torch.device,
    *,
    lpips: Compare | None = None,
    batch_size: int = 8,
    again: bool = False,
    watch: Watch = lambda done, of: None,
) -> Evaluation:
    """Measures those subjects whose row in OUT/evaluation.csv is absent, old or not complete.

    Args:
        out: the output folder.
        subjects, extractor, device, lpips, batch_size, watch: as for `evaluate`.
        again: whether to measure all of them.

    Returns:
        The numbers of all subjects, with the six digits that the table has.
    """
    found = {} if again else read_current(out, subjects, extractor.name, lpips is not None)
    rest = [subject for subject in subjects if subject.output not in found]
    fresh = evaluate(rest, extractor, device, lpips=lpips, batch_size=batch_size, watch=watch)
    for subject, values in zip(rest, fresh.values, strict=True):
        found[subject.output] = {k: float(six_digits(value)) for k, value in values.items()}
    return replace(fresh, values=[found[subject.output] for subject in subjects])


@torch.no_grad()
def evaluate(
    subjects: Sequence[Subject],
    extractor: FeatureExtractor,
    device: torch.device,
    *,
    lpips: Compare | None = None,
    batch_size: int = 8,
    watch: Watch = lambda done, of: None,
) -> Evaluation:
    """Measures all subjects. What cannot be read costs only the numbers that need it.

    Args:
        subjects: results.
        extractor: the network.
        device: where it runs.
        lpips: that metric, where it is to be had.
        batch_size: results of one shape that are measured together, at most.
        watch: hears how many of how many results have been seen to.
    """
    values: list[Values] = [{} for _ in subjects]
    references = References(extractor, device)
    # TF32 would round to 10 bits, and a search for the fastest algorithm vary from run to run.
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    done = 0
    with exact, ThreadPoolExecutor(READERS) as readers:
        for batch in batches(subjects, references, batch_size):
            read = readers.map(lambda i: references.read_result(subjects[i]), batch)
            there = {i: one for i, one in zip(batch, read, strict=True) if one is not None}
            if there:
                images = torch.cat(list(there.values())).to(device)
                found = measure([subjects[i] for i in there], images, references, lpips)
                for i, one in zip(there, found, strict=True):
                    values[i] = one
            done += len(batch)
            watch(done, len(subjects))
    return Evaluation(values, sorted(references.warnings), len(subjects))


def batches(
    subjects: Sequence[Subject], references: References, batch_size: int
) -> Iterator[list[int]]:
    """Yields the indices of readable subjects, those of one shape together, else in order."""
    groups: dict[Shape, list[int]] = {}
    for i, subject in enumerate(subjects):
        shape = references.read_shape(subject)
        if shape is not None:
            groups.setdefault(shape, []).append(i)
    for (height, width), members in groups.items():
        most = max(1, min(batch_size, MOST_PIXELS // (height * width)))
        for start in range(0, len(members), most):
            yield members[start : start + most]


def measure(
    subjects: Sequence[Subject], images: Tensor, references: References, lpips: Compare | None
) -> list[Values]:
    """Returns the values of results of one shape, (B, 3, H, W) in [0, 1]."""
    values: list[Values] = [{} for _ in subjects]

    def add(indices: Sequence[int], columns: Mapping[str, Tensor]) -> None:
        for name, column in columns.items():
            for i, value in zip(indices, column.tolist(), strict=True):
                if math.isfinite(value):
                    values[i][name] = value

    height, width = images.shape[-2:]
    features = references.features(subjects, images)
    add(range(len(subjects)), {"total_variation": total_variation(images)})

    contents = known(references.content(subject, (height, width)) for subject in subjects)
    if contents:
        chosen = list(contents)
        theirs = features and features.of(chosen)
        add(chosen, against_content(images[chosen], theirs, list(contents.values()), lpips))
    identities = [i for i in contents if subjects[i].identity]
    if identities:
        back = psnr(images[identities], torch.cat([contents[i].image for i in identities]))
        add(identities, {"identity_psnr": back.clamp(max=EXACT)})

    styles = known(references.style(subject, max(height, width)) for subject in subjects)
    if styles:
        chosen = list(styles)
        theirs = features and features.of(chosen)
        add(chosen, against_style(images[chosen], theirs, list(styles.values())))
    return values


def known(found: Iterable[T | None]) -> dict[int, T]:
    """Returns what there is, by its place."""
    return {i: one for i, one in enumerate(found) if one is not None}


def against_content(
    images: Tensor,
    features: Features | None,
    contents: Sequence[ContentReference],
    lpips: Compare | None,
) -> dict[str, Tensor]:
    """Compares results with their contents.

    Args:
        images: (B, 3, H, W) in [0, 1].
        features: theirs; None where they are too small for the network.
        contents: one for each.
        lpips: that metric, where it is to be had.

    Returns:
        (B,) by column.
    """
    expected = torch.cat([content.image for content in contents])
    found = {
        "ssim": ssim(images, expected),
        "edge_agreement": edge_agreement(images, expected),
    }
    if lpips:
        found["lpips"] = lpips(images, expected)
    of_contents = [one.features for one in contents if one.features is not None]
    if features is not None and len(of_contents) == len(contents):
        content = torch.cat([one.content for one in of_contents])
        structure = torch.cat([one.structure for one in of_contents])
        found["content_distance"] = relative_distance(features.content, content)
        found["cfsd"] = cfsd(features.structure, structure)
    return found


def against_style(
    images: Tensor, features: Features | None, styles: Sequence[StyleReference]
) -> dict[str, Tensor]:
    """Compares results with their styles, layer by layer and in the layers' mean.

    Args:
        images: (B, 3, H, W) in [0, 1].
        features: theirs; None where they are too small for the network.
        styles: one for each.

    Returns:
        (B,) by column.
    """
    colours = torch.cat([style.statistics.colours for style in styles])
    found = {"colour_distance": histogram_distance(colour_histogram(images), colours)}
    if features is None:
        return found
    for layer in STYLE_LAYERS:
        mean, second = features.moments[layer]
        means, seconds = (
            torch.cat([style.statistics.moments[layer][i] for style in styles]) for i in (0, 1)
        )
        roots = torch.cat([style.roots[layer] for style in styles])
        found[layer_columns(GRAM)[layer]] = relative_distance(second, seconds)
        found[layer_columns(WASSERSTEIN)[layer]] = wasserstein_distance(
            mean, second, means, seconds, roots
        )
    for name in (GRAM, WASSERSTEIN):
        found[name] = torch.stack([found[column] for column in layer_columns(name).values()]).mean(
            dim=0
        )
    return found
