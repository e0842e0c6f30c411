"""The numbers of a film: how steady it is, and as images four of its frames."""

import math
from collections.abc import Iterator
from functools import partial
from statistics import fmean

from torch import Tensor

from nst_lightning.evaluation.film_metrics import film_metrics
from nst_lightning.evaluation.image_values import Compare, measure
from nst_lightning.evaluation.references import References
from nst_lightning.evaluation.subject import FilmFacts, Subject
from nst_lightning.evaluation.table import Values
from nst_lightning.grid.clips import check_packages, look_through
from nst_lightning.grid.sources import Film, Shape
from nst_lightning.run.film_plan import fading, segments, still_frames
from nst_lightning.run.frame_files import to_tensor
from nst_lightning.video.clip import Clip
from nst_lightning.video.clip_reading import read_frames, scan_clip


def measure_film(
    subject: Subject, facts: FilmFacts, references: References, lpips: Compare | None
) -> Values:
    """Returns the values of a film; those that need a clip that cannot be read are left out.

    Args:
        subject: the film.
        facts: what else is to be known of it.
        references: finds its style, and notes what cannot be read.
        lpips: that metric, where it is to be had.
    """
    path, content = subject.path, subject.content

    def look() -> tuple[Clip, Film | None]:
        check_packages()
        result = scan_clip(path, subject.max_pixels)
        return result, references.attempt(
            content, lambda: look_through(content, facts.settings, facts.out)
        )

    seen = references.attempt(path, look)
    if seen is None:
        return {}
    result, film = seen
    if film is not None and film.clip.frames != result.frames:
        references.warnings[
            f"{path}: has {result.frames} frames, and its clip {content} has {film.clip.frames}; "
            "make it again."
        ] = None
        film = None
    clip = film.clip if film else None
    images = references.attempt(path, lambda: _as_images(subject, result, clip, references, lpips))
    if images is None or film is None:
        return images or {}
    steady = references.attempt(content, lambda: _steadiness(result, film, facts.settings.segment))
    return {**images, **(steady or {})}


def _as_images(
    subject: Subject, result: Clip, clip: Clip | None, references: References, lpips: Compare | None
) -> Values:
    """Returns the means of what its frames have as images.

    Args:
        subject: the film.
        result: its file.
        clip: what it was made from, where that can be read.
        references: finds its style.
        lpips: that metric, where it is to be had.
    """
    found: list[Values] = []
    for number in still_frames(result.frames):
        image = _still(result, result.shape, number).to(references.device)
        content = None
        if clip is not None:
            read = partial(_still, clip, result.shape, number)
            original = references.attempt(subject.content, read)
            content = None if original is None else references.content_of(original)
        found += measure([subject], image, [content], references, lpips)
    return {
        name: fmean(one[name] for one in found)
        for name in found[0]
        if all(name in one for one in found)
    }


def _steadiness(result: Clip, film: Film, segment: int) -> Values:
    """Returns the columns that only films have.

    Args:
        result: the film.
        film: what it was made from, with as many frames.
        segment: frames of a segment, as the setting of that name says.
    """
    frames = _images(film.clip, result.shape, 0, result.frames)
    results = _images(result, result.shape, 0, result.frames)
    found = film_metrics(frames, results, film.cuts, fading(segments(film, segment)))
    values = {
        "e_warp": found.e_warp,
        "e_warp_input": found.e_warp_input,
        "e_warp_ratio": found.e_warp / found.e_warp_input if found.e_warp_input else math.nan,
        "join_ratio": found.join_ratio,
        "revealed_change": found.revealed_change,
        "luma_drift": found.luma_drift,
        "first_rms": found.first_rms,
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _images(clip: Clip, shape: Shape, start: int, stop: int) -> Iterator[Tensor]:
    """Yields frames of a clip at a size, (1, 3, H, W) in [0, 1]."""
    return (to_tensor(levels, shape) for levels in read_frames(clip, start, stop))


def _still(clip: Clip, shape: Shape, number: int) -> Tensor:
    """Returns one frame of a clip at a size, (1, 3, H, W) in [0, 1]."""
    (image,) = _images(clip, shape, number, number + 1)
    return image
