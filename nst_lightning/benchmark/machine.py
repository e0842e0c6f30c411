"""The machine that figures belong to."""

import multiprocessing
import os
import platform
from pathlib import Path
from typing import Any

import torch

from nst_lightning.settings import BatchSettings


def describe_machine(device: torch.device) -> dict[str, str]:
    """Processor or GPU, and the versions."""
    cores = os.cpu_count() or 1
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{torch.cpu.get_capabilities().get('cpu_name', platform.machine())}, {cores} cores"
    )
    return {
        "device": name,
        "threads": f"{torch.get_num_threads()} threads",
        "torch": f"torch {torch.__version__}",
        "python": f"Python {platform.python_version()}",
        "system": platform.system(),
    }


def peak_memory(
    settings: BatchSettings, content: Path, style: Path, size: int, precision: str
) -> dict[str, Any]:
    """Peak memory of three steps at one size, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        size_in_bytes = pool.apply(run_alone, (settings, content, style, size, precision))
    return {"size": size, "precision": precision, "bytes": size_in_bytes}


def run_alone(
    settings: BatchSettings, content: Path, style: Path, size: int, precision: str
) -> float:
    """What the process of `peak_memory` does."""
    from nst_lightning.benchmark.cases import Bench
    from nst_lightning.imaging.read import load_image
    from nst_lightning.run.devices import choose_device
    from nst_lightning.run.memory import LARGEST_KEPT, keep_freed_memory
    from nst_lightning.vgg.weights import load_weights

    if size**2 <= LARGEST_KEPT:
        keep_freed_memory()
    bench = Bench(
        load_weights(settings.weights, settings.network),
        settings,
        load_image(content),
        load_image(style),
        choose_device(settings.accelerator),
        [precision],
    )
    return bench.memory(size, precision)
