"""How steady a stylised film is, and whether areas that come into view are stylised too."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_lightning.transfer.keep_colours import luma
from nst_lightning.video.flow import flow_between
from nst_lightning.video.reliability import reliable
from nst_lightning.video.temporal_target import revealed_areas
from nst_lightning.video.warping import warp

STILL_PIXELS = 0.1
"""Motion a frame below which a pixel stands still: noise of two levels makes less."""
STILL_LEVELS = 2.0
"""Change of luma since a shot's first frame below which a pixel shows the same."""
STILL_SHARE = 0.01
"""Of a frame, what has to stand still so that its change is measured."""


@dataclass(frozen=True)
class FilmMetrics:
    """Numbers of one film; NaN where there is nothing to measure."""

    e_warp: float
    """The mean square difference between a result and the previous one warped, in [0, 1]², over
    the pixels where the input's flow is reliable; the mean over frames."""
    e_warp_input: float
    """The same of the input itself: what noise and errors of the flow make."""
    join_ratio: float
    """`e_warp` of the frames at joins of segments, by that of the other frames."""
    revealed_change: float
    """The mean change from the input in areas that have just come into view, by that elsewhere: 1
    where they are stylised as much."""
    luma_drift: float
    """Levels by which the mean luma changes from a shot's first frame to its last, beyond the
    input's own change: that of the shot where it is largest, with its sign."""
    first_rms: float
    """Levels, RMS, between a frame and its shot's first where the input stands still; the largest
    over frames."""


@dataclass(frozen=True)
class _Pair:
    """A frame and its result, (1, 3, H, W) each."""

    frame: Tensor
    result: Tensor


class _Shot:
    """A shot as far as it was seen."""

    def __init__(self, first: _Pair) -> None:
        self.first = self.previous = first
        self.still = torch.ones_like(first.frame[:, :1])
        """1 for the pixels that have never moved."""

    def advance(self, now: _Pair) -> dict[str, float]:
        """Measures the next frame, by the names of `FilmMetrics` and of the parts of a ratio."""
        backward = flow_between(now.frame, self.previous.frame)
        forward = flow_between(self.previous.frame, now.frame)
        seen = reliable(backward, forward)
        revealed = revealed_areas(1 - seen, backward)
        change = (now.result - now.frame).abs()
        self.still *= backward.norm(dim=1, keepdim=True) <= STILL_PIXELS
        found = {
            "e_warp": _warp_error(now.result, self.previous.result, backward, seen),
            "e_warp_input": _warp_error(now.frame, self.previous.frame, backward, seen),
            "luma_drift": _brighter(now) - _brighter(self.first),
            "first_rms": self._from_first(now),
            "in revealed": float((change * revealed).sum()),
            "revealed": float(revealed.sum()),
            "in others": float((change * (1 - revealed)).sum()),
            "others": float((1 - revealed).sum()),
        }
        self.previous = now
        return found

    def _from_first(self, now: _Pair) -> float:
        changed = 255 * (luma(now.frame) - luma(self.first.frame))[:, :1].abs()
        same = self.still * (changed <= STILL_LEVELS)
        if same.mean() < STILL_SHARE:
            return math.nan
        return 255 * math.sqrt(_masked_mean((now.result - self.first.result).square(), same))


def film_metrics(
    frames: Iterable[Tensor],
    results: Iterable[Tensor],
    cuts: Collection[int],
    joins: Collection[int] = (),
) -> FilmMetrics:
    """Measures a film; of its frames, three and their results are in memory.

    Args:
        frames: the input, (1, 3, H, W) in [0, 1] each, at the size of the results.
        results: one for each frame.
        cuts: the first frame of every shot but the film's first.
        joins: the first frame of every segment but the first, of those that were made apart.

    Raises:
        ValueError: there are more frames than results, or fewer.
    """
    shots: list[list[dict[str, float]]] = []
    at_joins: list[float] = []
    elsewhere: list[float] = []
    shot: _Shot | None = None
    for index, (frame, result) in enumerate(zip(frames, results, strict=True)):
        if shot is None or index in cuts:
            shot = _Shot(_Pair(frame, result))
            shots.append([])
            continue
        found = shot.advance(_Pair(frame, result))
        shots[-1].append(found)
        (at_joins if index in joins else elsewhere).append(found["e_warp"])
    steps = [step for steps in shots for step in steps]

    def every(name: str) -> list[float]:
        return [step[name] for step in steps]

    drifts = [steps[-1]["luma_drift"] for steps in shots if steps]
    return FilmMetrics(
        e_warp=_mean(every("e_warp")),
        e_warp_input=_mean(every("e_warp_input")),
        join_ratio=_ratio(_mean(at_joins), _mean(elsewhere)),
        revealed_change=_ratio(
            _ratio(sum(every("in revealed")), 3 * sum(every("revealed"))),
            _ratio(sum(every("in others")), 3 * sum(every("others"))),
        ),
        luma_drift=max(drifts, key=abs, default=math.nan),
        first_rms=max(_numbers(every("first_rms")), default=math.nan),
    )


def _warp_error(now: Tensor, before: Tensor, backward: Tensor, seen: Tensor) -> float:
    return _masked_mean((now - warp(before, backward).clamp(0, 1)).square(), seen)


def _brighter(pair: _Pair) -> float:
    """Returns by how many levels a result is brighter than its frame."""
    return 255 * float((luma(pair.result) - luma(pair.frame)).mean())


def _masked_mean(values: Tensor, mask: Tensor) -> float:
    """Returns the mean of (1, C, H, W) over the pixels of a mask (1, 1, H, W); NaN without any."""
    return _ratio(float((values * mask).sum()), values.shape[1] * float(mask.sum()))


def _mean(values: Sequence[float]) -> float:
    """Returns the mean of those that are numbers."""
    kept = _numbers(values)
    return _ratio(sum(kept), len(kept))


def _numbers(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _ratio(over: float, under: float) -> float:
    return over / under if under else math.nan
