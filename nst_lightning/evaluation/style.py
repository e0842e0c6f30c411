"""What a style is to the metrics: one picture, or several by shares."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from nst_lightning.evaluation.colours import colour_histogram
from nst_lightning.evaluation.wasserstein import style_root
from nst_lightning.evaluation.yardstick import Moments, Yardstick
from nst_lightning.losses.style_kind import weighted_mean


class Statistics(NamedTuple):
    """What shares of several pictures may blend, all with a leading 1."""

    moments: dict[str, Moments]
    """By layer."""
    colours: Tensor
    """The colour histogram, (1, 512)."""


class Style(NamedTuple):
    """A style as the metrics want it."""

    statistics: Statistics
    roots: dict[str, Tensor]
    """By layer: Σ*^½, (1, C, C) in float64."""


def statistics_of(yardstick: Yardstick, picture: Tensor) -> Statistics:
    """Of one picture, (1, 3, h, w) in [0, 1].

    Raises:
        UserError: it is too small for the network.
    """
    return Statistics(yardstick.look(picture).moments, colour_histogram(picture))


def make_style(parts: Sequence[tuple[Statistics, float]]) -> Style:
    """The style of pictures by shares, of any sum.

    Means, raw second moments (which are Gram matrices) and histograms of a mixture are the shares'
    mean of its parts'.
    """
    total = sum(share for _, share in parts)

    def mixed(tensors: Sequence[Tensor]) -> Tensor:
        return weighted_mean(list(tensors), [share / total for _, share in parts])

    blended = {
        layer: (
            mixed([one.moments[layer][0] for one, _ in parts]),
            mixed([one.moments[layer][1] for one, _ in parts]),
        )
        for layer in parts[0][0].moments
    }
    colours = mixed([one.colours for one, _ in parts])
    roots = {layer: style_root(*found) for layer, found in blended.items()}
    return Style(Statistics(blended, colours), roots)
