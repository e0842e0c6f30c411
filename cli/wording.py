"""Numbers and sizes as parts of a sentence. Imports no torch."""

from nst_lightning.files import printable
from nst_lightning.settings import Scale
from nst_lightning.settings.sizes import ShorterSide


def duration(seconds: float) -> str:
    """Returns seconds as `h:mm:ss`."""
    whole = round(max(0.0, seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def count(number: int, what: str) -> str:
    """Returns `1 task`, `2 tasks`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size_in_words(scale: Scale) -> str:
    """Returns the size of a scale as a part of a sentence."""
    if isinstance(scale.target, ShorterSide):
        return f"{scale.target.pixels} px on the shorter side"
    if not isinstance(scale.target, float):
        return f"{scale.size} px"
    return "the original size" if scale.target == 1 else f"{scale.size} of the original size"


LONGEST = 2000
"""Characters of a message; one that repeats what somebody gave could be of any length."""


def in_a_line(text: str) -> str:
    """Returns a message without line ends and control characters, the middle of a long one left
    out."""
    shown = printable(text)
    half = LONGEST // 2 - 20
    return shown if len(shown) <= LONGEST else f"{shown[:half]} … {shown[-half:]}"
