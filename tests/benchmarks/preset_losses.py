"""Whether every preset ends below its start: the losses of all pairs, before and after some steps.

python tests/benchmarks/preset_losses.py examples/contents examples/styles --size 64 --steps 100

Networks that are not in the cache are stood in for by `normalized`, and marked.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from nst_lightning import StyleTransfer, TransferSettings, load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.settings.presets import preset_texts
from nst_lightning.transfer.module import build_network
from nst_lightning.vgg.weights import verify


def images(folder: Path, height: int, width: int) -> Tensor:
    """Reads all images of a folder, brought to one shape: (N, 3, height, width)."""
    return torch.cat([resize(load_image(p), height, width) for p in sorted(folder.glob("*.jpg"))])


def run(settings: TransferSettings, contents: Tensor, styles: Tensor, steps: int) -> list[Tensor]:
    """Optimises every content with every style, as one batch, and returns the losses before and
    after, (N,) each."""
    pairs = [(c, s) for c in range(len(contents)) for s in range(len(styles))]
    content, style = contents[[c for c, _ in pairs]], styles[[s for _, s in pairs]]
    model = StyleTransfer.from_images(
        content, style, settings, network=build_network(settings), steps=steps
    )
    with torch.no_grad():
        model.prepare()
        before = model.evaluate(model.image)["total"]
    optimizer = model.configure_optimizers()
    for step in range(1, steps + 1):
        model.make_step(optimizer, step)
    with torch.no_grad():
        after = model.evaluate(model.image)["total"]
    return [before, torch.where(model.failed_at > 0, torch.nan, after)]


def main() -> None:
    """Prints a line for each preset; exit code 1 where one failed."""
    asked = argparse.ArgumentParser()
    asked.add_argument("contents", type=Path)
    asked.add_argument("styles", type=Path)
    asked.add_argument("--size", type=int, default=64)
    asked.add_argument("--steps", type=int, default=100)
    asked.add_argument("--presets", nargs="*", default=sorted(preset_texts()))
    chosen = asked.parse_args()
    shape = chosen.size * 3 // 4, chosen.size
    contents, styles = images(chosen.contents, *shape), images(chosen.styles, *shape)
    here = {(one.source, one.network) for one in verify(check=False) if one.state != "absent"}
    failed = False
    print(f"{len(contents) * len(styles)} pairs, {shape[1]} x {shape[0]} px, {chosen.steps} steps")
    for name in chosen.presets:
        settings = TransferSettings.from_preset(name)
        mark = ""
        if (settings.weights, settings.network) not in here:
            mark = f"  ({settings.weights} stood in for by normalized)"
            settings = settings.model_copy(
                update={"weights": "normalized", "weights_input": "auto"}
            )
        before, after = run(settings, contents, styles, chosen.steps)
        share = after / before
        good = bool((after.isfinite() & (after <= before)).all())
        failed |= not good
        print(
            f"{name}: {'falls' if good else 'DOES NOT FALL'} to {share.min():.2e} … "
            f"{share.max():.2e} of its start{mark}",
            flush=True,
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
