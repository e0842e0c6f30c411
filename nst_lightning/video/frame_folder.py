"""Folders of numbered frames, such as frame-0001.png, are clips too."""

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from nst_lightning.errors import UserError
from nst_lightning.formats import CLIP_SUFFIXES, READABLE_SUFFIXES
from nst_lightning.imaging.decoding import decode_on_white
from nst_lightning.imaging.metadata import image_size
from nst_lightning.video.clip import Clip

_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d+)", re.DOTALL)

DEFAULT_RATE = Fraction(25)
"""Frames a second, as ffmpeg takes numbered images."""


def is_frame_folder(path: Path) -> bool:
    """Whether a path is a folder of frames: it holds no film, and two images or more of one prefix
    whose names end in numbers."""
    try:
        return (
            path.is_dir()
            and not any(one.suffix.lower() in CLIP_SUFFIXES for one in path.iterdir())
            and any(len(numbered) > 1 for numbered in _numbered(path).values())
        )
    except OSError:
        return False


def scan_frames(path: Path, max_pixels: int, rate: Fraction = DEFAULT_RATE) -> Clip:
    """Returns the clip that a folder of numbered frames is, in order of their numbers.

    Numbers may be left out. Only the headers of the images are read.

    Args:
        path: of the folder.
        max_pixels: that a frame may have.
        rate: frames a second.

    Raises:
        UserError: it is no such folder, its frames have several prefixes or two the same number,
            one cannot be read, or their sizes differ.
    """
    try:
        images = _frames(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    shape = image_size(images[0], max_pixels=max_pixels)
    for image in images[1:]:
        other = image_size(image, max_pixels=max_pixels)
        if other != shape:
            raise UserError(
                f"{image}: is {other[1]} x {other[0]} pixels and the frames before it are "
                f"{shape[1]} x {shape[0]}; bring them to one size."
            )
    return Clip(
        path=path,
        shape=shape,
        times=tuple(range(len(images))),
        last=1,
        time_base=1 / rate,
        rate=rate,
        images=tuple(images),
    )


def gaps(clip: Clip) -> list[tuple[int, int]]:
    """Returns the numbers that are missing between those of a folder's frames, as the first and the
    last of each gap; none where all lie equally far apart, and for a film. Numbers may go up by
    more than one: by the largest that fits all."""
    names = [cast(re.Match[str], _NUMBERED.fullmatch(image.stem)) for image in clip.images]
    numbers = [int(name["number"]) for name in names]
    apart = gcd(*(after - before for before, after in pairwise(numbers)))
    return [
        (before + apart, after - apart)
        for before, after in pairwise(numbers)
        if after - before > apart
    ]


def read_images(clip: Clip, start: int, stop: int) -> Iterator[npt.NDArray[Any]]:
    """Yields the frames start ... stop - 1 of a folder as RGB (H, W, 3) uint8, on white where they
    are transparent.

    Raises:
        UserError: one cannot be read, or is no longer of the clip's size.
    """
    height, width = clip.shape
    for image in clip.images[start:stop]:
        frame = np.asarray(decode_on_white(image, max_pixels=height * width))
        if frame.shape[:2] != clip.shape:
            raise UserError(f"{image}: has changed since its clip was looked through; start anew.")
        yield frame


def _numbered(folder: Path) -> dict[str, list[tuple[int, Path]]]:
    """Returns the numbered images of a folder by their prefix; hidden files are none."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.iterdir()):
        name = _NUMBERED.fullmatch(path.stem)
        if name and path.suffix.lower() in READABLE_SUFFIXES and not path.name.startswith("."):
            found.setdefault(name["prefix"], []).append((int(name["number"]), path))
    return found


def _frames(folder: Path) -> list[Path]:
    """Returns the frames of a folder in order of their numbers.

    Raises:
        UserError: there are none, their prefixes differ, or two have the same number.
        OSError: the folder cannot be read.
    """
    found = _numbered(folder)
    if not found:
        raise UserError(
            f"{folder}: holds no numbered frames; name a film, or a folder of images whose names "
            "end in numbers, such as frame-0001.png."
        )
    numbered, *others = (sorted(images) for images in found.values())
    if others:
        raise UserError(
            f"{folder}: its frames belong to more than one clip ({numbered[0][1].name}, "
            f"{others[0][0][1].name}); put each clip's frames into a folder of their own."
        )
    for (number, one), (next_number, other) in pairwise(numbered):
        if number == next_number:
            raise UserError(f"{other}: has the same number as {one.name}; keep one of them.")
    return [path for _, path in numbered]
