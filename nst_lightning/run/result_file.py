"""Turns an optimised image into the file that the settings ask for."""

from pathlib import Path

from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.formats import RESULT_FORMATS
from nst_lightning.grid.sources import Film, Source, shape_at
from nst_lightning.imaging.exif import read_exif
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.imaging.metadata import Metadata, has_room
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.writing import write_image
from nst_lightning.machine_memory import machine_bytes
from nst_lightning.settings import BatchSettings
from nst_lightning.store.output import RECORD_KEY
from nst_lightning.store.records import Record
from nst_lightning.transfer.detail import add_detail
from nst_lightning.video.clip_codecs import check_codec

FINISH_BYTES = 100
"""Memory for each pixel of a content that `finish` takes, the content among it: 96 as measured."""


def too_large(content: Source, settings: BatchSettings) -> str:
    """Returns why the result of a content cannot be a file of the format, or not be finished in
    this machine's memory; "" where it can."""
    if content.shape is None or content.model is not None:  # a mesh keeps its format
        return ""
    if content.film is not None:
        return film_problem(content, content.film, settings)
    height, width = content.shape
    finished = settings.finish != "none"
    if not finished:
        height, width = shape_at(content, settings.scales[-1], settings)
    side = max(height, width)
    if side > RESULT_FORMATS[settings.format].longest_side:
        *some, last = (
            name
            for name, known in RESULT_FORMATS.items()
            if known.longest_side >= side and settings.bit_depth in known.bits
        )
        smaller = "leave out --finish" if finished else "choose a smaller --size"
        return (
            f"{content.path}: its result would be {width} x {height} pixels, and "
            f"{settings.format} holds {RESULT_FORMATS[settings.format].longest_side} a side; "
            f"choose --format {', '.join(some)} or {last}, or {smaller}."
        )
    needed, here = height * width * FINISH_BYTES if finished else 0, machine_bytes()
    if needed > here:
        return (
            f"{content.path}: finishing its result at {width} x {height} pixels takes about "
            f"{needed / 2**30:.1f} GiB, and there are {here / 2**30:.1f} here; leave out --finish."
        )
    return ""


def film_problem(content: Source, film: Film, settings: BatchSettings) -> str:
    """Returns why the result of a film cannot be coded as it is asked for; "" where it can."""
    path = content.path.with_suffix(f".{settings.container}")
    shape = shape_at(content, settings.scales[-1], settings)
    try:
        check_codec(path, settings.clip_codec, shape, film.clip.bits)
    except UserError as error:
        return str(error)
    return ""


def finish_image(
    image: Tensor,
    alpha: Tensor | None,
    content: Path,
    settings: BatchSettings,
    images: ImageReader,
) -> tuple[Tensor, Tensor | None]:
    """Applies `finish` to an optimised image and returns it, (3, H, W) in [0, 1], with its alpha.

    Args:
        image: (3, h, w) in [0, 1].
        alpha: (1, 1, h, w) or None.
        content: the photograph's file.
        settings: `finish`, `preserve_color`.
        images: where the photograph comes from.

    Raises:
        UserError: the content can no longer be read.
    """
    if settings.finish == "none":
        return image, alpha
    original = images.image(content)
    height, width = original.rgb.shape[-2:]
    if image.shape[-2] >= height and image.shape[-1] >= width:
        return image, alpha
    keep = settings.preserve_color == "luminance"
    return add_detail(image[None], original.rgb, keep_colours=keep)[0], original.alpha


def write_result(
    path: Path,
    image: Tensor,
    alpha: Tensor | None,
    content: Path,
    settings: BatchSettings,
    record: Record,
) -> None:
    """Writes a result, whole or not at all, with its record inside.

    Args:
        path: its file; the folder is made if need be.
        image: (3, H, W) in [0, 1].
        alpha: (1, 1, H, W) in [0, 1]; a format without it shows the image on white.
        content: the photograph's file, for its EXIF.
        settings: `format`, `quality`, `bit_depth`, `dither`, `keep_exif`.
        record: the pair's line in the manifest.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    if alpha is not None and not RESULT_FORMATS[settings.format].alpha:
        image, alpha = image * alpha[0] + (1 - alpha[0]), None
    exif = read_exif(content, max_pixels=settings.max_pixels) if settings.keep_exif else {}
    texts = {RECORD_KEY: fitting(record, settings)}
    write_image(
        path,
        image,
        alpha,
        Metadata(texts, exif, srgb_profile()),
        format=settings.format,
        bits=settings.bit_depth,
        quality=settings.quality,
        dither=settings.dither,
    )


def fitting(record: Record, settings: BatchSettings) -> str:
    """Returns a record as text: without its settings where the format has no room for them, as is
    the case with thousands of steps in `save_at`; the manifest has them all the same."""
    text = record.text()
    if has_room(settings.format, {RECORD_KEY: text}):
        return text
    return record.text(leave_out={"settings"})
