"""Values in [0, 1] → the levels that a file holds."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def to_levels(image: Tensor, bits: int = 8, *, dither: bool = False) -> Tensor:
    """Clamps and rounds [0, 1] to the nearest of 0 ... 2^bits − 1, ties to the even one.

    With `dither` a value between two levels becomes the upper one with a probability as large as
    its distance from the lower one, so that the mean of an area is that of its values. A value that
    is a level stays it, black and white among them. The noise is the same for every image of a
    size: each result depends on itself alone.

    Args:
        image: (..., C, H, W), floating point.
        bits: 8 or 16.
        dither: see above.

    Returns:
        The same shape: uint8 for 8 bits, int32 for 16.

    Raises:
        TypeError: not floating point.
        ValueError: it holds NaN.
    """
    seeded = torch.Generator().manual_seed(0)
    return _rounded(image, bits, torch.rand(image.shape[-3:], generator=seeded) if dither else None)


_PART_PIXELS = 1 << 19
"""Pixels that are rounded at a time, in several float64 each."""


class LevelRows:
    """An image as the levels that a file holds, made some rows at a time when they are asked for.

    What is made is what `to_levels` makes of the whole. An image of levels stays what it is.

    Args:
        rgb: (3, H, W) or (1, 3, H, W): values in [0, 1], or levels as of `to_levels`.
        alpha: (1, H, W) or (1, 1, H, W), likewise.
        bits: 8 or 16.
        dither: of the colours; alpha is rounded.

    Raises:
        ValueError: a shape does not fit.
    """

    def __init__(
        self, rgb: Tensor, alpha: Tensor | None = None, bits: int = 8, *, dither: bool = False
    ) -> None:
        self.rgb = _one_image(rgb, 3, "rgb")
        self.alpha = None if alpha is None else _one_image(alpha, 1, "alpha")
        if self.alpha is not None and self.alpha.shape[-2:] != self.rgb.shape[-2:]:
            raise ValueError(f"alpha is {tuple(self.alpha.shape)}, rgb is {tuple(self.rgb.shape)}")
        self.bits = bits
        self.dither = dither
        self.channels = 3 if alpha is None else 4
        self.height, self.width = self.rgb.shape[-2:]

    def bands(self, rows: int) -> Iterator[Tensor]:
        """Yields (channels, rows, W) from top to bottom, the last one with what is left, on the
        CPU: uint8 for 8 bits, int32 for 16.

        Raises:
            ValueError: a band holds NaN.
        """
        dithered = self.dither and self.rgb.dtype != _dtype(self.bits)
        noise = _noise(*self.rgb.shape) if dithered else None
        step = max(1, _PART_PIXELS // self.width)
        for top in range(0, self.height, rows):
            bottom = min(top + rows, self.height)
            band = torch.empty(self.channels, bottom - top, self.width, dtype=_dtype(self.bits))
            for at in range(top, bottom, step):
                part = self._part(slice(at, min(at + step, bottom)), noise)
                band[:, at - top : at - top + part.shape[1]] = part
            yield band
            del band  # before the next one is made

    def _part(self, rows: slice, noise: Callable[[int], Tensor] | None) -> Tensor:
        colour = self.rgb[:, rows].detach().cpu()
        part = self._levels(colour, noise(colour.shape[-2]) if noise else None)
        if self.alpha is None:
            return part
        return torch.cat([part, self._levels(self.alpha[:, rows].detach().cpu(), None)])

    def _levels(self, image: Tensor, noise: Tensor | None) -> Tensor:
        return image if image.dtype == _dtype(self.bits) else _rounded(image, self.bits, noise)


def interleaved(levels: Tensor, bits: int, order: str = "<") -> bytes:
    """Returns rows of pixels, channels together, of (C, H, W); 16 bits in the byte order given."""
    pixels = levels.permute(1, 2, 0).contiguous()
    if bits == 8:
        return pixels.to(torch.uint8).numpy().tobytes()
    high, low = (pixels >> 8).to(torch.uint8), (pixels & 255).to(torch.uint8)
    pair = (high, low) if order == ">" else (low, high)
    return torch.stack(pair, dim=-1).numpy().tobytes()


def _dtype(bits: int) -> torch.dtype:
    return torch.uint8 if bits == 8 else torch.int32


def _one_image(image: Tensor, channels: int, name: str) -> Tensor:
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] != channels or 0 in image.shape:
        raise ValueError(f"{name} must be ({channels}, H, W), not {tuple(image.shape)}")
    return image


def _rounded(image: Tensor, bits: int, noise: Tensor | None) -> Tensor:
    """Rounds an image, or by noise in [0, 1) of its last three dimensions; see `to_levels`."""
    if not image.is_floating_point():
        raise TypeError(f"a floating-point image is expected, not {image.dtype}")
    if bool(image.isnan().any()):
        raise ValueError("the image holds NaN, which is no colour")
    # A float32 holds 65535 levels with too few digits left to round by, a half precision 255.
    deep = bits > 8 or noise is not None
    dtype = torch.float64 if deep else torch.promote_types(image.dtype, torch.float32)
    scaled: Tensor = image.detach().to(dtype).clamp(0, 1) * (2**bits - 1)
    nearest = scaled.round()
    if noise is not None:
        # A level that came as a float32 is a little off it.
        scaled = torch.where((scaled - nearest).abs() < 2.0 ** (bits - 24), nearest, scaled)
        nearest = (scaled + noise.to(scaled)).floor()
    return nearest.to(_dtype(bits))


def _noise(channels: int, height: int, width: int) -> Callable[[int], Tensor]:
    """Returns what gives the next rows, (channels, rows, width), of the noise for an image.

    They are those of `torch.rand(channels, height, width)` with the seed 0, channel after channel,
    so that each channel is drawn by a generator of its own, which begins where the channel does.
    """
    draws, generators = torch.Generator().manual_seed(0), []
    for channel in range(channels):
        generators.append(torch.Generator().set_state(draws.get_state()))
        for _ in range(height if channel < channels - 1 else 0):
            torch.rand(width, generator=draws)
    return lambda rows: torch.stack(
        [torch.rand(rows, width, generator=generator) for generator in generators]
    )
