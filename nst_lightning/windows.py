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
    def share(self) -> float:
        """Its part of the positions of the whole."""
        return math.prod(self.shape) / math.prod(self.whole)

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


def tiles(window: Window, side: int | None) -> Iterator[Window]:
    """Yields the parts of a window, row by row, which meet on even positions.

    They are about equally large, none of a longer side than asked.

    Args:
        window: begins at even positions.
        side: the longest side of a part, even; None: the window is one part.
    """
    for top, bottom in spans(window.shape[0], side):
        for left, right in spans(window.shape[1], side):
            yield Window(
                window.top + top,
                window.left + left,
                window.top + bottom,
                window.left + right,
                window.whole,
            )


def spans(length: int, side: int | None) -> list[tuple[int, int]]:
    """Splits a length into parts of about one length, at most `side`, which meet on even positions;
    the first and last position of each."""
    count = 1 if side is None else math.ceil(length / side)
    pairs = math.ceil(length / 2)
    ends = [min(length, 2 * (pairs * i // count)) for i in range(count + 1)]
    return list(pairwise(ends))
