"""The numbers of images of one shape, against their contents and styles."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from nst_lightning.evaluation.columns import GRAM, STYLE_LAYERS, WASSERSTEIN, layer_columns
from nst_lightning.evaluation.content_metrics import (
    cfsd,
    edge_agreement,
    psnr,
    ssim,
    total_variation,
)
from nst_lightning.evaluation.feature_extractor import Features
from nst_lightning.evaluation.references import ContentReference, References, StyleReference
from nst_lightning.evaluation.style_metrics import (
    colour_histogram,
    histogram_distance,
    relative_distance,
    wasserstein_distance,
)
from nst_lightning.evaluation.subject import Subject
from nst_lightning.evaluation.table import Values

T = TypeVar("T")
Compare = Callable[[Tensor, Tensor], Tensor]
"""Images and others, (B, 3, H, W) in [0, 1] each → (B,)."""

EXACT = 100.0
"""The PSNR, in dB, that stands for an image that came back bit for bit, which has none."""


def measure(
    subjects: Sequence[Subject],
    images: Tensor,
    originals: Sequence[ContentReference | None],
    references: References,
    lpips: Compare | None,
) -> list[Values]:
    """Returns the values of results of one shape.

    Args:
        subjects: results.
        images: theirs, (B, 3, H, W) in [0, 1].
        originals: the content of each; None where it cannot be read.
        references: finds their styles.
        lpips: that metric, where it is to be had.
    """
    values: list[Values] = [{} for _ in subjects]

    def add(indices: Sequence[int], columns: Mapping[str, Tensor]) -> None:
        for name, column in columns.items():
            for i, value in zip(indices, column.tolist(), strict=True):
                if math.isfinite(value):
                    values[i][name] = value

    height, width = images.shape[-2:]
    features = references.features(subjects, images)
    add(range(len(subjects)), {"total_variation": total_variation(images)})

    contents = known(originals)
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
