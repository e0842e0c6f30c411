"""The EXIF of a photograph that may be handed on: when, with what and where. Imports no torch."""

from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from nst_lightning.imaging.metadata import Exif
from nst_lightning.imaging.opening import load, opened

_FIRST = (Base.Make, Base.Model, Base.DateTime)
_CAMERA = (
    Base.DateTimeOriginal, Base.DateTimeDigitized,
    Base.OffsetTime, Base.OffsetTimeOriginal, Base.OffsetTimeDigitized,
    Base.SubsecTime, Base.SubsecTimeOriginal, Base.SubsecTimeDigitized,
    Base.ExposureTime, Base.FNumber, Base.ExposureProgram, Base.ISOSpeedRatings,
    Base.SensitivityType, Base.RecommendedExposureIndex,
    Base.ShutterSpeedValue, Base.ApertureValue, Base.BrightnessValue, Base.ExposureBiasValue,
    Base.MaxApertureValue, Base.SubjectDistance, Base.MeteringMode, Base.LightSource, Base.Flash,
    Base.FocalLength, Base.FocalLengthIn35mmFilm, Base.ExposureMode, Base.WhiteBalance,
    Base.DigitalZoomRatio, Base.SceneCaptureType,
    Base.LensSpecification, Base.LensMake, Base.LensModel,
)  # fmt: skip

_LONGEST = 1000
"""Bytes of one value, so that all of them fit into a JPEG, which has room for 64 KiB."""


def read_exif(path: Path, *, max_pixels: int) -> Exif:
    """Reads date, camera (make, model, lens, exposure) and GPS position of an image.

    They are {} without EXIF or with one that is damaged.

    Orientation, size, thumbnail, maker notes, owner and serial numbers are not among them.

    Raises:
        UserError: the file cannot be read.
    """
    with opened(path, max_pixels) as image:
        if image.format == "PNG":
            load(image, max_pixels)  # its EXIF may stand behind the pixels
        try:
            exif = image.getexif()
            tables = (
                (None, dict(exif), _FIRST),
                (IFD.Exif, exif.get_ifd(IFD.Exif), _CAMERA),
                (IFD.GPSInfo, exif.get_ifd(IFD.GPSInfo), tuple(GPS)),
            )
        except Exception:  # damaged EXIF raises nearly anything, and the pixels may be fine
            return {}
    kept: dict[int, Any] = {}
    for where, found, tags in tables:
        chosen = {int(tag): found[tag] for tag in tags if tag in found}
        chosen = {tag: value for tag, value in chosen.items() if _can_be_written(tag, value, where)}
        if where is None:
            kept |= chosen
        elif chosen:
            kept[int(where)] = chosen
    return kept


def exif_block(kept: Exif) -> bytes:
    """Returns the block that JPEG, WebP and PNG hold, with its `Exif` mark; b"" for nothing."""
    if not kept:
        return b""
    exif = Image.Exif()
    for tag, value in kept.items():
        exif[tag] = value
    return exif.tobytes()


def _can_be_written(tag: int, value: Any, where: IFD | None) -> bool:
    """Returns whether a tag can have such a value: cameras write all sorts of things."""
    try:
        block = exif_block({tag: value} if where is None else {int(where): {tag: value}})
    except Exception:  # Pillow lets out struct.error, TypeError, ValueError and others
        return False
    return len(block) <= _LONGEST
