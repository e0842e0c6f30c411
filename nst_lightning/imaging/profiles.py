"""Colour profiles: from a file's colours to sRGB, and sRGB's own. Imports no torch."""

import io
import itertools
import struct
import warnings
from functools import cache
from pathlib import Path

from PIL import Image, ImageChops, ImageCms

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""The colour spaces of profiles, and the Pillow mode of the pixels they describe."""


def to_srgb(image: Image.Image, profile: bytes | None, path: Path | str) -> Image.Image:
    """Converts an image of 8 bits a channel, without alpha, to "RGB" in sRGB.

    A profile that is damaged or meant for other channels is passed over with a warning; without
    one the colours are taken to be sRGB, and CMYK to be plain (1 - ink)(1 - black).

    Args:
        profile: the embedded ICC profile.
        path: names the file in the warning.
    """
    if image.mode not in _MODES.values():
        image = image.convert("RGB")
    if profile:
        try:
            return _transformed(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        # littlecms and Pillow's wrapper raise OSError, ValueError, TypeError or PyCMSError.
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            warnings.warn(
                f"{path}: its colour profile is passed over ({reason})", UserWarning, stacklevel=2
            )
    if image.mode == "LAB":
        return _transformed(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return image.convert("RGB")


@cache
def srgb_profile() -> bytes:
    """Returns an ICC profile of sRGB, the same bytes every time."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # In its header: when it was made, as six numbers of 16 bits.
    return profile[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


def _transformed(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    space = profile.profile.xcolor_space.strip()
    mode = _MODES.get(space)
    if image.mode == "L" and mode == "RGB":  # gray in a colour space
        image = image.convert("RGB")
    if mode != image.mode:
        raise ValueError(f"it is for {space}, the image is {image.mode}")
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if mode == "RGB" and _keeps_colours(transform):
        return image
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # only None when done in place
    return converted


def _keeps_colours(transform: ImageCms.ImageCmsTransform) -> bool:
    """Returns whether a transform moves no colour by more than one level: it is a form of sRGB.

    Such images, the most common of all, then keep their pixels exactly.
    """
    levels = (0, 32, 64, 96, 128, 160, 192, 224, 255)
    colours = [*itertools.product(levels, repeat=3), *((v, v, v) for v in range(256))]
    probe = Image.frombytes("RGB", (len(colours), 1), bytes(itertools.chain(*colours)))
    moved = ImageCms.applyTransform(probe, transform)
    assert moved is not None
    extrema = ImageChops.difference(probe, moved).getextrema()
    return max(high for _, high in extrema) <= 1  # type: ignore[misc]
