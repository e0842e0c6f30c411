"""Losses are summed in float32 at least, whatever precision the network runs in."""

import torch
from torch import Tensor


def upcast(x: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; float32 and float64 stay."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
