"""Conversion for sums, which losses take in float32 at least, whatever the network's precision."""

import torch
from torch import Tensor


def upcast(x: Tensor) -> Tensor:
    """Converts float16 and bfloat16 to float32; float32 and float64 stay."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
