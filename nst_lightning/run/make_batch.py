"""Makes a batch at all its scales, in memory: for a worker, which writes, and for `stylize`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import lightning as L
import torch
from torch import Tensor

from nst_lightning.callbacks.saved_state import SavedState
from nst_lightning.grid.sources import shape_at
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.run.batch_run import BatchRun
from nst_lightning.run.devices import check_range
from nst_lightning.run.inputs import Inputs
from nst_lightning.run.outcome import Stylised
from nst_lightning.run.trainer import fit
from nst_lightning.settings import BatchSettings, Pass
from nst_lightning.store.job import Job
from nst_lightning.transfer.module import StyleTransfer, build_network
from nst_lightning.vgg.weights import Weights
from nst_lightning.video.temporal_target import Temporal


def make_inputs(
    settings: BatchSettings,
    weights: Weights,
    device: torch.device,
    images: ImageReader | None = None,
    processes: int = 1,
) -> Inputs:
    """Returns what batches are made from, with the network, on a device.

    Args:
        settings: with what each `auto` means on this device.
        weights: of the network that they ask for.
        device: that the batches are made on.
        images: where images and masks come from; by default their files.
        processes: how many make an image together.

    Raises:
        UserError: weights that the precision is too small for.
    """
    check_range(settings, weights)
    dtype = torch.float64 if settings.precision == "64-true" else torch.float32
    network = build_network(settings, weights).to(device)
    return Inputs(network, settings, device, dtype, images, processes)


def make_batch(
    inputs: Inputs,
    batch: BatchRun,
    callbacks: Callable[[], list[L.Callback]],
    state: SavedState | None = None,
    *,
    image: Tensor | None = None,
    curvature: Tensor | None = None,
    temporal: Temporal | None = None,
) -> list[Stylised]:
    """Makes a batch at all its scales that are not finished, one fit each.

    Args:
        inputs: what its images are made from.
        batch: how far it has come.
        callbacks: returns those of a scale's fit, beside what `batch` records; the last one sees
            each step when all others have.
        state: within the first of these scales, to go on from, if there is one.
        image: where the first of these scales starts, (B, 3, H, W) in [0, 1]; by default as the
            settings say.
        curvature: what is known of it, (B,), for the first step.
        temporal: what the frames before say of the images, where they are frames of a film.

    Returns:
        What was made of each pair; an image that diverged says so.

    Raises:
        SIGTERMException: the process got that signal and Lightning noticed first.
    """
    model: StyleTransfer | None = None
    before: Pass | None = None
    for scale in batch.remaining_passes():
        model = None  # whose memory the next one may need
        if image is not None and before is not None:
            image = inputs.brought_to(image, batch.jobs[0], before, scale)
        model, alphas = make_model(inputs, batch.jobs, scale, image, curvature, temporal)
        watching = [*batch.recorders(), *callbacks()]
        fit(model, inputs.settings, inputs.device, watching, state, inputs.processes)
        state, image, before = None, model.optimised(), scale
        found = model.inverse_curvature()
        curvature = found if inputs.settings.later_first_step == "curvature" else None
        if not batch.finish_pass(model, scale):
            break
    assert model is not None
    assert before is not None
    viewed = inputs.viewed(batch.jobs[0], before)
    made = batch.results(model, alphas, inputs.device, inputs.dtype, viewed)
    known = [None] * len(made) if found is None else found.tolist()
    return [replace(one, curvature=own) for one, own in zip(made, known, strict=True)]


def make_model(
    inputs: Inputs,
    jobs: Sequence[Job],
    scale: Pass,
    image: Tensor | None,
    curvature: Tensor | None = None,
    temporal: Temporal | None = None,
) -> tuple[StyleTransfer, list[Tensor | None]]:
    """Returns the module for one scale of a batch, and the contents' alpha.

    Args:
        inputs: what its images are made from.
        jobs: of one shape.
        scale: at which they are made.
        image: where it starts, from the scale before it.
        curvature: what that scale knows of it, for the first step.
        temporal: what the frames before say of it.
    """
    settings = inputs.settings
    contents = [inputs.content(job, scale) for job in jobs]
    content = torch.cat([loaded.rgb for loaded in contents])
    origin: Tensor | None = None
    if image is None or settings.weighting == "start":
        origin = torch.cat([inputs.start(job, scale) for job in jobs])
    image = cast(Tensor, origin if image is None else image)
    viewed = inputs.viewed(jobs[0], scale)
    placement = inputs.placement(shape_at(jobs[0].pair.content, scale, settings), len(jobs))
    model = StyleTransfer(
        content,
        inputs.targets(jobs, scale),
        settings.at(scale),
        init=image,
        rendering=None if viewed is None else viewed.rendering,
        temporal=temporal,
        origin=origin,
        network=inputs.network,
        steps=scale.steps,
        curvature=curvature,
        recompute=settings.recompute,
        tile=placement.tile,
        history=placement.history,
        compile=settings.compile,
    )
    return model.to(inputs.dtype), [loaded.alpha for loaded in contents]
