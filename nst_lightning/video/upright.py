"""The display matrix of a film: how its frames are turned to be upright."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Array = npt.NDArray[Any]


Turn = tuple[int, int, int, int]
"""The display matrix (a, b, c, d), each -1, 0 or 1: a stored pixel (x, y), y downwards, is shown at
(a x + c y, b x + d y), but for a shift (ISO/IEC 14496-12, 8.3.2; FFmpeg, libavutil/display.h)."""


def turn_of(frame: "VideoFrame") -> Turn:
    """Returns the turn of a decoded frame; none where its matrix turns by other than right angles,
    or is missing."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 1, 0, 0, 1
    numbers = np.frombuffer(matrix, np.int32)  # type: ignore[call-overload]
    a, b, _, c, d = (int(sign) for sign in np.sign(numbers[:5]))
    straight = (not b and not c and a and d) or (not a and not d and b and c)
    return (a, b, c, d) if straight else (1, 0, 0, 1)


def turned(frame: Array, turn: Turn) -> Array:
    """Returns a stored frame (H, W, 3) as it is shown, upright."""
    a, b, c, d = turn
    upright = frame[::d, ::a] if a else frame.swapaxes(0, 1)[::b, ::c]
    return np.ascontiguousarray(upright)


def turned_shape(shape: tuple[int, int], turn: Turn) -> tuple[int, int]:
    """Returns the (height, width) that a frame of a (height, width) has once it is turned, or had
    before."""
    return shape if turn[0] else (shape[1], shape[0])
