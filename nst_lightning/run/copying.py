"""Copies between the processor's memory and a GPU's, without a wait where there need be none."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Returns a tensor on a device; to CUDA its copy runs beside what the processor does next.

    torch keeps the page-locked memory until the copy is over.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, dtype, non_blocking=True)
    return tensor.to(device, dtype)


def to_host(tensor: Tensor) -> Tensor:
    """Returns a tensor on the CPU once it is there, from CUDA by way of page-locked memory."""
    if tensor.device.type != "cuda":
        return tensor.cpu()
    host = torch.empty_like(tensor, device="cpu", pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return host
