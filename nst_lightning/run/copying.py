"""Copies to a GPU, without a wait where there need be none."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Returns a tensor on a device; to CUDA its copy runs beside what the processor does next.

    torch keeps the page-locked memory until the copy is over.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, dtype, non_blocking=True)
    return tensor.to(device, dtype)
