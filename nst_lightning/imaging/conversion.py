"""Decoded pixels, as they are stored → colour in sRGB and alpha. Imports no torch."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from nst_lightning.errors import UserError
from nst_lightning.imaging.opening import orientation
from nst_lightning.imaging.profiles import to_srgb

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags
_WHITE_IS_ZERO, _SIGNED = 0, 2


@dataclass(frozen=True)
class Decoded:
    """An image's pixels.

    colour: "RGB", or "F" with values nominally in [0, 1] for gray of more than 8 bits.
    alpha: "L", None where the image is opaque.
    """

    colour: Image.Image
    alpha: Image.Image | None


class Conversion:
    """How the pixels of an image become colour and alpha, as its file says it.

    Args:
        image: before its pixels are decoded, which takes some of that away.
        name: what messages call it.
    """

    def __init__(self, image: Image.Image, name: Path | str) -> None:
        self.name = name
        self.stored = _stored_as(image)
        self.tags: Any = getattr(image, "tag_v2", {})
        self.profile: bytes | None = image.info.get("icc_profile")
        self.turn = _UPRIGHT.get(orientation(image))
        """What makes the image upright."""

    def __call__(self, image: Image.Image) -> Decoded:
        """Converts the image, or a part of it that holds whole pixels.

        Raises:
            UserError: its values are beyond what can be read.
        """
        colour, alpha = _split(image, self.stored)
        if colour.mode in ("I", "F") or colour.mode.startswith("I;16"):
            colour = _deep(colour, self.tags, self.name)
        if self.profile and colour.mode == "F":
            colour = shallow(colour)
        if colour.mode != "F":
            colour = to_srgb(colour, self.profile, self.name)
        if alpha is not None and alpha.getextrema() == (255, 255):
            alpha = None
        return Decoded(colour, alpha)


def on_white(decoded: Decoded) -> Image.Image:
    """Returns an image of 8 bits a channel, on white where it is transparent."""
    image = decoded.colour
    if image.mode == "F":
        image = shallow(image).convert("RGB")
    if decoded.alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, "white"), decoded.alpha)
    return image


def _stored_as(image: Image.Image) -> str:
    """Returns how a PNG stores samples, in Pillow's words ("L;4", "RGB;16B"); "" for others."""
    tiles = getattr(image, "tile", None)
    stored = tiles[0][3] if image.format == "PNG" and tiles else ""
    return stored if isinstance(stored, str) else ""


def _split(image: Image.Image, stored: str) -> tuple[Image.Image, Image.Image | None]:
    """Returns the colour, in a mode without alpha, and the alpha."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode in ("La", "RGBa"):  # colours multiplied by alpha
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    elif image.mode == "1":
        key = image.info.get("transparency")
        image = image.convert("L")
        # Pillow gives 1 as 255 or as 1, depending on its version.
        image.info["transparency"] = 255 if key else key
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    if image.mode == "RGBA":
        # Gray with alpha at 16 bits comes as RGBA; its profile, though, is one for gray.
        colour = image.getchannel("R") if stored.startswith("LA") else image.convert("RGB")
        return colour, image.getchannel("A")
    key = image.info.get("transparency")
    return image, None if key is None else _keyed(image, key, stored)


def _keyed(image: Image.Image, key: Any, stored: str) -> Image.Image | None:
    """Returns the alpha of an image in which one colour (a PNG's tRNS) stands for transparent."""
    if image.mode == "RGB" and isinstance(key, tuple):
        if stored.endswith(";16B"):  # the pixels were reduced to 8 bits, the key was not
            key = tuple(value >> 8 for value in key)
        alpha = Image.new("L", image.size, 0)
        for band, value in zip(image.split(), key, strict=True):
            alpha = ImageChops.lighter(alpha, _differs(band, value))
        return alpha
    if image.mode == "L" and isinstance(key, int):
        bits = {"L;2": 2, "L;4": 4}.get(stored, 8)  # the pixels were spread to 8 bits
        return _differs(image, key * 255 // (2**bits - 1))
    if image.mode.startswith("I;16") and isinstance(key, int):
        # Pillow looks values up in a table of 65536 only for mode "I".
        return image.convert("I").point([0 if v == key else 255 for v in range(65536)], "L")
    return None


def _differs(band: Image.Image, value: int) -> Image.Image:
    return band.point([0 if level == value else 255 for level in range(256)])


def _deep(image: Image.Image, tags: Any, path: Path | str) -> Image.Image:
    """Converts gray of more than 8 bits to mode "F", nominally in [0, 1]; `tags` are a TIFF's."""
    if image.mode == "F":
        return _float(image, path)
    bits = tags.get(_BITS, (16,))[0]
    signed = tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    image = image.convert("I")
    low, high = _range(image)
    white = 2 ** (bits - signed) - 1
    if bits == 32:
        if low < 0 and not signed:
            raise UserError(
                f"{path}: holds 32-bit samples beyond {2**31 - 1}, which cannot be read; save it "
                "anew with 16 bits."
            )
        if high <= 65535:  # 16-bit values in the 32 bits that many programs write
            white = 65535
    scale, offset = (
        (-1 / white, 1.0) if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else (1 / white, 0.0)
    )
    return image.convert("F").point(lambda value: value * scale + offset)


def shallow(image: Image.Image) -> Image.Image:
    """Converts mode "F", nominally in [0, 1], to "L"."""
    return image.point(lambda value: value * 255 + 0.5).convert("L")


def _float(image: Image.Image, path: Path | str) -> Image.Image:
    """Takes floats as [0, 1], unless more than half of the pixels lie above 1."""
    above = sum(image.point(lambda value: value * 127.5).convert("L").histogram()[128:])
    if 2 * above <= image.width * image.height:
        return image
    white = 255 if _range(image)[1] <= 255 else 65535
    warnings.warn(
        f"{path}: most of its values are above 1, so {white} is taken to be white",
        UserWarning,
        stacklevel=2,
    )
    scale = 1 / white
    return image.point(lambda value: value * scale)


def _range(image: Image.Image) -> tuple[float, float]:
    low, high = image.getextrema()
    assert isinstance(low, int | float)  # one channel, not a pair for each of several
    assert isinstance(high, int | float)
    return low, high
