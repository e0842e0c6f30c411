"""What is known of a clip: its frames, when each is shown, its colours and sound."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

Shape = tuple[int, int]
"""(height, width) in pixels."""

BT601, BT709, BT2020, RGB = 6, 1, 9, 0
"""Matrices by their code points in ITU-T H.273, table 4, which FFmpeg's numbers are."""

UNSPECIFIED = 2
"""The code point of a matrix, primaries or a transfer that a file does not tell."""


@dataclass(frozen=True)
class Colour:
    """What the samples of a clip stand for, in the code points of ITU-T H.273."""

    matrix: int = BT709
    """From R'G'B' to Y'CbCr; never `UNSPECIFIED`."""
    full: bool = False
    """Whether luma has all levels; else black is 16 and white 235 of 255."""
    primaries: int = BT709
    transfer: int = BT709


@dataclass(frozen=True)
class Clip:
    """A film file, or a folder of numbered frames, whose frames have all been counted."""

    path: Path
    shape: Shape
    """Of what is shown: upright, its pixels square."""
    times: tuple[int, ...]
    """When each frame is shown, in units of `time_base`; each later than the one before."""
    last: int
    """How long the last frame stands, in the same units."""
    time_base: Fraction
    """Seconds."""
    rate: Fraction
    """Frames a second, on average."""
    bits: int = 8
    """Of a channel: 8, or 10 where the file has 10 or more."""
    colour: Colour = Colour()
    audio: tuple[str, ...] = ()
    """The codec of each of its tracks of sound."""
    others: tuple[str, ...] = ()
    """What else is in it, such as "subtitle"."""
    stamped: bool = True
    """Whether the file tells when each frame is shown; else `times` counts them at `rate`."""
    images: tuple[Path, ...] = ()
    """The files of the frames where the clip is a folder."""

    @property
    def image_bits(self) -> int:
        """The bits a channel of images that hold its frames: 8 or 16."""
        return 8 if self.bits == 8 else 16

    @property
    def frames(self) -> int:
        """The number of its frames."""
        return len(self.times)

    @property
    def seconds(self) -> Fraction:
        """How long it takes, from its first frame to the end of the last one."""
        return (self.times[-1] + self.last - self.times[0]) * self.time_base
