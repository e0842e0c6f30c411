"""Resizing batches of images."""

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(image: Tensor, height: int, width: int, *, how: str = "bicubic") -> Tensor:
    """Resizes an image, in float32 whatever the input, and clamps to [0, 1].

    At the size it already has an image keeps its values.

    Args:
        image: (B, C, H, W), in [0, 1].
        height: of the result.
        width: of the result.
        how: `bicubic`, with antialiasing; or `bilinear`, from the four nearest pixels.

    Returns:
        (B, C, height, width), float32.

    Raises:
        ValueError: a side is below 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"sides must be at least 1, not {height} x {width}")
    image = image.float()
    if image.shape[-2:] == (height, width):
        return image
    return F.interpolate(
        image, (height, width), mode=how, antialias=how == "bicubic", align_corners=False
    ).clamp(0, 1)


class BandResizer:
    """Resizes one image whose rows come some at a time, as `resize` does the whole of it.

    Args:
        channels: of the image.
        whole: its (height, width).
        size: (height, width) of the result.
        how: see `resize`.
    """

    def __init__(
        self, channels: int, whole: tuple[int, int], size: tuple[int, int], how: str = "bicubic"
    ) -> None:
        self.how = how
        self.same = whole == size
        self.first, self.weights = row_weights(whole[0], size[0], how)
        self.made = torch.zeros(1, channels, *size)
        self.top = 0

    def add(self, band: Tensor) -> None:
        """Takes the next rows, (1, C, h, W)."""
        band = band.float()
        top, bottom = self.top, self.top + band.shape[-2]
        self.top = bottom
        if self.same:
            self.made[..., top:bottom, :] = band
            return
        width = self.made.shape[-1]
        if band.shape[-1] != width:
            # Rows that stay as they are: neither kernel looks beyond them.
            band = F.interpolate(
                band,
                (band.shape[-2], width),
                mode=self.how,
                antialias=self.how == "bicubic",
                align_corners=False,
            )
        taps = self.weights.shape[1]
        # The rows of the result that look at any of these.
        begin = int(torch.searchsorted(self.first, top - taps + 1))
        end = int(torch.searchsorted(self.first, bottom))
        for at in range(begin, end, _ROWS):
            rows = slice(at, min(at + _ROWS, end))
            self._add_to(rows, band, top, bottom)

    def image(self) -> Tensor:
        """Returns the result, (1, C, height, width), once all rows have come."""
        return self.made.clamp_(0, 1)

    def _add_to(self, rows: slice, band: Tensor, top: int, bottom: int) -> None:
        """Adds to some rows of the result what they get of a band's."""
        first, weights = self.first[rows], self.weights[rows]
        low = max(int(first[0]), top)
        high = min(int(first[-1]) + weights.shape[1], bottom)
        at = first[:, None] + torch.arange(weights.shape[1]) - low
        inside = (at >= 0) & (at < high - low)
        matrix = torch.zeros(len(first), high - low)
        matrix.scatter_add_(1, at.clamp(0, high - low - 1), weights * inside)
        self.made[..., rows, :] += matrix @ band[..., low - top : high - top, :]


_ROWS = 32
"""Rows of a result that are computed at a time: few, so that few of their weights are zero."""


def row_weights(height: int, made: int, how: str = "bicubic") -> tuple[Tensor, Tensor]:
    """Computes what each row of a result takes from the rows of an image, as PyTorch does.

    Args:
        height: of the image.
        made: height of the result.
        how: see `resize`.

    Returns:
        The first row that each looks at, (made,), rising; and its weights, (made, taps), of which
        the last are 0 where it looks at fewer.
    """
    scale = height / made
    centre = (torch.arange(made, dtype=torch.float64) + 0.5) * scale
    if how == "bilinear":
        place = (centre - 0.5).clamp(min=0)
        first = place.floor().clamp(max=max(height - 2, 0))
        upper = (place - first).clamp(max=1)
        weights = torch.stack([1 - upper, upper], dim=1)[:, : min(2, height)]
        return first.long(), weights.float()
    wide = max(scale, 1.0)
    first = (centre - 2 * wide + 0.5).trunc().clamp(min=0)
    last = (centre + 2 * wide + 0.5).trunc().clamp(max=height)
    taps = int((last - first).max())
    at = first[:, None] + torch.arange(taps, dtype=torch.float64)
    weights = _cubic((at - centre[:, None] + 0.5) / wide) * (at < last[:, None])
    return first.long(), (weights / weights.sum(1, keepdim=True)).float()


def _cubic(x: Tensor) -> Tensor:
    """Computes the kernel of Keys (1981) with a = −0.5, Catmull and Rom's."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
