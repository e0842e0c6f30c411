"""Where a shot ends and the next one begins, while frames pass one by one.

PySceneDetect's content detector in a few lines: that library needs the OpenCV with windows, which
overwrites the files of the one without.
"""

from collections import deque
from itertools import pairwise, product

import numpy as np

SIDE = 128
"""Pixels of the longest side at which frames are compared."""
THRESHOLD = 27.0
"""Mean difference of hue, saturation and value that may be a cut: PySceneDetect's default."""
RATIO = 3.0
"""By which a cut exceeds the differences beside it, where a fast pan does not: the default of
PySceneDetect's adaptive detector."""
SHORTEST = 3
"""Frames of the shortest shot: what is over sooner is a flash."""


class ShotFinder:
    """Finds cuts; it keeps a few small frames, however long the film is."""

    def __init__(self) -> None:
        self.cuts: list[int] = []
        """The first frame of every shot but the film's first, as far as frames were seen."""
        self._seen = 0
        self._last: deque[np.ndarray] = deque(maxlen=2 * SHORTEST)

    def see(self, frame: np.ndarray) -> None:
        """Takes the next frame, uint8 (H, W, 3) in RGB, of the same size as all.

        A cut is found when the second frame after it has been seen.
        """
        self._last.append(_small(frame))
        self._seen += 1
        first = self._seen - SHORTEST
        latest = self.cuts[-1] if self.cuts else 0
        if first - latest >= SHORTEST and self._is_cut():
            self.cuts.append(first)

    def _is_cut(self) -> bool:
        """Whether the last frames differ from those before, far more than by motion."""
        frames = list(self._last)
        before, after = frames[:SHORTEST], frames[SHORTEST:]
        across = min(_difference(one, other) for one, other in product(before, after))
        within = [_difference(*pair) for shot in (before, after) for pair in pairwise(shot)]
        return across >= max(THRESHOLD, RATIO * sum(within) / len(within))


def _small(frame: np.ndarray) -> np.ndarray:
    """Returns a frame made small, in hue (of 180), saturation and value: float32 (h, w, 3)."""
    import cv2

    height, width = frame.shape[:2]
    scale = min(SIDE / max(height, width), 1.0)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(np.float32)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the mean difference; that of hues, which turn, as far as there is colour."""
    apart = np.abs(one - other)
    hue = np.minimum(apart[..., 0], 180 - apart[..., 0])
    apart[..., 0] = hue * np.minimum(one[..., 1], other[..., 1]) / 255
    return float(apart.mean())
