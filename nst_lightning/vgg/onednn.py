"""oneDNN, the library that computes PyTorch's convolutions on a CPU."""

import torch
from torch import Tensor


def served_by_onednn(x: Tensor) -> bool:
    """Tells whether oneDNN computes in this precision on this device, and can be asked to."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    if x.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return x.dtype == torch.float32
