"""What a picture file says before it is decoded: format, size, metadata. Imports no torch.

Pillow is imported when a file is opened, because `nst-batch --help` does not need it.
"""

from pathlib import Path

from nst_lightning.formats import MAX_PIXELS
from nst_lightning.imaging import png


def picture_size(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a picture as it is to be looked at, without decoding its pixels.

    Raises:
        UserError: the file is not a picture that can be read, or has more than `max_pixels`.
    """
    from nst_lightning.imaging.opening import header_orientation, opened

    with opened(path, max_pixels) as image:
        width, height = image.size
        # Pillow gives a TIFF's size with the orientation applied, and only a TIFF's.
        turned = image.format != "TIFF" and header_orientation(image) >= 5
    return (width, height) if turned else (height, width)


def read_metadata(path: Path | str) -> dict[str, str]:
    """The texts of a picture by keyword: the text chunks of a PNG, and those that `write_result`
    puts into the XMP of other formats; {} for any other file, and for one that is not whole."""
    path = Path(path)
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            if file.read(8) == png.SIGNATURE:
                return png.texts(file)
    except (OSError, ValueError):
        return {}
    from nst_lightning.imaging.xmp import read_texts

    return read_texts(path)
