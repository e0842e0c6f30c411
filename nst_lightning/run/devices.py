"""Chooses devices, and what every `auto` means on them."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import torch

from nst_lightning.errors import UserError
from nst_lightning.run.cost import step_bytes
from nst_lightning.run.visible_gpus import VARIABLE, visible_gpus
from nst_lightning.settings import BatchSettings
from nst_lightning.settings.batch import BEYOND_FLOAT16
from nst_lightning.vgg.weights import Weights

DTYPES = {
    "32-true": torch.float32,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
    "64-true": torch.float64,
}
"""The type that the network computes in, by Lightning's name of the precision."""


def choose_device(accelerator: str) -> torch.device:
    """Returns the device that Lightning's accelerator of that name starts with.

    Raises:
        UserError: this machine has no such accelerator.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if accelerator == "cpu" or (accelerator == "auto" and not cuda and not mps):
        return torch.device("cpu")
    if cuda and accelerator in ("auto", "gpu"):
        return torch.device("cuda", 0)
    if mps and accelerator in ("auto", "gpu", "mps"):
        return torch.device("mps")
    shown = os.environ.get(VARIABLE)
    hidden = "" if shown is None or accelerator == "mps" else f" that {VARIABLE}={shown!r} shows"
    raise UserError(f"this machine has no accelerator {accelerator!r}{hidden}: choose auto or cpu.")


def choose_devices(settings: BatchSettings) -> list[int]:
    """Returns one entry per worker: the GPU's index, or on the CPU just a number.

    Raises:
        UserError: this machine has no such devices.
    """
    kind, asked = choose_device(settings.accelerator).type, settings.devices
    if kind == "cuda":
        there = count_gpus()
        many = there if asked == "auto" else asked
        chosen = many if isinstance(many, list) else list(range(many))
        if not set(chosen) <= set(range(there)):
            one = "is 1 GPU" if there == 1 else f"are {there} GPUs"
            raise UserError(f"devices {asked}: there {one} to choose from, counted from 0.")
        if len(set(chosen)) < len(chosen):
            raise UserError(f"devices {asked}: name each GPU once.")
        return chosen
    if isinstance(asked, list):
        raise UserError(
            f"devices {asked}: there are no GPUs to choose from; name a number of workers."
        )
    if kind == "mps" and asked not in ("auto", 1):
        raise UserError("devices: mps is one device.")
    return list(range(1 if asked == "auto" else asked))


def count_gpus() -> int:
    """Returns how many GPUs there are for workers: as many as this process sees, or, of a GPU's
    MIG instances, of which CUDA shows a process no more than the first, as many as are named."""
    named = [name for name in visible_gpus(os.environ) or [] if name.startswith("MIG-")]
    return max(torch.cuda.device_count(), len(named))


def resolve(settings: BatchSettings, device: torch.device) -> BatchSettings:
    """Returns the settings with every `auto` that decides pixels replaced by what it means on this
    device.

    Raises:
        UserError: 16-mixed anywhere but on a GPU (on the CPU Lightning would silently take
            bf16-mixed), 64-true on mps.
    """
    precision = settings.precision
    if precision == "16-mixed" and device.type != "cuda":
        raise UserError("precision 16-mixed needs a GPU: choose 32-true or bf16-mixed here.")
    if precision == "64-true" and device.type == "mps":
        raise UserError("precision 64-true is not available on mps: choose 32-true.")
    if precision == "auto":
        precision = "bf16-mixed" if has_bfloat16(device) else "32-true"
    return settings.model_copy(update={"precision": precision})


def check_range(settings: BatchSettings, weights: Weights) -> None:
    """Sees that the network's features have room in the precision, where the settings alone do not
    tell: a file is known to be the Caffe network by what is in it.

    Raises:
        UserError: they have not.
    """
    caffe = weights.source == "caffe" or weights.input.startswith("caffe")
    if caffe and settings.precision == "16-mixed":
        raise UserError(BEYOND_FLOAT16)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself, rather than emulating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        known = torch.cpu.get_capabilities()
        return any(there for name, there in known.items() if name.endswith("bf16"))
    return False


LARGEST_BATCH = 32
"""Beyond it a GPU gains nothing at the sizes people ask for."""

FILL = 0.8
"""Share of a GPU's free memory that a batch may take, by the estimate of `step_bytes`."""


def batch_size(settings: BatchSettings, device: torch.device, height: int, width: int) -> int:
    """Returns how many images of one shape make a batch; `auto` is 1 on the CPU, where batches gain
    nothing, and as many as the memory takes on a GPU.

    Args:
        settings: resolved for the device.
        device: where they run.
        height: of the largest scale.
        width: of the largest scale.
    """
    if settings.batch_size != "auto":
        return settings.batch_size
    if device.type == "cpu":
        return 1
    if device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    else:
        free = free_bytes(tuple(choose_devices(settings)))
    return max(1, min(LARGEST_BATCH, int(FILL * free / step_bytes(settings, height, width))))


def free_bytes(devices: tuple[int, ...]) -> int:
    """Returns the free memory of the fullest of these GPUs.

    To look takes some of a GPU's memory, and all of a GPU that admits one process at a time; where
    worker processes do the work, another process therefore looks, and ends.
    """
    return least_free_bytes(devices) if devices == (0,) else _free_bytes_elsewhere(devices)


@cache
def _free_bytes_elsewhere(devices: tuple[int, ...]) -> int:
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        return other.submit(least_free_bytes, devices).result()


def least_free_bytes(devices: tuple[int, ...]) -> int:
    """Returns the free memory of the fullest of these GPUs, as far as this process sees them; of
    MIG instances that it does not see, the first one speaks for all."""
    seen = [index for index in devices if index < torch.cuda.device_count()] or [0]
    return min(torch.cuda.mem_get_info(index)[0] for index in seen)
