"""Style transfer as a LightningModule whose only parameter is the image."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn

from nst_lightning.band import Band
from nst_lightning.cuda_graph import Recorded, can_record
from nst_lightning.errors import UserError
from nst_lightning.formats import RESULT_FORMATS, result_format
from nst_lightning.imaging.mask import Mask
from nst_lightning.imaging.metadata import Metadata
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.writing import write_image
from nst_lightning.mesh.texels import Rendering
from nst_lightning.optim.lbfgs import BatchedLBFGS
from nst_lightning.settings import TransferSettings
from nst_lightning.transfer.checks import check_checkpoint, check_inputs
from nst_lightning.transfer.keep_colours import content_colours, with_luma
from nst_lightning.transfer.objective import (
    TotalWithGradient,
    TransferLoss,
    compute_losses,
    compute_terms,
    value_and_gradient,
)
from nst_lightning.transfer.originals import Originals
from nst_lightning.transfer.split import SplitStrategy, cut_state, gather_state
from nst_lightning.transfer.start import starting_image
from nst_lightning.transfer.steps import Steps
from nst_lightning.transfer.targets import Style, Targets, make_targets
from nst_lightning.transfer.walk import make_walk
from nst_lightning.vgg.network import VGG
from nst_lightning.vgg.weights import Weights, load_weights
from nst_lightning.video.temporal_target import Temporal

if TYPE_CHECKING:
    from typing_extensions import Self


def build_network(settings: TransferSettings, weights: Weights | None = None) -> VGG:
    """Builds the extractor that the settings ask for; fetches its weights unless they are given."""
    weights = weights or load_weights(*settings.network_weights)
    layers = [*settings.active_content_layers, *settings.active_style_layers]
    return VGG(weights, layers, settings.network, settings.pooling, settings.padding)


WINDOW = 20
"""Steps between two looks at how the losses get on: the only ones that wait for the device."""

FRAME_WINDOW = 10
"""Of a frame of a film that others came before, which starts near its end."""

STALLED = 1e-3
"""In low precision, a smaller relative gain per window is taken for a stall."""

CHANGING = ("image", "failed_at", "stopped_at", "average", "averaged")
"""The tensors of the module that a checkpoint keeps."""

REMEMBERED = ("losses", "earlier", "last_good")
"""What the module remembers of the steps before, which a checkpoint keeps too."""


class StyleTransfer(L.LightningModule):
    """Draws B images at once, each to its content and style, at one size.

    `image` is the parameter, (B, 3, H, W) in [0, 1]. One `training_step` is one step of the
    optimiser and one evaluation of the loss and its gradient; the Trainer places device and
    precision. An image whose loss or gradient is not finite stands still from then on, in its last
    good state, and `failed_at` holds the step (from 1; 0 for the healthy); the others go on. With
    `settings.stop_below`, `stopped_at` does so for images that no longer improve. Should a loss
    stand still in low precision, the network goes over to float32 from step `float32_from` on.

    A logger gets the batch's means of `loss`, `content`, `style` and `tv`, and the hyperparameters:
    the settings and the network's name and checksum.

    Args:
        content: (B, 3, H, W) in [0, 1], sRGB.
        targets: what the images are drawn to; or the styles to make it from, on the Trainer's
            device when a fit begins, or before where the losses are asked for.
        settings: what to optimise; the number of steps is that of the last scale.
        rendering: of a mesh whose textures are drawn: images, content, start and origin are then
            its texels (B, 3, h, w), and what the losses see of them are its views. Finished targets
            are of the views, styles serve what they show of the mesh, and a mask is none.
        temporal: of frames of a film, what the frames before them have become here; the images are
            held to it, and what it does not know is painted as a region of its own.
        mask: the regions of the content, drawn to the styles that serve them; a region without
            style stays as it is. Finished targets have theirs.
        init: the start, (B, 3, H, W) in [0, 1]; by default what `settings.init` says (noise,
            content, gray or style), which needs styles.
        origin: where the losses are 1 with `settings.weighting` start; by default the start.
        network: the extractor, to share one among several transfers (`build_network`); by default
            made from settings.
        steps: another number of steps.
        curvature: what `inverse_curvature` said of the images at another size, (B,); L-BFGS's first
            step is then no longer than it says.
        recompute: less memory for more time: keep only the input of each block of the network and
            compute the rest anew in the backward pass.
        tile: much less memory: besides, take the blocks through the network in tiles of at most so
            many pixels a side, a multiple of 16; what comes out is the same but for rounding.
        history: where L-BFGS keeps its memory, on the `device` of the image or on the `host`.
        compile: use torch.compile.
        cuda_graphs: on CUDA, play a recording of an early step's kernels instead of launching each
            anew, which takes longer than their work on a small image. Of losses that wait for the
            device, the optimiser's kernels alone. False where the losses change on the way.

    Raises:
        UserError: missing weights, an image too small for the network, finished targets without
            a start.
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
        targets: Targets | Sequence[Style],
        settings: TransferSettings | None = None,
        *,
        rendering: Rendering | None = None,
        temporal: Temporal | None = None,
        mask: Mask | None = None,
        init: Tensor | None = None,
        origin: Tensor | None = None,
        network: VGG | None = None,
        steps: int | None = None,
        curvature: Tensor | None = None,
        recompute: bool = False,
        tile: int | None = None,
        history: Literal["device", "host"] = "device",
        compile: bool = False,
        cuda_graphs: bool = True,
    ) -> None:
        super().__init__()
        self.recorded: dict[Any, Recorded[tuple[dict[str, Tensor], Tensor]]] = {}
        self.cuda_graphs = cuda_graphs
        self.automatic_optimization = False
        self.strict_loading = False  # a checkpoint holds the images, not the network
        self.settings = s = settings or TransferSettings()
        self.steps = steps or s.scales[-1].steps
        if rendering is not None and mask is not None:
            raise UserError("a mesh has no regions: leave mask out.")
        self.rendering = rendering
        self.temporal = temporal
        self.network = network or build_network(s)
        self.band: Band | None = None
        """What this process holds of the images, where several optimise them together."""
        self.curvature = curvature
        self.history: Literal["device", "host"] = history
        self.walk = make_walk(s, tile, recompute)
        self.value_and_gradient = (
            torch.compile(value_and_gradient, dynamic=False) if compile else value_and_gradient
        )
        self.save_hyperparameters(
            {
                "settings": s.model_dump(mode="json", include=set(TransferSettings.model_fields)),
                "network": self.network.identity,
                "steps": self.steps,
                "recompute": recompute,
                "tile": tile,
                "history": history,
                "compile": compile,
                "cuda_graphs": cuda_graphs,
            }
        )
        if init is None:
            if isinstance(targets, Targets):
                raise UserError("finished targets need a start: pass init.")
            first = max(targets, key=lambda one: one.share).image
            init = starting_image(content_colours(content, s.preserve_color), first, s)
        start = init.clamp(0, 1) if s.bounds else init
        self.image = nn.Parameter(start.clone(memory_format=torch.contiguous_format))
        self.register_buffer("average", start.clone() if s.average > 0 else None)
        counts = torch.ones(len(start), dtype=torch.long, device=start.device)
        self.register_buffer("averaged", counts if s.average > 0 else None)
        for name in ("failed_at", "stopped_at"):
            self.register_buffer(name, torch.zeros_like(counts))
        self.float32_from: int | None = None
        self.losses: dict[str, Tensor] = {}
        """The weighted terms at the last evaluation, (B,) each, on the device."""
        self.earlier: Tensor | None = None
        """The total at the last look at how the losses get on, (B,)."""
        self.last_good: Tensor | None = None
        """The images at the last evaluation that was finite, (B, 3, H, W)."""
        for name in ("colours", "kept", "transferred"):
            self.register_buffer(name, None, persistent=False)
        if s.preserve_color == "luminance":
            self.colours = content.to(start)
        if s.weighting == "start" and origin is None:
            origin = start.clone()
        self.objective: TransferLoss | None = None
        self.originals: Originals | None = None
        if isinstance(targets, Targets):
            self._take(targets, content, origin)
        else:
            self.originals = Originals(content, targets, mask, origin, temporal)
        if rendering is not None:
            self.rendering = rendering.to(start.device, start.dtype)

    @classmethod
    def from_images(
        cls,
        content: Tensor,
        style: Tensor | Sequence[Style],
        settings: TransferSettings | None = None,
        **options: Any,
    ) -> "Self":
        """Makes the module for contents and their style.

        Args:
            content: (B, 3, H, W) in [0, 1], sRGB.
            style: (B, 3, h, w) or (1, 3, h, w) in [0, 1]; its size is free (`settings.style_scale`
                is relative to it). Or several, with their shares and regions.
            settings: what to optimise.
            options: the class's other arguments.

        Raises:
            UserError: missing weights, an image too small for the network, or inputs that are none.
        """
        styles = [Style(style)] if isinstance(style, Tensor) else style
        check_inputs(content, styles, options.get("mask"))
        return cls(content, styles, settings, **options)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: Any,
        map_location: Any = "cpu",
        *,
        weights_only: bool = True,
        **arguments: Any,
    ) -> "Self":
        """Makes the module of a checkpoint, with its images as they were saved.

        `Trainer.fit(model, ckpt_path=…)` then goes on from there, bit for bit.

        Args:
            checkpoint_path: a file that a Trainer wrote.
            map_location: where its tensors go, as for `torch.load`; a fit brings them to its
                device.
            weights_only: as for `torch.load`; False where callbacks saved objects of their own.
            arguments: the class's own, instead of what the checkpoint says: `network`, to share
                one; `content` and `targets` where the checkpoint was saved with finished ones.

        Raises:
            UserError: the checkpoint is not one of this class, or holds no originals and none are
                given, or its weights are not those that the settings lead to here.
        """
        checkpoint = torch.load(checkpoint_path, map_location, weights_only=weights_only)
        check_checkpoint(checkpoint)
        known = checkpoint["hyper_parameters"]
        if "originals" in checkpoint:
            originals = Originals.from_data(checkpoint["originals"])
            arguments = {
                "content": originals.content,
                "targets": originals.styles,
                "mask": originals.mask,
                "origin": originals.origin,
                "temporal": originals.temporal,
                **arguments,
            }
        elif not {"content", "targets"} <= arguments.keys():
            raise UserError(
                f"{checkpoint_path}: was saved with finished targets, which it does not hold; pass "
                "content and targets."
            )
        settings = TransferSettings.model_validate(known["settings"])
        how = ("steps", "recompute", "tile", "history", "compile", "cuda_graphs")
        own = {name: known[name] for name in how if name in known}
        image = checkpoint["state_dict"]["image"]
        model = cls(**{"settings": settings, "init": image, **own, **arguments})
        if model.network.identity["checksum"] != known["network"]["checksum"]:
            raise UserError(
                f"{checkpoint_path}: was made with other weights of {known['network']['weights']} "
                f"(checksum {known['network']['checksum']}); pass the network that has them."
            )
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"], strict=False)
        return model

    @property
    def loss(self) -> TransferLoss:
        """Returns the loss terms, whose targets are made where they are not yet."""
        if self.objective is None:
            self.prepare()
        return cast(TransferLoss, self.objective)

    @torch.no_grad()
    def prepare(self) -> None:
        """Makes the targets on the device of the image and in its precision, if there are none
        yet; a fit begins with it.

        Raises:
            UserError: an image too small for the network, regions without a style.
        """
        if self.objective is not None:
            return
        made_from = cast(Originals, self.originals)
        content = made_from.content.to(self.image)
        styles = [replace(style, image=style.image.to(content)) for style in made_from.styles]
        network = self.network.to(content.device, content.dtype)
        with torch.autocast(content.device.type, enabled=False):
            targets = make_targets(
                network,
                self.see(content),
                styles,
                made_from.mask,
                self.settings,
                self.walk,
                None if self.rendering is None else self.rendering.coverage,
            )
            self._take(targets, content, made_from.origin)

    def _take(self, targets: Targets, content: Tensor, origin: Tensor | None) -> None:
        """Takes finished targets, and measures the losses in what they are worth at the origin, or
        in their targets' energy."""
        s, shape = self.settings, self.shape(content)
        temporal = None if self.temporal is None else self.temporal.to(self.image)
        loss = self.objective = TransferLoss(targets, s, shape, temporal)
        if targets.kept is not None:
            self.kept = targets.kept.to(self.image)
            self.transferred = content_colours(content, s.preserve_color).to(self.image)
        if s.weighting == "energy":
            loss.set_units(None)
        elif s.weighting == "start":
            target = next(loss.buffers())
            image = self.composed(self.see(cast(Tensor, origin).to(target)))
            network = self.network.to(target.device, target.dtype)
            loss.set_units(compute_losses(network, loss, image, target.dtype, self.walk).losses)
        if temporal is not None:
            image = torch.where(temporal.weight > 0, temporal.image, content.to(temporal.image))
            network = self.network.to(image.device, image.dtype)
            terms = compute_terms(network, loss, image, image.dtype, self.walk)
            loss.weigh_temporal(terms["total"] - terms["temporal"])

    def on_fit_start(self) -> None:
        """Makes the targets where they are not given.

        Raises:
            UserError: as `prepare`; or a precision that would round the image itself.
        """
        if self.image.dtype not in (torch.float32, torch.float64):
            raise UserError(
                "this precision rounds the image itself, so that small steps are lost: choose "
                "bf16-mixed, 16-mixed, 32-true or 64-true."
            )
        self.prepare()
        if self.band and self.walk.band is None:
            self._hold(self.band)

    def setup(self, stage: str) -> None:
        """Keeps a band of the images in each process, where a Trainer has a `SplitStrategy`."""
        strategy = self.trainer.strategy
        if self.band or not isinstance(strategy, SplitStrategy) or strategy.world_size == 1:
            return
        if self.temporal is not None:
            raise UserError("a frame of a film is made on one device: leave the strategy out.")
        height, width = self.image.shape[-2:]
        self.band = Band(strategy.global_rank, strategy.world_size, (height, width))
        own = self.band.at(0)
        self.image = nn.Parameter(own.cut(self.image.detach()).clone())
        if self.average is not None:
            self.average = own.cut(self.average).clone()

    def _hold(self, band: Band) -> None:
        """Gives up what targets have for other bands alone."""
        for name in ("colours", "kept", "transferred"):
            whole = getattr(self, name)
            if whole is not None:
                setattr(self, name, band.at(0).cut(whole).clone())
        self.loss.hold(band)
        self.walk = replace(self.walk, band=band)

    def see(self, image: Tensor) -> Tensor:
        """Returns what the losses see of images: themselves, or the views of a mesh with these
        texels."""
        return image if self.rendering is None else self.rendering.see(image)

    def shape(self, image: Tensor) -> tuple[int, int]:
        """Returns the (height, width) of what the losses see of images."""
        height, width = (image if self.rendering is None else self.rendering.coverage).shape[-2:]
        return height, width

    def composed(self, image: Tensor) -> Tensor:
        """Puts the content into images (B, 3, H, W) where no style is wanted."""
        if self.objective is None and self.originals and self.originals.mask:
            self.prepare()  # it knows which regions have a style
        if self.kept is None or self.transferred is None:
            return image
        return torch.lerp(image, self.transferred.to(image), self.kept.to(image))

    def evaluate(self, image: Tensor) -> dict[str, Tensor]:
        """Computes the weighted loss terms of images (B, 3, H, W) and their `total`, (B,) each.

        The network runs in autocast's precision, where that is on. Only `total` has a gradient. Of
        images in bands it takes the whole, or each process its own.
        """
        if self.band and image.shape[-2] == self.band.whole[0]:
            image = self.band.at(0).cut(image)
        device = image.device.type
        dtype = image.dtype
        if torch.is_autocast_enabled(device) and self.float32_from is None:
            dtype = torch.get_autocast_dtype(device)
        if dtype == torch.float16 and self.walk.side:
            raise UserError(
                "tiles do not go with 16-mixed, whose scale needs to see the whole image: choose "
                "bf16-mixed or 32-true."
            )
        with torch.autocast(device, enabled=False):
            if not (image.requires_grad and torch.is_grad_enabled()):
                return compute_terms(self.network, self.loss, image, dtype, self.walk)
            terms, gradient = self._value_and_gradient(image.detach(), dtype)
            total = TotalWithGradient.apply(image, gradient, terms["total"])
        return {**terms, "total": total}

    def _value_and_gradient(
        self, image: Tensor, dtype: torch.dtype
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Computes the weighted terms of images and the gradient of their total."""

        def compute(image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
            network, loss = self.network, self.loss
            return self.value_and_gradient(network, loss, image, dtype, self.walk)

        if not self._records():
            return compute(image)
        # A network that several share may have been moved by another's Trainer.
        places = self.network.mean.data_ptr(), self.network.std.data_ptr()
        recorded = self.recorded.setdefault((dtype, image.shape, *places), Recorded(compute))
        terms, gradient = recorded(image)
        return {name: value.clone() for name, value in terms.items()}, gradient.clone()

    def _records(self) -> bool:
        """Whether loss and gradient are recorded: not where compiled, or waiting for the device."""
        return (
            self.cuda_graphs
            and can_record(self.image)
            and self.value_and_gradient is value_and_gradient
            and self.band is None
            and not any(one.waits for _, one in self.loss.layer_losses())
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the recordings, which are of this very module."""
        return {**super().__getstate__(), "recorded": {}}

    def _apply(self, fn: Any, recurse: bool = True) -> "Self":
        """Moves the module, as `to` does; what was recorded reads where its tensors were."""
        self.recorded.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.rendering is not None:
            self.rendering = self.rendering.to(self.image.device, self.image.dtype)
        return self

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Looks every `WINDOW` steps at how the losses get on."""
        if batch_idx == 0 or batch_idx % (WINDOW if self.temporal is None else FRAME_WINDOW):
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
        low = isinstance(self.trainer.precision_plugin, MixedPrecision)
        if low and self.float32_from is None and (running & (gain < STALLED)).any():
            self.float32_from = batch_idx + 1
            self.recorded.clear()  # which gives back its memory
        return None

    def _running(self) -> Tensor:
        return (self.failed_at == 0) & (self.stopped_at == 0)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Makes one evaluation and one step, and logs the losses."""
        self.make_step(cast(Any, self.optimizers()), batch_idx + 1, self.manual_backward)
        bar = self.trainer.progress_bar_callback is not None
        # A bar reads what it shows at every step, and would wait for a GPU each time.
        shown = bar and self.device.type == "cpu"
        monitors = any(getattr(one, "monitor", None) for one in self.trainer.callbacks)  # type: ignore[attr-defined]
        if self.trainer.loggers or monitors or shown:
            means = torch.stack(list(self.losses.values())).mean(dim=1).unbind()
            logged = dict(zip(self.losses, means, strict=True))
            logged = {"loss": logged.pop("total"), **logged}
            self.log_dict(logged, prog_bar=shown, batch_size=len(self.image))
        if bar and not shown and batch_idx % WINDOW == 0:
            total = self.losses["total"].mean().cpu()
            self.log("total", total, prog_bar=True, logger=False, batch_size=len(self.image))

    def make_step(
        self,
        optimizer: torch.optim.Optimizer,
        step: int,
        backward: Callable[[Tensor], Any] = Tensor.backward,
    ) -> None:
        """Makes one evaluation and one step of the optimiser, without waiting for the device.

        Args:
            optimizer: from `configure_optimizers`.
            step: its number, from 1.
            backward: computes the gradients of a loss, as `Tensor.backward` does.
        """
        optimizer.zero_grad()
        losses = self.evaluate(self.composed(self.see(self.image)))
        backward(losses["total"].sum())
        self.losses = {name: value.detach() for name, value in losses.items()}
        self.earlier = self.losses["total"] if self.earlier is None else self.earlier
        self._stop_failed(step)
        optimizer.step()
        with torch.no_grad():
            if self.settings.bounds and self.settings.optimizer == "adam":
                self.image.clamp_(0, 1)
            running = per_image(self._running())
            before = cast(Tensor, self.last_good)
            torch.where(running, self.image, before, out=self.image.data)
            self._average()

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

    def _stop_failed(self, step: int) -> None:
        """Stops images whose loss or gradient left the finite numbers at this step, and remembers
        the others as they are."""
        gradient = cast(Tensor, self.image.grad)
        least, most = gradient.flatten(1).aminmax(dim=1)  # which hand NaN on
        finite = self.losses["total"].isfinite() & least.isfinite() & most.isfinite()
        if self.band:
            finite = self.band.largest((~finite).int()) == 0
        failing = ~finite & (self.failed_at == 0)
        self.failed_at = torch.where(failing, step, self.failed_at)
        nothing = gradient.new_zeros(())
        torch.where(per_image(self._running()), gradient, nothing, out=gradient)
        now = self.image.detach()
        if self.last_good is None:
            self.last_good = now.clone()
        # In place: of the largest images there is no room for another copy.
        torch.where(per_image(failing), self.last_good, now, out=self.last_good)

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
            units=s.pixel_range,
            longest_step=s.longest_step,
            bounds=(0.0, 1.0) if s.bounds else None,
            record=self.cuda_graphs,
            curvature=self.curvature,
            history=self.history,
            history_dtype=torch.bfloat16 if s.lbfgs_precision == "bfloat16" else None,
            band=self.band,
        )

    def inverse_curvature(self) -> Tensor | None:
        """Returns what L-BFGS knows of the curvature after a fit, (B,), for a fit at another size;
        None of Adam. See `BatchedLBFGS.inverse_curvature`."""
        (optimizer,) = self.trainer.optimizers
        optimizer = getattr(optimizer, "optimizer", optimizer)  # as Lightning wraps it
        return optimizer.inverse_curvature() if isinstance(optimizer, BatchedLBFGS) else None

    def agreed(self, asked: bool) -> bool:
        """Returns whether any of the processes that optimise the images asks for something."""
        if self.band is None:
            return asked
        return bool(self.band.largest(torch.tensor(int(asked), device=self.device)))

    def train_dataloader(self) -> "Steps":
        """Yields one item a step, so that `max_epochs=1` runs all steps and no more."""
        return Steps(self.steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what changes, and what the targets are made from; the frozen network is made anew
        from settings."""
        state = checkpoint["state_dict"]
        changing = {name: state[name] for name in CHANGING if name in state}
        checkpoint["state_dict"] = changing
        checkpoint["images"] = {name: getattr(self, name) for name in REMEMBERED}
        if self.band:
            gather_state(checkpoint, self.band)
        checkpoint["float32_from"] = self.float32_from
        if self.originals is not None:
            checkpoint["originals"] = self.originals.data()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores what makes the fit go on as if there had been no interruption.

        Raises:
            UserError: the checkpoint is not one of this class, or its images have another shape or
                optimiser.
        """
        check_checkpoint(checkpoint)
        if self.band:
            cut_state(checkpoint, self.band)
        known = checkpoint.get("hyper_parameters", self.hparams)["settings"]["optimizer"]
        if known != self.settings.optimizer:
            raise UserError(f"the checkpoint's optimizer is {known}: go on with the same.")
        saved, own = checkpoint["state_dict"]["image"].shape, self.image.shape
        if saved != own:
            raise UserError(
                f"the checkpoint's images have the shape {tuple(saved)}, those of this model "
                f"{tuple(own)}; make the model with StyleTransfer.load_from_checkpoint."
            )
        for name in REMEMBERED:
            setattr(self, name, checkpoint["images"][name])
        self.float32_from = checkpoint["float32_from"]

    def on_train_start(self) -> None:
        """Brings what a checkpoint held to the device, where the Trainer has brought the rest."""
        if self.earlier is not None and self.last_good is not None:
            self.losses = {name: value.to(self.device) for name, value in self.losses.items()}
            self.earlier = self.earlier.to(self.device)
            self.last_good = self.last_good.to(self.device)

    def optimised(self) -> Tensor:
        """Returns what is optimised so far, (B, 3, H, W) in [0, 1]: the image (of a mesh, its
        texels) or, with `settings.average`, the average; with the content where no style is
        wanted."""
        image = self.image.detach() if self.average is None else self.average
        image = self.composed(image) if self.rendering is None else image
        return self.band.gather(image) if self.band else image

    def result(self) -> Tensor:
        """Returns the images as they are now, (B, 3, H, W) in [0, 1]; with the content's colours
        where these are kept."""
        image = self.optimised()
        if self.colours is None:
            return image
        return with_luma(self.band.gather(self.colours) if self.band else self.colours, image)

    def shown(self) -> Tensor:
        """Returns what there is to look at: the result or, of a mesh, its views, (B, 3, H, W) in
        [0, 1]."""
        return self.see(self.result())

    def save(self, path: Path | str, index: int = 0, *, bits: int = 8, quality: int = 95) -> None:
        """Writes image `index`, atomically, in the format of results that the name ends in.

        Args:
            path: the file.
            index: which of the B images.
            bits: 8, or 16 where the format has them.
            quality: 1 to 100, of a lossy format.

        Raises:
            UserError: the name ends in something else, or the format does not have these bits.
            OSError: it cannot be written; what was there before is still there.
        """
        path = Path(path)
        format = result_format(path)
        if format is None:
            known = [suffix for one in RESULT_FORMATS.values() for suffix in one.suffixes]
            raise UserError(f"{path}: name a file that ends in {', '.join(known)}.")
        if bits not in RESULT_FORMATS[format].bits:
            has = " or ".join(map(str, RESULT_FORMATS[format].bits))
            raise UserError(f"{path}: {format} has {has} bits a channel, not {bits}.")
        metadata, image = Metadata(profile=srgb_profile()), self.result()[index]
        if self.band and self.band.rank:
            return  # the first process writes for all
        write_image(path, image, None, metadata, format=format, bits=bits, quality=quality)


def per_image(flags: Tensor) -> Tensor:
    """Views (B,) as (B, 1, 1, 1)."""
    return flags[:, None, None, None]
