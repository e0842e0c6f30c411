"""Values in [0, 1] → the levels that a file holds."""

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
    if not image.is_floating_point():
        raise TypeError(f"a floating-point image is expected, not {image.dtype}")
    if bool(image.isnan().any()):
        raise ValueError("the image holds NaN, which is no colour")
    # A float32 holds 65535 levels with too few digits left to round by, a half precision 255.
    deep = bits > 8 or dither
    dtype = torch.float64 if deep else torch.promote_types(image.dtype, torch.float32)
    scaled: Tensor = image.detach().to(dtype).clamp(0, 1) * (2**bits - 1)
    nearest = scaled.round()
    if dither:
        noise = torch.rand(image.shape[-3:], generator=torch.Generator().manual_seed(0))
        # A level that came as a float32 is a little off it.
        scaled = torch.where((scaled - nearest).abs() < 2.0 ** (bits - 24), nearest, scaled)
        nearest = (scaled + noise.to(scaled)).floor()
    return nearest.to(torch.uint8 if bits == 8 else torch.int32)
