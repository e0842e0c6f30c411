"""Measures the results of an output folder: batched, in float32, in a fixed order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nst_lightning.drawing.csv_tables import six_digits
from nst_lightning.evaluation.feature_extractor import FeatureExtractor
from nst_lightning.evaluation.film_values import measure_film
from nst_lightning.evaluation.image_values import Compare, measure
from nst_lightning.evaluation.references import References
from nst_lightning.evaluation.subject import Subject
from nst_lightning.evaluation.table import Values, read_current
from nst_lightning.grid.sources import Shape

Watch = Callable[[int, int], None]

MOST_PIXELS = 1 << 22
"""In a batch: its largest features, of 64 channels, then take 1 GiB."""

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
                height, width = images.shape[-2:]
                chosen = [subjects[i] for i in there]
                contents = [references.content(one, (height, width)) for one in chosen]
                found = measure(chosen, images, contents, references, lpips)
                for i, one in zip(there, found, strict=True):
                    values[i] = one
            done += len(batch)
            watch(done, len(subjects))
        for i, subject in enumerate(subjects):
            if subject.film:
                values[i] = measure_film(subject, subject.film, references, lpips)
                done += 1
                watch(done, len(subjects))
    return Evaluation(values, sorted(references.warnings), len(subjects))


def batches(
    subjects: Sequence[Subject], references: References, batch_size: int
) -> Iterator[list[int]]:
    """Yields the indices of readable images, those of one shape together, else in order."""
    groups: dict[Shape, list[int]] = {}
    for i, subject in enumerate(subjects):
        shape = None if subject.film else references.read_shape(subject)
        if shape is not None:
            groups.setdefault(shape, []).append(i)
    for (height, width), members in groups.items():
        most = max(1, min(batch_size, MOST_PIXELS // (height * width)))
        for start in range(0, len(members), most):
            yield members[start : start + most]
