"""What the parts of a step cost: `python tests/benchmarks/parts.py [SIZE [BATCH]]`.

Evaluation with its gradient, and the optimiser, alternating in one process; medians.
"""

import sys
from collections.abc import Callable
from statistics import median

import torch

from nst_lightning import TransferSettings
from nst_lightning.benchmark.timing import paired
from nst_lightning.run.devices import DTYPES, choose_device, resolve
from nst_lightning.run.memory import keep_freed_memory
from nst_lightning.settings import build
from nst_lightning.transfer.module import StyleTransfer
from nst_lightning.transfer.objective import value_and_gradient


def main(size: int = 512, batch: int = 1) -> None:
    """Print each part's milliseconds and its share of the step."""
    keep_freed_memory()
    device = choose_device("auto")
    dtype = DTYPES[resolve(build({}), device).precision]
    content, style = (torch.rand(batch, 3, size, size, device=device) for _ in range(2))
    model = StyleTransfer.from_images(content, style, TransferSettings()).to(device)
    optimizer = model.configure_optimizers()

    def evaluate() -> None:
        image = model.image.detach()
        model.image.grad = value_and_gradient(model.network, model.loss, image, dtype)[1]

    parts: dict[str, Callable[[], object]] = {"evaluation": evaluate, "optimiser": optimizer.step}
    # Enough rounds before for a full memory of correction pairs.
    paired(parts, 12)
    seconds = {name: median(times) for name, times in paired(parts, 9).items()}
    whole = sum(seconds.values())
    for name, value in seconds.items():
        print(f"{name:<12}{1000 * value:9.1f} ms {100 * value / whole:5.1f} %")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
