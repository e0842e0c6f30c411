"""What is asked about a GPU, each question as a function from a case to its figures."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from nst_lightning.benchmark.cases import Bench, Figures, Ours
from nst_lightning.benchmark.grid_time import time_grid
from nst_lightning.benchmark.machine import measure_peak
from nst_lightning.benchmark.modes import active, check_mode, dtype_of, setting_of
from nst_lightning.benchmark.rivals import AutogradGradient, TutorialLoop, bare_network
from nst_lightning.benchmark.timing import median_ratio, paired, peak_flops, seconds_of
from nst_lightning.errors import UserError
from nst_lightning.run.copying import to_device
from nst_lightning.run.cost import step_bytes, step_flops
from nst_lightning.run.devices import batch_size, resolve
from nst_lightning.run.outcome import is_out_of_memory
from nst_lightning.settings import BatchSettings, Scale
from nst_lightning.transfer.module import StyleTransfer, build_network

STARTS = ("content", "noise", "gray")
MOVED = "32-true, moved"
"""A run in 32-true from a start moved by 1e-5: what rounding alone does."""

COMPILE, GRAPH, SEARCH = "torch.compile", "CUDA graph", "cudnn.benchmark"

Step = Callable[[], Tensor]

STEPS_BEFORE = 3
"""Steps made before a variant is timed, in which it is made ready."""


@dataclass(frozen=True)
class Asked:
    """How much is measured."""

    sizes: list[int]
    """Sides of square images."""
    batches: list[int]
    modes: list[str]
    """Of `MODES`; the first is what questions of one precision are asked in."""
    rounds: int
    large: int
    """The side of the image whose memory is asked for."""
    grid: Scale
    """Size and steps of the images of a grid."""
    pairs: int
    """Of the grid."""
    exact: Scale
    """Size and steps of the runs whose losses are compared."""


@dataclass
class Subject:
    """What is measured.

    bench: with square images.
    settings: of the device.
    asked: how much.
    ends: when the time is over, in seconds of `time.monotonic`.
    """

    bench: Bench
    settings: BatchSettings
    asked: Asked
    ends: float
    peaks: dict[str, float] = field(default_factory=dict)
    exact_totals: dict[str, list[float]] = field(default_factory=dict)

    def peak(self, mode: str) -> float:
        """Returns the operations per second that the device reaches at best in the active mode."""
        if mode not in self.peaks:
            self.peaks[mode] = peak_flops(self.bench.device, dtype_of(mode))
        return self.peaks[mode]

    def settings_in(self, mode: str) -> BatchSettings:
        """Returns the settings with a mode's precision."""
        return self.settings.model_copy(update={"precision": setting_of(mode)})

    @contextmanager
    def mode(self, mode: str) -> Iterator[str]:
        """Makes a mode the active one, and yields the precision that it has in the settings."""
        check_mode(mode, self.settings, self.bench.device)
        with active(mode):
            yield setting_of(mode)


def time_steps(subject: Subject, size: int, batch: int, mode: str) -> Figures:
    """Times our step, the same by autograd, and the bare network, in turns."""
    bench = subject.bench
    with subject.mode(mode) as precision:
        content, _ = bench.images(size, batch)

        def by_autograd() -> Step:
            model = bench.model(size, batch)
            network = build_network(bench.settings, bench.weights)
            model.value_and_gradient = AutogradGradient(network.to(bench.device, dtype_of(mode)))
            return Ours(model, precision).step

        def bare() -> Step:
            args = (bench.weights, bench.settings, content.shape, dtype_of(mode), bench.device)
            return bare_network(*args)

        kinds = {
            "ours": lambda: Ours(bench.model(size, batch), precision).step,
            "autograd": by_autograd,
            "bare": bare,
        }
        calls, too_large = {}, []
        for name, make in kinds.items():
            try:
                step = make()
                step()
                calls[name] = step
            except Exception as error:
                if name == "ours" or not is_out_of_memory(error):
                    raise
                too_large.append(name)
        times = paired(calls, subject.asked.rounds)
        seconds = {name: median(values) for name, values in times.items()}
        per_second = batch * step_flops(bench.settings, size, size) / seconds["ours"]
        return {
            "seconds": seconds,
            "spread": {name: [min(values), max(values)] for name, values in times.items()},
            "evaluations_per_second": batch / seconds["ours"],
            "tflop_per_second": per_second / 1e12,
            "share_of_peak": per_second / subject.peak(mode),
            **{
                f"{name}_over_ours": median_ratio(times[name], times["ours"])
                for name in times
                if name != "ours"
            },
            **({"without": f"{', '.join(too_large)}: out of memory"} if too_large else {}),
        }


def time_tutorial(subject: Subject, size: int) -> Figures:
    """Times the tutorial's loop, which knows one image, with torch's defaults."""
    content, style = subject.bench.images(size)
    loop = TutorialLoop(subject.bench.weights, subject.bench.settings, content, style)
    times = paired({"tutorial": loop.step}, subject.asked.rounds)["tutorial"]
    return {"seconds": median(times), "evaluations_per_second": 1 / median(times)}


def time_variant(subject: Subject, size: int, batch: int, what: str) -> Figures:
    """Times a step made in another way against the plain one, and compares what both draw."""
    bench, mode = subject.bench, subject.asked.modes[0]
    if what == GRAPH and bench.device.type != "cuda":
        raise UserError("CUDA graphs are of CUDA alone.")
    with subject.mode(mode) as precision:
        plain = Ours(bench.model(size, batch, cuda_graphs=False), precision)
        made = bench.model(size, batch, compile=what == COMPILE, cuda_graphs=what == GRAPH)
        other = Ours(made, precision)
        step = partial(searching, other.step) if what == SEARCH else other.step
        began = time.perf_counter()
        for _ in range(STEPS_BEFORE):
            step()
        seconds_of(step)
        prepared = time.perf_counter() - began
        for _ in range(STEPS_BEFORE + 1):
            plain.step()
        difference = float((plain.model.image - other.model.image).detach().abs().max())
        times = paired({"plain": plain.step, what: step}, subject.asked.rounds)
    return {
        "mode": mode,
        "preparation_seconds": prepared,
        "seconds": {name: median(values) for name, values in times.items()},
        "plain_over_it": median_ratio(times["plain"], times[what]),
        "largest_difference": difference,
    }


def searching(step: Step) -> Tensor:
    """Makes a step for which cuDNN has looked for the fastest algorithm of each shape."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        return step()
    finally:
        torch.backends.cudnn.benchmark = before


def compare_memory(subject: Subject, size: int, batch: int, mode: str) -> Figures:
    """Measures the memory of a step against the plan's."""
    with subject.mode(mode) as precision:
        planned = batch * step_bytes(subject.settings_in(mode), size, size)
        peak = measure_peak(subject.bench, size, batch, precision)
    return {
        "planned_bytes": planned, "step_bytes": peak.step, "all_bytes": peak.all,
        "step_over_plan": peak.step / planned,
    }  # fmt: skip


def try_auto_batch(subject: Subject, size: int) -> Figures:
    """Makes a batch as large as `--batch-size auto` chooses, and measures what it takes."""
    mode, device = subject.asked.modes[0], subject.bench.device
    check_mode(mode, subject.settings, device)
    settings = subject.settings_in(mode).model_copy(update={"batch_size": "auto"})
    forget_freed(device)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    chosen = batch_size(settings, device, size, size)
    found = {"mode": mode, "batch": chosen, **compare_memory(subject, size, chosen, mode)}
    return {**found, **({"share_of_free": found["all_bytes"] / free} if free else {})}


def forget_freed(device: torch.device) -> None:
    """Hands freed memory, which this process keeps for itself, back to a GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def time_copies(subject: Subject, size: int, batch: int) -> Figures:
    """Times a batch of images on its way to the device, beside a plain copy."""
    device = subject.bench.device
    here = torch.rand(batch, 3, size, size)
    calls: dict[str, Callable[[], Any]] = {
        "ours": partial(to_device, here, device, torch.float32),
        "plain": partial(here.to, device),
    }
    times = paired(calls, subject.asked.rounds)
    return {
        "seconds": {name: median(values) for name, values in times.items()},
        "plain_over_ours": median_ratio(times["plain"], times["ours"]),
    }


def grid_share(subject: Subject, size: int, pairs: int, steps: int) -> Figures:
    """Times a whole `nst-batch grid` of small pairs against its steps alone."""
    bench, precision = subject.bench, resolve(subject.settings, subject.bench.device).precision
    settings = subject.settings.model_copy(update={"precision": precision, "batch_size": "auto"})
    forget_freed(bench.device)
    batch = min(pairs, batch_size(settings, bench.device, size, size))
    alone = 0.0
    for images, times in ((batch, pairs // batch), (pairs % batch, 1)):
        if images:
            ours = Ours(bench.model(size, images), precision)
            alone += times * steps * seconds_a_step(ours, min(steps, 20), subject.asked.rounds)
    forget_freed(bench.device)  # the command below is another process
    found = time_grid(bench, settings, Scale(size=size, steps=steps), pairs, subject.ends)
    return {
        "batch": batch, "precision": precision, "seconds": found.seconds,
        "images_per_hour": 3600 * pairs / found.seconds,
        "seconds_in_batches": found.in_batches,
        "seconds_in_steps": alone, "share_in_steps": alone / found.seconds,
    }  # fmt: skip


def seconds_a_step(ours: Ours, steps: int, rounds: int) -> float:
    """Returns what a step takes where several follow one another without a wait."""

    def several() -> None:
        for _ in range(steps):
            ours.step()

    several()
    return median(seconds_of(several) for _ in range(rounds)) / steps


def compare_losses(subject: Subject, size: int, steps: int, mode: str) -> Figures:
    """Compares final losses, all taken in float32, with those in 32-true, from several starts."""
    if not subject.exact_totals:
        subject.exact_totals["32-true"] = final_totals(subject, size, steps, "32-true")
    totals = final_totals(subject, size, steps, mode)
    return spread_of([a / b for a, b in zip(totals, subject.exact_totals["32-true"], strict=True)])


def final_totals(subject: Subject, size: int, steps: int, mode: str) -> list[float]:
    """Returns the float32 losses after so many steps, from each of the `STARTS`."""
    bench, totals = subject.bench, []
    for start in STARTS:
        with subject.mode("32-true" if mode == MOVED else mode) as precision:
            model = bench.model(size, settings=bench.settings.model_copy(update={"init": start}))
            if mode == MOVED:
                with torch.no_grad():
                    moved = model.image + 1e-5 * torch.randn_like(model.image)
                    model.image.copy_(moved.clamp(0, 1))
            ours = Ours(model, precision)
            for _ in range(steps):
                ours.step()
        totals += totals_of(model)
    return totals


@torch.no_grad()
def totals_of(model: StyleTransfer) -> list[float]:
    """Returns the loss of each image as it stands, in float32."""
    with active("32-true"):
        return [float(total) for total in model.evaluate(model.image)["total"]]


def compare_company(subject: Subject, size: int, steps: int, batch: int, mode: str) -> Figures:
    """Compares the final losses of a batch with those of its images alone."""
    with subject.mode(mode) as precision:

        def final(which: slice) -> list[float]:
            ours = Ours(subject.bench.model(size, batch, which=which), precision)
            for _ in range(steps):
                ours.step()
            return totals_of(ours.model)

        together = final(slice(None))
        alone = [final(slice(k, k + 1))[0] for k in range(batch)]
    return spread_of([a / b for a, b in zip(together, alone, strict=True)])


def spread_of(ratios: list[float]) -> Figures:
    """Returns the course of ratios."""
    return {
        "runs": len(ratios), "mean": fmean(ratios), "smallest": min(ratios), "largest": max(ratios)
    }  # fmt: skip
