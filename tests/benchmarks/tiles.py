"""What tiles cost: time against the whole image, in turns, and memory, each in its own process.

python tests/benchmarks/tiles.py time --size 2048 --tile 512 --precision 32-true
python tests/benchmarks/tiles.py memory --size 1024 --tile 512 --precision 32-true
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

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
    """Prints the most that a loss and its gradient have of tensors at a time, above the image and
    its targets, and what of it is more than the inputs of blocks and their gradients, by
    arithmetic."""
    settings = build({"precision": precision})
    model = make(side, tile or None)
    image = model.image.detach()

    def evaluate() -> None:
        value_and_gradient(model.network, model.loss, image, DTYPES[precision], model.walk)

    evaluate()  # once for the network's own tensors, which are made ready for the shapes of tiles
    peak = peak_of(evaluate)
    pixels = side * side
    planned = tiled_bytes(settings, pixels, tile) if tile else whole_bytes(settings, pixels)
    # Nothing is left of a tile where it has no pixels.
    kept = tiled_bytes(settings, pixels, 0) if tile else 0.0
    print(
        f"{side} px, tiles of {tile}, {precision}: {peak / 2**20:.0f} MiB, planned "
        f"{planned / 2**20:.0f}; above what is kept {(peak - kept) / 2**20:.0f}",
        flush=True,
    )


def peak_of(work: Callable[[], None]) -> int:
    """Returns the most bytes of tensors that are there at a time while something is done.

    They are torch's own counts: what a process has of the system also depends on what the C library
    keeps of freed memory.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted(
        (event["ts"], event["args"]["Total Allocated"], event["args"]["Bytes"])
        for event in events
        if event.get("name") == "[memory]"
    )
    _, total, first = changes[0]
    most: int = max(after for _, after, _ in changes) - (total - first)
    return most


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
