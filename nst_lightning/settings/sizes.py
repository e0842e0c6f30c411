"""Sizes that pictures are brought to. Imports no torch."""

import math

SMALLEST_START = 192
"""Longest side, in pixels, from which `scales: auto` starts at the least, and to which a share of a
picture's size does not go below: with fewer too little of a photograph is left (looked at; figures
in docs/performance.md)."""

Target = int | float | tuple[int, int]
"""A size to bring a picture to: its longest side, a share of its own size, or (height, width)."""


def fit(height: int, width: int, size: Target | None, upscale: bool = False) -> tuple[int, int]:
    """(height, width) with the longest side brought to `size`, the aspect kept.

    The other side is rounded to the nearest whole number, at least 1. None leaves a picture as
    it is, and so does a `size` beyond the longest side unless `upscale` is asked for. A `size` of
    two numbers is (height, width) itself, whatever the aspect. A float is a share of the picture's
    own size, of which at least `SMALLEST_START` pixels are left where it has so many.

    Raises:
        ValueError: a side or `size` is below 1, or a share is not above 0.
    """
    if isinstance(size, tuple):
        return size
    if isinstance(size, float):
        if size <= 0:
            raise ValueError(f"a share must be above 0, not {size}")
        own = max(height, width)
        size = max(math.floor(own * size + 0.5), min(SMALLEST_START, own))
    if height < 1 or width < 1 or (size is not None and size < 1):
        raise ValueError(f"sides must be at least 1, not {height} x {width} to {size}")
    longest = max(height, width)
    if size is None or size == longest or (size > longest and not upscale):
        return height, width
    # In whole numbers: (2 a b + c) // 2c rounds a b / c half up, without a float's doubts.
    scaled = [max(1, (2 * side * size + longest) // (2 * longest)) for side in (height, width)]
    return scaled[0], scaled[1]
