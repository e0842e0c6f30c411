"""Rectangles of an image or of a layer's positions, for what is computed part by part."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """The rows `top` … `bottom` − 1 and columns `left` … `right` − 1 of a whole.

    whole: (height, width) of what it is a part of.
    """

    top: int
    left: int
    bottom: int
    right: int
    whole: tuple[int, int]

    @classmethod
    def all_of(cls, height: int, width: int) -> "Window":
        """Returns the window that is the whole."""
        return cls(0, 0, height, width, (height, width))

    @property
    def shape(self) -> tuple[int, int]:
        """Its (height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def count(self) -> int:
        """The number of positions of the whole."""
        return math.prod(self.whole)

    @property
    def share(self) -> float:
        """Its part of the positions of the whole."""
        return math.prod(self.shape) / self.count

    @property
    def is_all(self) -> bool:
        """Whether it is the whole."""
        return self.shape == self.whole

    def grown(self, by: int) -> "Window":
        """Returns the window with a margin on each side, as far as the whole reaches."""
        height, width = self.whole
        return Window(
            max(0, self.top - by),
            max(0, self.left - by),
            min(height, self.bottom + by),
            min(width, self.right + by),
            self.whole,
        )

    def halved(self) -> "Window":
        """Returns the window after a pooling, which leaves out an odd last row or column."""
        height, width = self.whole
        ends = self.top // 2, self.left // 2, self.bottom // 2, self.right // 2
        return Window(*ends, (height // 2, width // 2))

    def cut(self, tensor: Tensor, held: "Window | None" = None) -> Tensor:
        """Returns its part of a tensor (…, h, w), as a view.

        Args:
            tensor: of the whole, or of `held`, which this window lies within.
            held: what the tensor is of.
        """
        top, left = (held.top, held.left) if held else (0, 0)
        if tuple(tensor.shape[-2:]) == self.shape:
            return tensor
        rows = tensor.narrow(-2, self.top - top, self.shape[0])
        return rows.narrow(-1, self.left - left, self.shape[1])

    def put(self, part: Tensor, whole: Tensor | None, held: "Window | None" = None) -> Tensor:
        """Puts what was computed of this window, (B, C, h, w), in its place.

        Args:
            part: of this window.
            whole: what the parts before it were put into; None for the first.
            held: what that is of; by default the whole.

        Returns:
            The whole; the part itself, where that is all.
        """
        shape = held.shape if held else self.whole
        if self.shape == shape:
            return part
        if whole is None:
            layout = (
                torch.channels_last
                if part.is_contiguous(memory_format=torch.channels_last)
                else torch.contiguous_format
            )
            whole = torch.empty(
                *part.shape[:2],
                *shape,
                dtype=part.dtype,
                device=part.device,
                memory_format=layout,
            ).zero_()
        self.cut(whole, held).copy_(part)
        return whole


def tiles(window: Window, side: int | None, margin: int = 0) -> Iterator[Window]:
    """Yields the parts of a window, row by row, which meet on even positions.

    They are about equally large, and of the ways to cut it they are that which has the fewest
    positions within the parts and their margins.

    Args:
        window: begins at even positions.
        side: of a square; no part has more positions than that. None: the window is one part.
        margin: what is computed around a part, as far as the window reaches.
    """
    height, width = window.shape
    down, across = (1, 1) if side is None else cuts(height, width, side, margin)
    for top, bottom in spans(height, down):
        for left, right in spans(width, across):
            yield Window(
                window.top + top,
                window.left + left,
                window.top + bottom,
                window.left + right,
                window.whole,
            )


def cuts(height: int, width: int, side: int, margin: int) -> tuple[int, int]:
    """Returns into how many parts (height, width) are cut; see `tiles`."""

    def largest(length: int, count: int) -> int:
        return 2 * math.ceil(math.ceil(length / 2) / count)

    def cost(down: int, across: int) -> tuple[int, int]:
        inner = 2 * margin * (down - 1), 2 * margin * (across - 1)
        return (height + inner[0]) * (width + inner[1]), down * across

    fitting = [
        (down, across)
        for down in range(1, math.ceil(height / 2) + 1)
        if (most := side * side // largest(height, down) // 2 * 2) >= 2
        for across in [math.ceil(math.ceil(width / 2) / (most // 2))]
    ]
    return min(fitting, key=lambda each: cost(*each))


def spans(length: int, count: int) -> list[tuple[int, int]]:
    """Splits a length into parts of about one length, which meet on even positions; the first and
    last position of each."""
    pairs = math.ceil(length / 2)
    ends = [min(length, 2 * (pairs * i // count)) for i in range(count + 1)]
    return list(pairwise(ends))
