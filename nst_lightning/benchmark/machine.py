"""The machine that figures belong to, and what memory a step takes on it."""

import multiprocessing
import os
import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from nst_lightning.benchmark.cases import Bench, Ours
from nst_lightning.run.memory import LARGEST_KEPT, keep_freed_memory
from nst_lightning.settings import BatchSettings


def describe_machine(device: torch.device) -> dict[str, str]:
    """Returns the processor or GPU, and the versions."""
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


def measure_memory(
    settings: BatchSettings, content: Path, style: Path, size: int, precision: str
) -> float:
    """Returns the bytes at the peak of three steps at one size, in a process of its own.

    On the CPU they are those of the whole process.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_three_steps, (settings, content, style, size, precision))


def _three_steps(
    settings: BatchSettings, content: Path, style: Path, size: int, precision: str
) -> float:
    if size**2 <= LARGEST_KEPT:
        keep_freed_memory()
    return measure_peak(Bench.load(settings, content, style, [precision]), size, 1, precision).all


@dataclass(frozen=True)
class Peak:
    """Bytes at the peak of a few steps; on the CPU both are those of the whole process so far."""

    step: float
    """Of the steps alone: the tensors of the batch."""
    all: float
    """All that the process took from the device, network and making of targets included."""


def measure_peak(bench: Bench, size: int, batch: int, precision: str) -> Peak:
    """Measures the memory of three steps of a batch, in this process."""
    if bench.device.type != "cuda":
        ours = Ours(bench.model(size, batch), precision)
        for _ in range(3):
            ours.step()
        return Peak(peak_of_process(), peak_of_process())
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    ours = Ours(bench.model(size, batch), precision)
    first = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        ours.step()
    step = torch.cuda.max_memory_allocated() - before
    return Peak(step, max(first, torch.cuda.max_memory_reserved()))


def peak_of_process() -> float:
    """Returns the bytes of memory at this process's peak."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss begins at what the parent process had
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return 1024 * float(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
