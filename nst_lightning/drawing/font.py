"""The font of labels: DejaVu Sans, which matplotlib brings along. Imports neither it nor torch."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont


@cache
def load_font(size: int) -> Font:
    """Returns DejaVu Sans at a size in pixels; Pillow's own font has no ×, Greek or Cyrillic."""
    package = Path(str(find_spec("matplotlib").origin)).parent  # type: ignore[union-attr]
    return ImageFont.truetype(package / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def line_height(font: Font) -> int:
    """Returns the height of a line of text, in pixels."""
    return round(font.getbbox("Ågjy")[3]) + 3
