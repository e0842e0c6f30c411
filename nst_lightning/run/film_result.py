"""Puts the frames of a film together: the film itself, its stills and what is recorded of it."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.files import check_inside, write_text
from nst_lightning.grid.sources import Film, Shape, shape_at
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.metadata import Metadata
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.resize import resize
from nst_lightning.imaging.writing import write_image
from nst_lightning.layout import (
    KEPT_FRAMES,
    PREVIEW,
    STILLS,
    STILLS_BEFORE,
    frame_name,
    settings_beside,
)
from nst_lightning.run.film_plan import Segment, mixing, segments_of, still_frames
from nst_lightning.run.frame_files import (
    frames_folder,
    read_facts,
    read_frame,
    segment_folder,
    to_tensor,
)
from nst_lightning.run.task import CaseSettings, RunOptions
from nst_lightning.settings import dump_yaml
from nst_lightning.store.job import Job
from nst_lightning.store.output import record_in_image
from nst_lightning.store.records import Record
from nst_lightning.video.clip_reading import read_frames
from nst_lightning.video.clip_writing import write_clip
from nst_lightning.video.frames_writing import write_frames_folder

STILL = 384
"""The longest side of each of four stills that show a film, in pixels."""

_PREVIEW_QUALITY = 60


def is_made(out: Path, job: Job, segment: Segment) -> bool:
    """Whether all frames of a segment are there."""
    folder = segment_folder(out, job, segment)
    return all((folder / frame_name(k)).is_file() for k in range(segment.begin, segment.stop))


def left_to_make(out: Path, job: Job, case: CaseSettings) -> list[Segment]:
    """Returns the segments of a pair that have frames which are not there."""
    every = segments_of(job.pair.content, case.resolved)
    return [segment for segment in every if not is_made(out, job, segment)]


def film_facts(out: Path, job: Job, case: CaseSettings) -> dict[str, Any]:
    """Returns what a record says of how the frames of a film were made: the means of their losses,
    and the steps and seconds of all."""
    each = [
        read_facts(segment_folder(out, job, segment) / frame_name(number))
        for segment in segments_of(job.pair.content, case.resolved)
        for number in range(segment.begin, segment.stop)
    ]
    return {
        "losses": _means([one.get("losses", {}) for one in each]),
        "unweighted": _means([one.get("unweighted", {}) for one in each]),
        "steps": sum(one.get("steps", 0) for one in each),
        "seconds": round(sum(one.get("seconds", 0.0) for one in each), 3),
        "frames": cast(Film, job.pair.content.film).clip.frames,
    }


def _means(each: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Returns the mean of each number over those that have it."""
    names = dict.fromkeys(name for one in each for name in one)
    known = {name: [v for one in each if (v := one.get(name)) is not None] for name in names}
    return {name: sum(values) / len(values) if values else None for name, values in known.items()}


def frames_of(out: Path, job: Job, case: CaseSettings) -> Iterator["np.ndarray[Any, Any]"]:
    """Yields the finished frames of a film, (H, W, 3): uint8, or uint16 where its clip has more
    than 8 bits. Where a segment is faded into the next, both are mixed.

    Raises:
        UserError: a frame is gone.
    """
    film = cast(Film, job.pair.content.film)
    shape = shape_at(job.pair.content, case.resolved.scales[-1], case.resolved)
    every = segments_of(job.pair.content, case.resolved)
    for number in range(film.clip.frames):
        mixed: Tensor | None = None
        for segment, share in mixing(every, number):
            path = segment_folder(out, job, segment) / frame_name(number)
            frame = read_frame(path, shape)
            if frame is None:
                path.unlink(missing_ok=True)  # so that it is made again
                raise UserError(f"{path}: is gone or damaged; run the same command again.")
            mixed = share * frame if mixed is None else mixed + share * frame
        yield levels_of(cast(Tensor, mixed), film.clip.image_bits)


def levels_of(frame: Tensor, bits: int) -> "np.ndarray[Any, Any]":
    """Returns a frame (1, 3, H, W) in [0, 1] as (H, W, 3): uint8 for 8 bits, uint16 for 16."""
    levels = to_levels(frame[0], bits).permute(1, 2, 0)
    return levels.contiguous().numpy().astype(np.uint8 if bits == 8 else np.uint16)


def write_film_result(
    job: Job, case: CaseSettings, options: RunOptions, record: Record
) -> tuple[Record, list[str]]:
    """Writes the film of a pair whose frames are all there, with its record inside, after what
    belongs to it: where a film is, all is. Then removes the frames.

    Returns:
        The record with the size of the file, and sentences on what could not be kept of the clip.

    Raises:
        UserError: a frame is gone, or the clip can no longer be read.
        OSError: a file cannot be written.
    """
    out, settings = options.out, case.resolved
    film = cast(Film, job.pair.content.film)
    path, folder = out / job.pair.output, out / job.pair.extras
    check_inside(out, path.parent)
    check_inside(out, folder)
    write_stills(folder, out, job, case)
    if options.write_settings:
        write_text(settings_beside(path), dump_yaml(case.asked))
    if settings.keep_frames:
        keep_frames(folder / KEPT_FRAMES, out, job, case)
    (folder / PREVIEW).unlink(missing_ok=True)
    notes = write_clip(
        path,
        frames_of(out, job, case),
        film.clip,
        quality=settings.film_quality,
        codec=settings.clip_codec,
        bits=film.clip.bits,
        comment=record.text(),
    )
    remove_frames(out, job)
    return record.with_facts(bytes=path.stat().st_size), notes


def remove_frames(out: Path, job: Job) -> None:
    """Removes the frames from which the film of a pair was put together."""
    shutil.rmtree(frames_folder(out, job), ignore_errors=True)


def found_made(out: Path, job: Job) -> Record | None:
    """Returns the record of the film of a pair where another run has made it meanwhile, and removes
    the frames that were made beside it; None where there is no such film."""
    path = out / job.pair.output
    record = record_in_image(path) if path.is_file() else None
    if record is None or record.fingerprint != job.fingerprint:
        return None
    remove_frames(out, job)
    return record.with_facts(bytes=path.stat().st_size)


def write_stills(folder: Path, out: Path, job: Job, case: CaseSettings) -> None:
    """Writes four frames of the film, two by two, and the same of its clip."""
    film = cast(Film, job.pair.content.film)
    shape = shape_at(job.pair.content, case.resolved.scales[-1], case.resolved)
    every = segments_of(job.pair.content, case.resolved)
    after, before = [], []
    for number in still_frames(film.clip.frames):
        segment = max(mixing(every, number), key=lambda one: one[1])[0]
        frame = read_frame(segment_folder(out, job, segment) / frame_name(number), shape)
        (levels,) = read_frames(film.clip, number, number + 1)
        original = to_tensor(levels, shape)
        after.append(original if frame is None else frame)
        before.append(original)
    for name, stills in ((STILLS_BEFORE, before), (STILLS, after)):
        metadata = Metadata(profile=srgb_profile())
        write_image(folder / name, _two_by_two(stills, shape), None, metadata)


def _two_by_two(images: Sequence[Tensor], shape: Shape) -> Tensor:
    """Returns four images (1, 3, H, W) side by side and below one another, made small."""
    by = min(1.0, STILL / max(shape))
    small = [resize(one, *(max(1, round(by * side)) for side in shape)) for one in images]
    rows = [torch.cat(small[k : k + 2], dim=-1) for k in (0, 2)]
    return torch.cat(rows, dim=-2)[0]


def keep_frames(folder: Path, out: Path, job: Job, case: CaseSettings) -> None:
    """Writes the finished frames as numbered images."""
    check_inside(out, folder)
    bits = cast(Film, job.pair.content.film).clip.image_bits
    write_frames_folder(folder, frames_of(out, job, case), bits=bits)


def write_preview(out: Path, job: Job, case: CaseSettings, segment: Segment) -> None:
    """Writes what there is of a segment as a film to look at.

    Raises:
        OSError: it cannot be written.
    """
    film = cast(Film, job.pair.content.film)
    shape = shape_at(job.pair.content, case.resolved.scales[-1], case.resolved)
    folder = segment_folder(out, job, segment)
    frames = []
    for number in range(segment.begin, segment.stop):
        frame = read_frame(folder / frame_name(number), shape)
        if frame is None:
            break
        frames.append(levels_of(frame, 8))
    if not frames:
        return
    times = film.clip.times[segment.begin : segment.begin + len(frames)]
    clip = replace(film.clip, times=times, audio=(), others=())
    path = out / job.pair.extras / PREVIEW
    check_inside(out, path.parent)
    write_clip(path, frames, clip, quality=_PREVIEW_QUALITY)
