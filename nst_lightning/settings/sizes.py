"""Sizes of images: how they are typed, what they come to, and passes over an image from coarse to
fine. Imports no torch."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from nst_lightning.settings.knob import SIZES, Knob, Model, Weight

SMALLEST_START = 192
"""Longest side, in pixels, from which `scales: auto` starts at least, and below which a share of an
image's size does not go: with fewer too little of a photograph is left (looked at; figures in
docs/performance.md)."""


GRID = 16
"""Sides of tiles are multiples of it, so that four poolings leave whole positions."""


@dataclass(frozen=True)
class ShorterSide:
    """A size given by the shorter side, as torchvision's `Resize` and Gatys' code take it."""

    pixels: int


Target = int | float | tuple[int, int] | ShorterSide
"""A size to bring an image to: its longest side, a share of its own size, (height, width), or its
shorter side."""


def fit(height: int, width: int, size: Target | None, upscale: bool = False) -> tuple[int, int]:
    """Returns (height, width) with the longest side brought to `size`, the aspect kept.

    The other side is rounded to the nearest whole number, at least 1. None leaves an image as
    it is, and so does a `size` beyond the longest side unless `upscale` is asked for. A `size` of
    two numbers is (height, width) itself, whatever the aspect. A float is a share of the image's
    own size, of which at least `SMALLEST_START` pixels are left where it has so many. A
    `ShorterSide` is brought to its pixels, and the longer one cut to whole pixels, as torchvision's
    `Resize` does.

    Raises:
        ValueError: a side or `size` is below 1, or a share is not above 0.
    """
    if isinstance(size, tuple):
        return size
    if isinstance(size, float):
        if size <= 0:
            raise ValueError(f"a share must be above 0, not {size}")
        own = max(height, width)
        size = max(math.floor(own * size + 0.5), min(SMALLEST_START, own))
    least = size.pixels if isinstance(size, ShorterSide) else size
    if height < 1 or width < 1 or (least is not None and least < 1):
        raise ValueError(f"sides must be at least 1, not {height} x {width} to {size}")
    if isinstance(size, ShorterSide):
        short, long = min(height, width), max(height, width)
        if size.pixels > short and not upscale:
            return height, width
        long = size.pixels * long // short
        return (size.pixels, long) if height <= width else (long, size.pixels)
    longest = max(height, width)
    if size is None or size == longest or (size > longest and not upscale):
        return height, width
    # In whole numbers: (2 a b + c) // 2c rounds a b / c half up, without a float's doubts.
    scaled = [max(1, (2 * side * size + longest) // (2 * longest)) for side in (height, width)]
    return scaled[0], scaled[1]


LARGEST_SIDE = 100_000

SHORT = "short:"
"""What a size given by the shorter side begins with."""


def share_of(size: int | str) -> float | None:
    """Returns 1.0 of `original` and 0.25 of `25%`, but None of a size in pixels."""
    if size == "original":
        return 1.0
    number = re.fullmatch(r"(\d+\.?\d*|\.\d+)%", size) if isinstance(size, str) else None
    return float(number[1]) / 100 if number else None


def percent(share: float) -> str:
    """Writes a share as a size: 1.0 as `original`, 0.25 as `25%`."""
    return "original" if share == 1 else f"{100 * share:g}%"


def parse_size(value: Any) -> Any:
    """Reads `512` as 512, the longest side; leaves `640x480` (width and height), `short:512` (the
    shorter side), and `original` and `25%` (shares of the content's own size) as they are.

    Raises:
        ValueError: it is none of these.
    """
    text = value.strip().lower().replace("×", "x") if isinstance(value, str) else ""
    if (share := share_of(text)) is not None and 0 < share <= 1:
        return percent(share)
    short, text = text.startswith(SHORT), text.removeprefix(SHORT)
    sides = [int(side) for side in text.split("x") if side.isdecimal()]
    if isinstance(value, int) and not isinstance(value, bool):
        sides = [value]
    if (
        len(sides) != text.count("x") + 1
        or len(sides) > (1 if short else 2)
        or not all(1 <= side <= LARGEST_SIDE for side in sides)
    ):
        raise ValueError(
            f"should be the longest side in pixels (1 to {LARGEST_SIDE}), the shorter one such as "
            "short:512, WIDTHxHEIGHT such as 224x224, original, or a share of it such as 50% (at "
            f"most 100%), not {value!r}"
        )
    if short:
        return f"{SHORT}{sides[0]}"
    return sides[0] if len(sides) == 1 else f"{sides[0]}x{sides[1]}"


SHORT_FORM = ("size", "steps")
"""Settings that are the short form of a single entry in `scales`."""


class Scale(Model):
    """One pass over the image."""

    size: Annotated[int | str, BeforeValidator(parse_size), Knob("pixels", SIZES, 512)] = 512
    """Longest side in pixels, the aspect kept; short:N, the shorter side; WIDTHxHEIGHT exactly;
    original, the content's own size; or P%, a share of it."""

    steps: Annotated[int, Field(ge=1, le=10_000_000), Knob("pixels", SIZES, 300)] = 300
    """Steps; one step is one evaluation of the loss and its gradient."""

    content_weight: Annotated[Weight, Knob("pixels", SIZES, 1.0)] = 1.0
    """Factor on the weight of the content at this scale."""

    @property
    def target(self) -> Target:
        """Returns the size as `fit` takes it."""
        if isinstance(self.size, int):
            return self.size
        if self.size.startswith(SHORT):
            return ShorterSide(int(self.size.removeprefix(SHORT)))
        if (share := share_of(self.size)) is not None:
            return share
        width, height = map(int, self.size.split("x"))
        return height, width

    @property
    def longest(self) -> int:
        """Returns the longest side.

        Raises:
            ValueError: each content makes another of it; see `longest_of`.
        """
        return self.longest_of(None)

    def longest_of(self, content: tuple[int, int] | None) -> int:
        """Returns the longest side, for a content whose file has this (height, width)."""
        target = self.target
        if isinstance(target, (float, ShorterSide)):
            if content is None:
                raise ValueError(f"how many pixels {self.size} is depends on the content")
            target = fit(*content, target, upscale=True)
        return target if isinstance(target, int) else max(target)


class Pass(Scale):
    """The steps of a scale that are made with one of the sets of views of a mesh."""

    view_set: int = 0
    """Which of them."""


def parse_scales(value: Any) -> Any:
    """Reads `256:150,512:60` as [{size: 256, steps: 150}, {size: 512, steps: 60}]."""
    if not isinstance(value, str):
        return value
    # The colon of a shorter side is no separator.
    parts = [re.split(r"(?<!short):", part) for part in value.lower().split(",") if part.strip()]
    return [dict(zip(("size", "steps", "content_weight"), part, strict=False)) for part in parts]


def is_whole_number(text: str) -> bool:
    """Returns whether a text is a number of digits alone; of thousands of them `int` reads none."""
    return text.isdecimal() and len(text) <= LONGEST_NUMBER


def is_number_of_scales(value: Any) -> bool:
    """Returns whether `scales` is auto or a number of scales, to be made from size and steps."""
    return value == "auto" or (str(value).strip().isdecimal() and not isinstance(value, bool))


LONGEST_NUMBER = 18
"""Digits; nothing here is counted in more."""

MOST_SCALES = 17
"""Halved so often, no side is left of more than a pixel."""

FINER = 0.4
"""Steps of a scale for each step of the scale before, which is half as large."""


def coarse_to_fine(size: int | str, steps: int, count: int | None) -> list[dict[str, Any]]:
    """Returns scales from coarse to fine, each twice as large as the one before.

    Args:
        size: of the last (see `parse_size`).
        steps: of all together.
        count: how many; None: as many as start from at least `SMALLEST_START`; three of a share,
            for it is another number of pixels in each image.

    Raises:
        ValueError: there are fewer steps than scales, or too many scales.
    """
    whole = share_of(size)
    text = str(size)
    prefix = SHORT if text.startswith(SHORT) else ""
    sides = [] if whole else [int(side) for side in text.removeprefix(prefix).split("x")]
    if count is None and whole:
        count = min(3, steps)
    elif count is None:
        count = 1
        while max(sides) / 2**count >= SMALLEST_START and count < steps:
            count += 1
    if steps < count:
        raise ValueError(f"scales is {count}, but there are only {steps} steps to share out")
    if count > MOST_SCALES:
        raise ValueError(f"scales should be at most {MOST_SCALES}, not {count}")
    shares = [FINER**k for k in range(count)]
    ends = [round(steps * sum(shares[: k + 1]) / sum(shares)) for k in range(count)]
    made, before = [], 0
    for k in range(count):
        end = min(max(ends[k], before + 1), steps - (count - 1 - k))
        at = [max(1, round(side / 2 ** (count - 1 - k))) for side in sides]
        here = percent(whole / 2 ** (count - 1 - k)) if whole else prefix + "x".join(map(str, at))
        made.append({"size": here, "steps": end - before})
        before = end
    return made
