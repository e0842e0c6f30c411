"""Pillow images → files. Imports no torch."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from nst_lightning.files import write_bytes


def encode_image(image: Image.Image, format: str, **options: Any) -> bytes:
    """Returns a file's bytes: Pillow, writing one by itself, may lose the system's error number.

    Args:
        format: Pillow's name of it.
        options: of Pillow's encoder.
    """
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def save_image(path: Path, image: Image.Image, format: str, **options: Any) -> None:
    """Writes an image atomically; its folder is made if need be.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    write_bytes(path, encode_image(image, format, **options))
