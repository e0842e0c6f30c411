"""Style transfer in a Trainer of your own, with your callback, your logger and checkpoints.

    python examples/own_callback_and_logger.py --out out

writes out/frames/step-0020.png …, out/losses/version_0/metrics.csv, out/best.ckpt and, made from
that checkpoint, out/best.png.
"""

import argparse
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from nst_lightning import StyleTransfer, TransferSettings, load_image

HERE = Path(__file__).resolve().parent


class Frames(L.Callback):
    """Saves the image after every so many steps, and prints the losses that the module logged."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder = folder
        self.every = every

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        step = trainer.global_step
        if step % self.every == 0 and isinstance(module, StyleTransfer):
            module.save(self.folder / f"step-{step:04d}.png")
            losses = {name: f"{float(v):.4g}" for name, v in trainer.callback_metrics.items()}
            print(f"step {step}: {losses}")


def main(out: Path, size: int, steps: int, weights: str) -> None:
    """Draws a cup of coffee as a woodcut."""
    content = load_image(HERE / "contents" / "coffee.jpg", size)
    style = load_image(HERE / "styles" / "woodcut.jpg", size)
    settings = TransferSettings(steps=steps, style_weight=200, weights=weights)
    model = StyleTransfer.from_images(content, style, settings)
    best = ModelCheckpoint(out, "best", monitor="loss", every_n_train_steps=20)
    trainer = L.Trainer(
        max_epochs=1,
        devices=1,  # one image is one process's work
        callbacks=[Frames(out / "frames", every=20), best],
        logger=CSVLogger(out, "losses"),
        log_every_n_steps=1,
        enable_progress_bar=False,
    )
    trainer.fit(model)
    StyleTransfer.load_from_checkpoint(best.best_model_path).save(out / "best.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--weights", default="normalized")
    main(**vars(parser.parse_args()))
