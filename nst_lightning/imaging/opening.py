"""Opening image files: every way a file can be wrong, as a sentence. Imports no torch."""

import ctypes
import io
import logging
import re
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError, _imaging

from nst_lightning.errors import UserError
from nst_lightning.formats import (
    CAMERA_RAW,
    FORMATS,
    UNSUPPORTED_MAGIC,
    UNSUPPORTED_SUFFIXES,
)
from nst_lightning.imaging import png
from nst_lightning.machine_memory import machine_bytes

# The only formats Pillow is let try: others run external programs or read no pixels.
_PILLOW_FORMATS = [name.upper() for name in FORMATS]

_PILLOW_LIMIT = threading.RLock()
"""Held while Pillow's own limit, which is global, is replaced by the caller's."""

PIXEL_BYTES = 24
"""Memory that reading an image takes for each pixel at its peak: a PNG of one colour and
13,000 x 13,000 pixels took 21.1, at 4,000 x 4,000 it was 22.0, and 23.3 with alpha, a turn or 16
bits. Of these the tensor takes 12, Pillow's image 4 and the bytes on the way 6."""

# Each file has one sentence of ours; what Pillow has to say beside it is noise. Set once, for files
# are read in many threads, which share the filters.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _quiet_libtiff() -> None:
    """Has libtiff no longer write to the screen by itself: Pillow raises what fails."""
    with suppress(AttributeError, OSError):  # it is not in there, or hidden
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


_quiet_libtiff()


@contextmanager
def opened(path: Path | str, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Opens an image file, with its header read and its size within bounds.

    It is to be decoded inside the `with`: whatever Pillow raises there comes out as a UserError.

    Raises:
        UserError: the file cannot be read, is no image, is damaged or has too many pixels.
    """
    with (
        open_file(path) as file,
        as_sentences(path, max_pixels),
        _identified(path, file, max_pixels) as image,
    ):
        yield image


@contextmanager
def opened_bytes(data: bytes, name: str, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Opens an image that a file holds among other things; see `opened`.

    Args:
        data: the bytes of an image file.
        name: what messages call it.
        max_pixels: see `opened`.
    """
    with (
        io.BytesIO(data) as file,
        as_sentences(name, max_pixels),
        _identified(name, file, max_pixels) as image,
    ):
        yield image


@contextmanager
def as_sentences(path: Path | str, max_pixels: int) -> Iterator[None]:
    """Turns whatever Pillow raises about an image into a UserError.

    Args:
        path: of the image, or what it is called.
        max_pixels: see `opened`.
    """
    try:
        yield
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        found = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_many(path, int(found[1]) if found else 0, max_pixels) from None
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into this machine's memory.") from error
    except OSError as error:
        if error.errno is not None:
            raise _unreadable(path, error) from error
        raise _damaged(path, error) from error
    # Pillow's decoders let out SyntaxError, struct.error, EOFError, ValueError, KeyError and more
    # on a damaged file: there is no list of them.
    except Exception as error:
        raise _damaged(path, error) from error


def load(image: Image.Image, max_pixels: int) -> None:
    """Decodes the pixels of an opened image."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or image.width * image.height <= limit:
        image.load()  # without the lock: many threads may decode at once
    else:  # TIFF's decoder looks at the limit once more
        with _pillow_limit(max_pixels):
            image.load()


def upright_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Returns the (height, width) that an opened image has once it is upright."""
    width, height = image.size
    if image.format == "TIFF":  # Pillow turns its size by EXIF alone, and its pixels by XMP too
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height = tags[256], tags[257]
    return (width, height) if orientation(image) >= 5 else (height, width)


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 to 8, that an image is stored in.

    It is 1 where there is none or the EXIF is damaged. The pixels are decoded for it where it may
    stand behind them, in a PNG; whatever is wrong with them is raised.
    """
    if image.format == "PNG" and "exif" not in image.info:
        file: BinaryIO | None = getattr(image, "fp", None)  # none once the pixels are decoded
        if file is not None and png.has_text_or_exif_after_pixels(file):
            image.load()
    try:
        # Not PngImageFile's, which always decodes the pixels and takes their damage for the EXIF's.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
        return int(value) if value in range(1, 9) else 1
    except MemoryError:
        raise
    except Exception:  # damaged EXIF raises nearly anything, and the pixels may be fine
        return 1


@contextmanager
def open_file(path: Path | str, what: str = "an image") -> Iterator[BinaryIO]:
    """Opens a file to read its bytes; a folder, a pipe or a device is none.

    Args:
        path: of the file.
        what: messages call that which is in it, with its article.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"{path}: is a folder where {what} file is expected.")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
            raise UserError(f"{path}: is not a regular file; copy {what} into one.")
        file = Path(path).open("rb")  # noqa: SIM115
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def _identified(path: Path | str, file: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    start = file.read(64)
    if not start:
        raise UserError(f"{path}: is empty (0 bytes); get a whole copy of it.")
    suffix = Path(path).suffix.lower()
    if suffix in CAMERA_RAW:
        raise _unsupported(path, f"raw camera ({suffix[1:].upper()})")
    try:
        image = open_image(file, max_pixels)
    except UnidentifiedImageError:
        raise _unidentified(path, suffix, start) from None
    check_size(path, image, max_pixels)
    return image


def check_size(path: Path | str, image: Image.Image, max_pixels: int) -> None:
    """Sees that an image has pixels, and not too many.

    Raises:
        UserError: it has none, or more than `max_pixels`.
    """
    width, height = image.size
    if width < 1 or height < 1:
        raise UserError(f"{path}: has no pixels, it is {width} wide and {height} high.")
    if width * height > max_pixels:
        raise _too_many(path, width * height, max_pixels)


def check_memory(path: Path | str, image: Image.Image, needed: int | None = None) -> None:
    """Sees that an image can be read into the memory of this machine.

    A file of a hundred bytes may well be an image of one colour and 13,000 x 13,000 pixels; without
    this, the system would end the whole run.

    Args:
        path: of the image, or what it is called.
        image: opened, perhaps not decoded.
        needed: bytes that reading it takes; by default `PIXEL_BYTES` a pixel.

    Raises:
        UserError: it takes more.
    """
    if needed is None:
        needed = image.width * image.height * PIXEL_BYTES
    here = machine_bytes()
    if needed > here:
        raise UserError(
            f"{path}: reading its {image.width} x {image.height} pixels takes about "
            f"{needed / 2**30:.1f} GiB of memory, and there are {here / 2**30:.1f} here; make it "
            "smaller."
        )


def open_image(file: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    """Has Pillow open a file in one of `FORMATS`, its own limit replaced by `max_pixels`."""
    with _pillow_limit(max_pixels):
        return Image.open(file, formats=_PILLOW_FORMATS)


@contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """Has Pillow refuse above `max_pixels` instead of its own limit, and never warn."""
    with _PILLOW_LIMIT, warnings.catch_warnings():
        # Pillow warns above its limit and refuses above twice that.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _unidentified(path: Path | str, suffix: str, start: bytes) -> UserError:
    for name, magic in UNSUPPORTED_MAGIC.items():
        if re.match(magic, start, re.DOTALL):
            return _unsupported(path, name)
    for known in FORMATS.values():
        if re.match(known.magic, start, re.DOTALL):
            if _no_pixels(start):
                return UserError(f"{path}: has no pixels, its width or height is 0.")
            return UserError(
                f"{path}: is a {known.label} that is damaged or of a kind that cannot be read; "
                "save it anew, as an ordinary PNG or JPEG."
            )
    if suffix in UNSUPPORTED_SUFFIXES:
        return _unsupported(path, suffix[1:].upper())
    *labels, last = (known.label for known in FORMATS.values())
    return UserError(f"{path}: is not an image; {', '.join(labels)} or {last} is expected.")


def _no_pixels(start: bytes) -> bool:
    """Whether the header of a PNG, GIF or BMP gives a width or height of 0."""
    if start.startswith(b"\x89PNG") and len(start) >= 24:
        return 0 in struct.unpack(">II", start[16:24])
    if start.startswith(b"GIF8") and len(start) >= 10:
        return 0 in struct.unpack("<HH", start[6:10])
    if start.startswith(b"BM") and len(start) >= 26:
        return 0 in struct.unpack("<ii", start[18:26])
    return False


def _unsupported(path: Path | str, name: str) -> UserError:
    return UserError(
        f"{path}: is a {name} image, a format that is not supported; convert it to PNG or JPEG."
    )


def _too_many(path: Path | str, pixels: int, max_pixels: int) -> UserError:
    return UserError(
        f"{path}: has {pixels} pixels, more than the limit of {max_pixels}; if you trust the "
        f"file, raise it with --max-pixels {pixels}."
    )


def _unreadable(path: Path | str, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or error
    return UserError(f"{path}: cannot be read ({reason}).")


def _damaged(path: Path | str, error: Exception) -> UserError:
    detail = " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__
    return UserError(f"{path}: is damaged or cut short ({detail}); get a whole copy of it.")
