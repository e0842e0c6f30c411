"""The benchmark's questions: what a step costs, and when a loss is reached."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from nst_lightning.benchmark.rivals import TutorialLoop, bare_network
from nst_lightning.benchmark.timing import median_ratio, paired, peak_flops, seconds_of
from nst_lightning.imaging.reading import load_image
from nst_lightning.imaging.resize import resize
from nst_lightning.run.cost import step_flops
from nst_lightning.run.devices import DTYPES, choose_device
from nst_lightning.settings import BatchSettings, Scale, TransferSettings
from nst_lightning.settings.sizes import fit
from nst_lightning.transfer.module import StyleTransfer, build_network
from nst_lightning.vgg.weights import Weights, load_weights

Figures = dict[str, Any]


class Ours:
    """StyleTransfer's own step, without the Trainer around it (0.2 ms a step).

    Args:
        model: on its device.
        precision: a key of `DTYPES`.
    """

    def __init__(self, model: StyleTransfer, precision: str) -> None:
        self.model = model
        self.dtype = DTYPES[precision]
        self.optimizer = model.configure_optimizers()
        self.done = 0

    def step(self) -> Tensor:
        """Makes one evaluation and one step; returns the losses at its start, (B,)."""
        self.done += 1
        low = self.dtype in (torch.float16, torch.bfloat16)
        with torch.autocast(self.model.image.device.type, self.dtype, enabled=low):
            self.model.make_step(self.optimizer, self.done)
        return self.model.losses["total"]


@torch.no_grad()
def true_terms(model: StyleTransfer) -> dict[str, float]:
    """Returns the terms of the loss of the image as it stands, in float32."""
    return {name: float(value[0]) for name, value in model.evaluate(model.image).items()}


class Bench:
    """What all cases share.

    Args:
        weights: of the network.
        settings: layers, weights and formulas of the losses.
        content: (1, 3, H, W) in [0, 1], of any size.
        style: (1, 3, h, w) in [0, 1].
        device: where to run.
        precisions: keys of `DTYPES` to run.
    """

    def __init__(
        self,
        weights: Weights,
        settings: TransferSettings,
        content: Tensor,
        style: Tensor,
        device: torch.device,
        precisions: Sequence[str],
    ) -> None:
        self.weights = weights
        self.settings = settings
        self.content, self.style = content, style
        self.device = device
        self.precisions = precisions
        self.network = build_network(settings, weights).to(device)

    @classmethod
    def load(
        cls, settings: BatchSettings, content: Path, style: Path, precisions: Sequence[str]
    ) -> "Bench":
        """Reads weights and images, for the device that the settings choose.

        Raises:
            UserError: one of them cannot be had.
        """
        weights = load_weights(*settings.network_weights)
        device = choose_device(settings.accelerator)
        return cls(weights, settings, load_image(content), load_image(style), device, precisions)

    @cached_property
    def peaks(self) -> dict[str, float]:
        """The operations per second that this device reaches at best, by precision."""
        return {name: peak_flops(self.device, DTYPES[name]) for name in self.precisions}

    def images(self, size: int, batch: int = 1) -> tuple[Tensor, Tensor]:
        """Returns contents, (batch, 3, H, W), and the style with a longest side of `size`.

        The contents of a batch differ: each after the first is turned further to the right.
        """
        small = []
        for image in (self.content, self.style):
            height, width = image.shape[-2:]
            small.append(resize(image, *fit(height, width, size, upscale=True)))
        content, style = small
        shifts = [k * content.shape[-1] // batch for k in range(batch)]
        contents = torch.cat([content.roll(shift, -1) for shift in shifts])
        return contents.to(self.device), style.to(self.device)

    def model(
        self,
        size: int,
        batch: int = 1,
        *,
        settings: TransferSettings | None = None,
        image: Tensor | None = None,
        which: slice = slice(None),
        compile: bool = False,
        cuda_graphs: bool = True,
    ) -> StyleTransfer:
        """Returns our module at one size.

        Args:
            size: the longest side.
            batch: images.
            settings: other ones.
            image: the start, of any size.
            which: of the batch's images, to have them without the others.
            compile: use torch.compile.
            cuda_graphs: make steps as CUDA graphs.
        """
        content, style = self.images(size, batch)
        init = None if image is None else resize(image, *content.shape[-2:])
        model = StyleTransfer.from_images(
            content[which],
            style,
            settings or self.settings,
            network=self.network,
            init=init,
            compile=compile,
            cuda_graphs=cuda_graphs,
        ).to(self.device)
        model.prepare()
        return model

    def steps(self, size: int, batch: int, rounds: int) -> Figures:
        """Times a step of each kind, alternating: the tutorial's, the bare network's, ours."""
        content, style = self.images(size, batch)
        calls: dict[str, Any] = {}
        if batch == 1:
            tutorial = TutorialLoop(self.weights, self.settings, content, style)
            calls["tutorial"] = tutorial.step
        for precision in self.precisions:
            calls[f"bare {precision}"] = bare_network(
                self.weights, self.settings, content.shape, DTYPES[precision], self.device
            )
            calls[f"ours {precision}"] = Ours(self.model(size, batch), precision).step
        times = paired(calls, rounds)
        seconds = {name: median(values) for name, values in times.items()}
        height, width = content.shape[-2:]
        flops = batch * step_flops(self.settings, height, width)
        found: Figures = {
            "size": size, "width": width, "height": height, "batch": batch, "rounds": rounds,
            "seconds": seconds,
            "spread": {name: [min(values), max(values)] for name, values in times.items()},
            "ours": {},
        }  # fmt: skip
        for precision in self.precisions:
            ours = seconds[f"ours {precision}"]
            found["ours"][precision] = {
                "over_bare": median_ratio(times[f"ours {precision}"], times[f"bare {precision}"]),
                "under_tutorial": median_ratio(times["tutorial"], times[f"ours {precision}"])
                if "tutorial" in times
                else None,
                "evaluations_per_second": batch / ours,
                "images_per_hour_of_300_steps": 3600 * batch / (300 * ours),
                "tflop_per_second": flops / ours / 1e12,
                "share_of_peak": flops / ours / self.peaks[precision],
            }
        return found

    def until(self, size: int, evaluations: int, scales: Sequence[Sequence[Scale]]) -> Figures:
        """Times how long it takes to the loss that the tutorial has after so many evaluations.

        Ours counts as there once its float32 loss is at most 1 % above; that loss is looked at
        every ten steps, outside the time. Then the same from coarse to fine, for each list of
        scales: how near it ends.
        """
        content, style = self.images(size)
        tutorial = TutorialLoop(self.weights, self.settings, content, style)
        spent = sum(seconds_of(tutorial.step) for _ in range(evaluations))
        with torch.no_grad():
            model = self.model(size)
            model.image.copy_(tutorial.image.detach().clamp(0, 1))
        goal = true_terms(model)
        found: Figures = {
            "size": size, "evaluations": evaluations,
            "tutorial": {"seconds": spent, **goal}, "ours": {}, "scales": {},
        }  # fmt: skip
        for precision in self.precisions:
            ours = Ours(self.model(size), precision)
            seconds, steps, terms = 0.0, 0, {"total": float("inf")}
            while steps < 2 * evaluations and terms["total"] > 1.01 * goal["total"]:
                seconds += sum(seconds_of(ours.step) for _ in range(10))
                steps += 10
                terms = true_terms(ours.model)
            found["ours"][precision] = {
                "seconds": seconds, "steps": steps, "share": seconds / spent, **terms,
                "reached": terms["total"] <= 1.01 * goal["total"],
            }  # fmt: skip
        for some in scales:
            text = ",".join(f"{s.size}:{s.steps}:{s.content_weight:g}" for s in some)
            found["scales"][text] = self._from_coarse(some, spent)
        return found

    def _from_coarse(self, scales: Sequence[Scale], spent: float) -> Figures:
        """Times one run from coarse to fine, in the last of the precisions."""
        image, seconds = None, 0.0
        for scale in scales:
            settings = self.settings.at(scale)
            model = self.model(scale.longest, settings=settings, image=image)
            ours = Ours(model, self.precisions[-1])
            seconds += sum(seconds_of(ours.step) for _ in range(scale.steps))
            image = ours.model.image.detach()
        terms = true_terms(self.model(scales[-1].longest, image=image))
        return {"seconds": seconds, "share": seconds / spent, **terms}
