"""The precisions that are compared: those of the settings, and float32 in TF32."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nst_lightning.errors import UserError
from nst_lightning.run.devices import DTYPES, resolve
from nst_lightning.settings import BatchSettings

TF32 = "TF32"
"""32-true whose products and convolutions are rounded to 10 bits on the way in."""

MODES = ("bf16-mixed", "16-mixed", TF32, "32-true")


def setting_of(mode: str) -> str:
    """Returns the precision that the settings call a mode by."""
    return "32-true" if mode == TF32 else mode


def dtype_of(mode: str) -> torch.dtype:
    """Returns the type that the network computes in."""
    return DTYPES[setting_of(mode)]


def check_mode(mode: str, settings: BatchSettings, device: torch.device) -> None:
    """Sees that a device has a mode.

    Raises:
        UserError: it has not.
    """
    if mode == TF32 and device.type != "cuda":
        raise UserError("TF32 is a precision of CUDA alone.")
    resolve(settings.model_copy(update={"precision": setting_of(mode)}), device)


@contextmanager
def active(mode: str) -> Iterator[None]:
    """Allows TF32 in the mode of this name and in no other, for the time of the `with`.

    By torch's default convolutions of float32 are in TF32 on CUDA, and matrix products are not.
    """
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, products.allow_tf32
    cudnn.allow_tf32 = products.allow_tf32 = mode == TF32
    try:
        yield
    finally:
        cudnn.allow_tf32, products.allow_tf32 = before
