"""Style transfer as a LightningModule whose only parameter is the image."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn

from nst_lightning.errors import UserError
from nst_lightning.formats import RESULT_FORMATS, result_format
from nst_lightning.imaging.mask import Mask
from nst_lightning.imaging.metadata import Metadata
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.writing import write_image
from nst_lightning.optim.lbfgs import BatchedLBFGS
from nst_lightning.settings import TransferSettings
from nst_lightning.transfer.keep_colours import content_colours, with_luma
from nst_lightning.transfer.objective import (
    TotalWithGradient,
    TransferLoss,
    compute_losses,
    value_and_gradient,
)
from nst_lightning.transfer.start import starting_image
from nst_lightning.transfer.targets import Style, Targets, make_targets
from nst_lightning.vgg.network import VGG
from nst_lightning.vgg.weights import Weights, load_weights


def build_network(settings: TransferSettings, weights: Weights | None = None) -> VGG:
    """Builds the extractor that the settings ask for; fetches its weights unless they are given."""
    weights = weights or load_weights(settings.weights, settings.network)
    layers = [*settings.active_content_layers, *settings.active_style_layers]
    return VGG(weights, layers, settings.network, settings.pooling)


WINDOW = 20
"""Steps between two looks at how the losses get on: the only ones that wait for the device."""

STALLED = 1e-3
"""In low precision, a smaller relative gain per window is taken for a stall."""

CHANGING = ("image", "failed_at", "stopped_at", "average", "averaged")
"""The tensors of the module that a checkpoint keeps."""


class StyleTransfer(L.LightningModule):
    """Draws B images at once, each to its content and style, at one size.

    `image` is the parameter, (B, 3, H, W) in [0, 1]. One `training_step` is one step of the
    optimiser and one evaluation of the loss and its gradient; the Trainer places device and
    precision. An image whose loss or gradient is not finite stands still from then on, in its last
    good state, and `failed_at` holds the step (from 1; 0 for the healthy); the others go on. With
    `settings.stop_below`, `stopped_at` does so for images that no longer improve. Should a loss
    stand still in low precision, the network goes over to float32 from step `float32_from` on.

    Args:
        content: (B, 3, H, W) in [0, 1], sRGB.
        style: (B, 3, h, w) or (1, 3, h, w) in [0, 1]; its size is free (`settings.style_scale` is
            relative to it). Or several, with their shares and regions.
        settings: what to optimise; the number of steps is that of the last scale.
        mask: the regions of the content, drawn to the styles that serve them; a region without
            style stays as it is.
        init: the start, (B, 3, H, W) in [0, 1]; by default what `settings.init` says (noise,
            content, gray or style).
        origin: where the losses are 1 with `settings.weighting` start; by default the start.
        network: the extractor, to share one among several transfers; by default made from settings.
        targets: to share what was computed before; by default computed from content and style.
        steps: another number of steps.
        recompute: less memory for more time, see `VGG.forward_pass`.
        compile: use torch.compile.

    Raises:
        UserError: unknown layers, missing weights, an image too small for the network.
    """

    failed_at: Tensor
    stopped_at: Tensor
    colours: Tensor | None
    transferred: Tensor | None
    kept: Tensor | None
    average: Tensor | None
    averaged: Tensor | None

    def __init__(
        self,
        content: Tensor,
        style: Tensor | Sequence[Style],
        settings: TransferSettings | None = None,
        *,
        mask: Mask | None = None,
        init: Tensor | None = None,
        origin: Tensor | None = None,
        network: VGG | None = None,
        targets: Targets | None = None,
        steps: int | None = None,
        recompute: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.strict_loading = False  # a checkpoint holds the images, not the network
        self.settings = settings or TransferSettings()
        self.steps = steps or self.settings.scales[-1].steps
        self.network = network or build_network(self.settings)
        styles = [Style(style)] if isinstance(style, Tensor) else list(style)
        transferred = content_colours(content, self.settings.preserve_color)
        if targets is None:
            targets = make_targets(self.network, content, styles, mask, self.settings)
        self.loss = TransferLoss(targets, self.settings, (content.shape[-2], content.shape[-1]))
        if init is None:
            first = max(styles, key=lambda one: one.share).image
            init = starting_image(transferred, first, self.settings)
        start = init
        if self.settings.bounds:
            start = start.clamp(0, 1)
        self.image = nn.Parameter(start.clone(memory_format=torch.contiguous_format))
        keeps_colours = self.settings.preserve_color == "luminance"
        self.register_buffer("colours", content if keeps_colours else None, persistent=False)
        self.register_buffer("kept", targets.kept, persistent=False)
        keeps = targets.kept is not None
        self.register_buffer("transferred", transferred if keeps else None, persistent=False)
        averages = self.settings.average > 0
        self.register_buffer("average", start.clone() if averages else None)
        self.register_buffer("averaged", torch.ones(len(start)).long() if averages else None)
        if self.settings.weighting != "absolute":
            self._set_units(start if origin is None else origin)
        self.recompute = recompute
        self.value_and_gradient = (
            torch.compile(value_and_gradient, dynamic=False) if compile else value_and_gradient
        )
        for name in ("failed_at", "stopped_at"):
            self.register_buffer(name, torch.zeros(len(start), dtype=torch.long))
        self.float32_from: int | None = None
        self.earlier: Tensor | None = None
        self.losses: dict[str, Tensor] = {}
        """The weighted terms at the last evaluation, (B,) each, on the device."""

    @torch.no_grad()
    def _set_units(self, origin: Tensor) -> None:
        """Measures the losses in what they are worth at the start, or in their targets' energy."""
        if self.settings.weighting == "energy":
            self.loss.set_units(None)
            return
        target = next(self.loss.buffers())
        image = self.composed(origin).to(target)
        network = self.network.to(target.device, target.dtype)
        self.loss.set_units(compute_losses(network, self.loss, image, target.dtype).losses)

    def composed(self, image: Tensor) -> Tensor:
        """Puts the content into images (B, 3, H, W) where no style is wanted."""
        if self.kept is None or self.transferred is None:
            return image
        return torch.lerp(image, self.transferred.to(image), self.kept.to(image))

    def evaluate(self, image: Tensor) -> dict[str, Tensor]:
        """Computes the weighted loss terms of images (B, 3, H, W) and their `total`, (B,) each.

        The network runs in autocast's precision, where that is on. Only `total` has a gradient.
        """
        device = image.device.type
        dtype = image.dtype
        if torch.is_autocast_enabled(device) and self.float32_from is None:
            dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            if not (image.requires_grad and torch.is_grad_enabled()):
                return compute_losses(self.network, self.loss, image, dtype, recompute=True).terms
            terms, gradient = self.value_and_gradient(
                self.network, self.loss, image.detach(), dtype, recompute=self.recompute
            )
            total = TotalWithGradient.apply(image, gradient, terms["total"])
        return {**terms, "total": total}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Looks every `WINDOW` steps at how the losses get on."""
        if batch_idx == 0 or batch_idx % WINDOW:
            return None
        total = self.losses["total"]
        gain = (cast(Tensor, self.earlier) - total) / total.abs()
        self.earlier = total
        running = self._running()
        if self.settings.stop_below is not None:
            done = running & (gain < self.settings.stop_below)
            self.stopped_at = torch.where(done, batch_idx, self.stopped_at)
            running = running & ~done
            if not running.any():
                return -1  # ends the epoch, and with it the fit
        low = "16" in str(self.trainer.precision)
        if low and self.float32_from is None and (running & (gain < STALLED)).any():
            self.float32_from = batch_idx + 1
        return None

    def _running(self) -> Tensor:
        return (self.failed_at == 0) & (self.stopped_at == 0)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Makes one evaluation and one step."""
        optimizer = cast(Any, self.optimizers())
        optimizer.zero_grad()
        losses = self.evaluate(self.composed(self.image))
        self.manual_backward(losses["total"].sum())
        self.losses = {name: value.detach() for name, value in losses.items()}
        self.earlier = self.losses["total"] if self.earlier is None else self.earlier
        before = self._stop_failed()
        optimizer.step()
        with torch.no_grad():
            if self.settings.bounds and self.settings.optimizer == "adam":
                self.image.clamp_(0, 1)
            self.image.copy_(torch.where(per_image(self._running()), self.image, before))
            self._average()
        self.last_good = before
        # What is shown in a progress bar waits for the device in every step, bar or no bar.
        shown = self.trainer.progress_bar_callback is not None
        self.log("loss", self.losses["total"].mean(), prog_bar=shown, batch_size=len(before))

    def _average(self) -> None:
        """Takes the image after a step into the average.

        avg + (1−d)/(1−dⁿ)·(x − avg) with n images so far, the start among them, is the
        bias-corrected moving average Σ dⁿ⁻ᵏ·xₖ / Σ dⁿ⁻ᵏ (Kingma & Ba 2015, section 3).
        """
        if self.average is None or self.averaged is None:
            return
        running, decay = self._running(), self.settings.average
        self.averaged += running
        share = (1 - decay) / (1 - decay ** self.averaged.to(self.average))
        grown = torch.lerp(self.average, self.image, per_image(share))
        self.average.copy_(torch.where(per_image(running), grown, self.average))

    def _stop_failed(self) -> Tensor:
        """Stops images whose loss or gradient just left the finite numbers.

        Returns:
            The last good state of every image.
        """
        gradient = cast(Tensor, self.image.grad)
        finite = self.losses["total"].isfinite() & gradient.isfinite().flatten(1).all(dim=1)
        failing = ~finite & (self.failed_at == 0)
        self.failed_at = torch.where(failing, self.trainer.global_step + 1, self.failed_at)
        gradient.copy_(torch.where(per_image(self._running()), gradient, 0.0))
        now = self.image.detach().clone()
        earlier = getattr(self, "last_good", now)
        return torch.where(per_image(failing), earlier, now)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Makes batched L-BFGS, or Adam, for the image."""
        s = self.settings
        if s.optimizer == "adam":
            betas = (0.9, s.adam_beta2)
            return torch.optim.Adam([self.image], lr=s.resolved_learning_rate, betas=betas)
        return BatchedLBFGS(
            [self.image],
            lr=s.resolved_learning_rate,
            memory=s.lbfgs_memory,
            first_step=None if s.first_step == "torch" else s.first_step,
            longest_step=s.longest_step,
            bounds=(0.0, 1.0) if s.bounds else None,
        )

    def train_dataloader(self) -> Iterable[int]:
        """Yields one item a step, so that `max_epochs=1` runs all steps and no more."""
        return range(self.steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what changes; the frozen network and the targets are made anew from settings."""
        state = checkpoint["state_dict"]
        changing = {name: state[name] for name in CHANGING if name in state}
        checkpoint["state_dict"] = changing
        checkpoint["images"] = {
            "losses": self.losses, "earlier": self.earlier, "last_good": self.last_good,
        }  # fmt: skip
        checkpoint["float32_from"] = self.float32_from
        checkpoint["random"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what makes the fit go on as if there had been no interruption."""
        images = checkpoint["images"]
        self.losses = images["losses"]
        self.earlier, self.last_good = images["earlier"], images["last_good"]
        self.float32_from = checkpoint["float32_from"]
        torch.set_rng_state(checkpoint["random"])

    def on_train_start(self) -> None:
        """Brings what a checkpoint held to the device, where the Trainer has brought the rest."""
        if self.earlier is not None:
            self.losses = {name: value.to(self.device) for name, value in self.losses.items()}
            self.earlier = self.earlier.to(self.device)
            self.last_good = self.last_good.to(self.device)

    def optimised(self) -> Tensor:
        """Returns what is optimised so far, (B, 3, H, W) in [0, 1]: the image or, with
        `settings.average`, the average; with the content where no style is wanted."""
        return self.composed(self.image.detach() if self.average is None else self.average)

    def result(self) -> Tensor:
        """Returns the images as they are now, (B, 3, H, W) in [0, 1]; with the content's colours
        where these are kept."""
        image = self.optimised()
        return image if self.colours is None else with_luma(self.colours, image)

    def save(self, path: Path | str, index: int = 0, *, bits: int = 8, quality: int = 95) -> None:
        """Writes image `index`, atomically, in the format of results that the name ends in.

        Args:
            path: the file.
            index: which of the B images.
            bits: 8, or 16 where the format has them.
            quality: 1 to 100, of a lossy format.

        Raises:
            UserError: the name ends in something else.
            ValueError: bits that the format does not have.
            OSError: it cannot be written; what was there before is still there.
        """
        path = Path(path)
        format = result_format(path)
        if format is None:
            known = [suffix for one in RESULT_FORMATS.values() for suffix in one.suffixes]
            raise UserError(f"{path}: name a file that ends in {', '.join(known)}.")
        metadata, image = Metadata(profile=srgb_profile()), self.result()[index]
        write_image(path, image, None, metadata, format=format, bits=bits, quality=quality)


def per_image(flags: Tensor) -> Tensor:
    """Views (B,) as (B, 1, 1, 1)."""
    return flags[:, None, None, None]
