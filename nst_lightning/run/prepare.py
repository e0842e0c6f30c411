"""What of the cases of a run is left to make: identifies the pairs, skips those that are done."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from nst_lightning.errors import UserError
from nst_lightning.grid.masks import mask_problem
from nst_lightning.grid.pairs import Case
from nst_lightning.grid.sources import Source, shape_at, shapes
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.machine_memory import machine_bytes
from nst_lightning.run.devices import check_range, choose_device, resolve
from nst_lightning.run.film_result import remove_frames
from nst_lightning.run.mesh_cost import NO_MESH, mesh_cost
from nst_lightning.run.placement import Room, fits, place
from nst_lightning.run.result_file import too_large
from nst_lightning.run.task import CaseSettings
from nst_lightning.settings import BatchSettings
from nst_lightning.store.fingerprint import (
    INITS,
    Fingerprints,
    content_sha256,
    masks_sha256,
    style_sha256,
)
from nst_lightning.store.input_hashes import InputHashes
from nst_lightning.store.job import Job
from nst_lightning.store.output import Finished
from nst_lightning.vgg.weights import Weights, load_weights


@dataclass(frozen=True)
class PreparedCase:
    """A case whose finished images are known."""

    settings: CaseSettings
    weights: Weights
    todo: list[Job]
    broken: list[tuple[Job, str]]
    """The pairs that cannot be made, each with the reason."""
    done: int

    @property
    def of_films(self) -> bool:
        """Whether what is to be made are films."""
        return any(job.pair.content.film is not None for job in self.todo)

    def largest_image(self) -> int:
        """Returns the pixels of the largest image that is to be made; 0 where there is none."""
        asked = self.settings.asked
        at = (shapes(job.pair.content, asked) for job in self.todo)
        return max((height * width for scales in at for height, width in scales), default=0)


def prepare_cases(
    cases: Sequence[Case], finished: Finished, hashes: InputHashes, *, overwrite: bool
) -> list[PreparedCase]:
    """Sees what the cases have finished and what is left.

    Args:
        cases: what is asked for.
        finished: what the output folder holds.
        hashes: of the inputs; the new ones are kept for the next run.
        overwrite: whether images of other settings or inputs may be replaced.

    Raises:
        UserError: something cannot work for any pair, or is in the way.
    """
    prepared = []
    load, reader = cache(load_weights), cache(ImageReader)
    for case in cases:
        images = reader(case.settings.max_pixels)
        check_start(case.settings, images)
        check_logger(case.settings)
        weights = load(*case.settings.network_weights)
        check_range(case.settings, weights)
        device = choose_device(case.settings.accelerator)
        resolved = resolve(case.settings, device)
        room = memory_of(device, resolved, look=False)
        todo: list[Job] = []
        broken: list[tuple[Job, str]] = []
        done = 0
        for job, problem in identify(case, resolved, weights, hashes, images):
            if problem:
                broken.append((job, problem))
            elif finished.has(job, resolved, overwrite=overwrite):
                done += 1
                if job.pair.content.film:  # of a run that was killed before it could do so
                    remove_frames(finished.out, job)
            elif problem := beyond_memory(job.pair.content, resolved, room):
                broken.append((job, problem))
            else:
                todo.append(job)
        settings = CaseSettings(case.settings, resolved)
        prepared.append(PreparedCase(settings, weights, todo, broken, done))
    hashes.save()
    return prepared


def check_start(settings: BatchSettings, images: ImageReader) -> None:
    """Sees that the image to start from, where one is named, can be read.

    Raises:
        UserError: it cannot.
    """
    if settings.init not in INITS:
        if not Path(settings.init).exists():
            raise UserError(
                f"init {settings.init}: is neither {', '.join(INITS)} nor an image file."
            )
        images.image(Path(settings.init))


def check_logger(settings: BatchSettings) -> None:
    """Sees that what the logger needs is installed.

    Raises:
        UserError: it is not.
    """
    if settings.logger == "tensorboard":
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise UserError(
                "--logger tensorboard needs a package that is not installed: "
                "pip install 'nst-lightning[tensorboard]'."
            ) from None


def memory_of(device: torch.device, settings: BatchSettings, *, look: bool = True) -> Room:
    """Returns the memory beyond which an image is refused.

    Args:
        device: where it is made.
        settings: with the precision resolved.
        look: whether a GPU is looked at, which takes seconds; else it says it when it is full.
    """
    if device.type == "cpu":
        return Room(machine_bytes())
    return Room.before(device, settings) if look else Room(math.inf)


def beyond_memory(content: Source, settings: BatchSettings, room: Room) -> str:
    """Returns why an image cannot be made in the memory that there is; "" where it can.

    Without it, the system would end the whole run, and perhaps others, in the middle of a step.
    """
    if content.shape is None:
        return ""
    height, width = shape_at(content, settings.scales[-1], settings)
    beside = NO_MESH if math.isinf(room.device) else mesh_cost(content, settings)
    if beside.beside(0) > room.host + room.device:
        return (
            f"{content.path}: rendering its views takes about "
            f"{beside.beside(0) / 2**30:.1f} GiB, and there are "
            f"{(room.host + room.device) / 2**30:.1f} here; choose a smaller --view-size or "
            "--texture-size, or fewer --views."
        )
    room = replace(room, device=room.device - beside.bytes)
    placement = place(settings, room, height, width)
    if fits(placement, room):
        return ""
    needed, there = placement.device_bytes, room.device
    if placement.device_bytes <= room.device:
        needed, there = placement.host_bytes, room.host
    other = advice(settings, room, height, width)
    how = f"in tiles of {placement.tile}" if placement.tile else "as a whole"
    return (
        f"{content.path}: a step at {width} x {height} pixels takes about {needed / 2**30:.1f} "
        f"GiB {how}, and there are {there / 2**30:.1f} here; {other}"
    )


def advice(settings: BatchSettings, room: Room, height: int, width: int) -> str:
    """Returns which settings would let an image of this size, or one nearly as large, be made."""
    for changes in (
        {"tile": "auto"},
        {"recompute": True},
        {"tile": "auto", "lbfgs_precision": "bfloat16"},
        {"tile": "auto", "lbfgs_precision": "bfloat16", "lbfgs_memory": 5},
    ):
        new = {name: value for name, value in changes.items() if getattr(settings, name) != value}
        if new and fits(place(settings.model_copy(update=new), room, height, width), room):
            named = [f"--{name.replace('_', '-')} {value}" for name, value in new.items()]
            return f"choose {', '.join(named).replace(' True', '')}, or a smaller --size."
    return "choose a smaller --size."


def identify(
    case: Case,
    resolved: BatchSettings,
    weights: Weights,
    hashes: InputHashes,
    images: ImageReader,
) -> Iterator[tuple[Job, str]]:
    """Yields the pairs of a case as jobs, each with the reason why it cannot be made, if any."""
    fingerprints = Fingerprints(resolved, weights.checksum)
    for pair in case.pairs:
        problem = pair.problem or too_large(pair.content, resolved)
        problem = problem or mask_problem(pair, images)
        shas = ("", "", "")
        if not problem:
            try:
                shas = (
                    content_sha256(pair.content, hashes.of),
                    style_sha256(pair.style, hashes.of),
                    masks_sha256(pair, hashes.of),
                )
            except OSError as error:
                problem = f"{error.filename}: cannot be read ({error.strerror})."
        if problem:
            yield Job(pair, "", "", "", case.labels), problem
        else:
            yield Job(pair, *shas[:2], fingerprints.of(*shas), case.labels, shas[2]), ""
