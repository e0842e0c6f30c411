"""What tiles cost: time against the whole image, in turns, and memory, each in its own process.

python tests/benchmarks/tiles.py time --size 2048 --tile 512 --precision 32-true
python tests/benchmarks/tiles.py memory --size 1024 --tile 512 --precision 32-true
"""

import argparse
import ctypes
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.run.cost import tiled_bytes, whole_bytes
from nst_lightning.run.devices import DTYPES
from nst_lightning.settings import build
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.objective import value_and_gradient


def image(side: int, seed: int) -> Tensor:
    """Noise of a quarter of the size, enlarged: (1, 3, side, side)."""
    noise = torch.rand(1, 3, side // 4, side // 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (side, side), mode="bilinear")


def make(side: int, tile: int | None) -> StyleTransfer:
    """Returns a transfer with its targets."""
    settings = TransferSettings()
    network = build_network(settings)
    content, style = image(side, 0), image(512, 1)
    model = StyleTransfer.from_images(content, style, settings, network=network, tile=tile)
    model.prepare()
    return model


def step(model: StyleTransfer, optimizer: torch.optim.Optimizer, dtype: torch.dtype) -> None:
    """Makes one step."""
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        model.make_step(optimizer, 1)


def compare_times(side: int, tile: int, precision: str, rounds: int) -> None:
    """Prints the medians of both and of their ratios."""
    dtype = DTYPES[precision]
    models = {"whole": make(side, None), "tiles": make(side, tile)}
    optimizers = {name: model.configure_optimizers() for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        for name, model in models.items():
            begun = time.perf_counter()
            step(model, optimizers[name], dtype)
            if turn:  # the first prepares the network
                seconds[name].append(time.perf_counter() - begun)
    ratios = [b / a for a, b in zip(seconds["whole"], seconds["tiles"], strict=True)]
    for name, each in seconds.items():
        print(f"{name}: {statistics.median(each):.2f} s")
    print(f"tiles of {tile} at {side} px, {precision}: {statistics.median(ratios):.2f} times")


def measure_memory(side: int, tile: int, precision: str) -> None:
    """Prints what a loss and its gradient take above the image and its targets, and what of it is
    the inputs of blocks and their gradients, by arithmetic."""
    settings = build({"precision": precision})
    model = make(side, tile or None)
    image = model.image.detach()
    # Once for the network's own tensors, which are made ready for the shapes of its tiles.
    value_and_gradient(model.network, model.loss, image, DTYPES[precision], model.walk)
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed counts for nothing
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    value_and_gradient(model.network, model.loss, image, DTYPES[precision], model.walk)
    peak = memory("VmHWM") - before
    pixels = side * side
    planned = tiled_bytes(settings, pixels, tile) if tile else whole_bytes(settings, pixels)
    planned += 12 * pixels  # the gradient
    # Nothing is left of a tile where it has no pixels.
    kept = tiled_bytes(settings, pixels, 0) + 12 * pixels if tile else 0.0
    print(
        f"{side} px, tiles of {tile}, {precision}: {peak / 2**20:.0f} MiB, planned "
        f"{planned / 2**20:.0f}; above what is kept {(peak - kept) / 2**20:.0f}",
        flush=True,
    )


def memory(field: str) -> int:
    """Returns a figure of this process's status, in bytes (Linux)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if field in line)
    return int(line.split()[1]) * 1024


def main() -> None:
    """Reads the command line."""
    asked = argparse.ArgumentParser()
    asked.add_argument("what", choices=["time", "memory"])
    asked.add_argument("--size", type=int, default=2048)
    asked.add_argument("--tile", type=int, default=512, help="0: the whole image")
    asked.add_argument("--precision", default="32-true")
    asked.add_argument("--rounds", type=int, default=3)
    chosen = asked.parse_args()
    if chosen.what == "time":
        compare_times(chosen.size, chosen.tile, chosen.precision, chosen.rounds)
    else:
        measure_memory(chosen.size, chosen.tile, chosen.precision)


if __name__ == "__main__":
    main()
