"""Thousands of malformed images: each is read or named in one sentence, and nothing else is said.

They are made by damaging small good ones of all formats that can be read, and used as contents,
styles, masks and starts.
"""

import io
import random
import re
import struct
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PIL import Image, ImageCms, PngImagePlugin

from nst_lightning.errors import UserError
from nst_lightning.imaging import bands, tiff_writing
from nst_lightning.imaging.decoding import decode_image
from nst_lightning.imaging.metadata import Metadata, image_size
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.reading import LoadedImage, read_image, to_tensors
from nst_lightning.imaging.writing import write_image
from tests.campaign.harness import Done, Figures, broken_by, changed_outside, listing, main, nst

PICTURES = 40
"""Malformed ones in a folder."""

MOST = 1_000_000
"""Pixels of an image in most attempts; the others keep the limit that users have."""

USES = ("contents", "contents", "styles", "masks", "init")
"""What the malformed images are used as."""

GRID = (
    "--size", 16, "--steps", 1, "--weights", "random",
    "--content-layers", "relu1_1", "--style-layers", "relu1_1",
)  # fmt: skip

NOISE = re.compile(r"Warning|site-packages|\.py\b")
"""What stands in no line of ours."""

OURS = re.compile(r"\[\d+/\d+\] |failed: |nst-batch: |\S+/(n\d\d|good\d)\.\S+: ")
"""How a line of ours begins: with the pair, the command or the image that it is about."""

LONGEST = 400
"""Characters of a line."""

CLAIMS = (0, 1, 255, 65535, 13_000, 2**31 - 1, 2**32 - 1)
"""Numbers that are put into headers."""


@cache
def seeds() -> dict[str, bytes]:
    """Returns good images: file name → bytes."""
    small = Image.radial_gradient("L").resize((32, 24))
    colour = Image.merge("RGB", (small, small.transpose(Image.Transpose.ROTATE_180), small))
    clear = colour.copy()
    clear.putalpha(small)
    flat = colour.quantize(8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    xmp_text = PngImagePlugin.PngInfo()
    xmp_text.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
    more: dict[str, Any] = {"save_all": True, "append_images": [colour.rotate(90)]}
    drawn: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("rgb.png", colour, {}),
        ("deep.png", small.convert("I;16"), {}),
        ("palette.png", flat, {"transparency": 2}),
        ("clear.png", clear, {"icc_profile": profile, "exif": exif}),
        ("text.png", colour, {"pnginfo": xmp_text}),
        ("animated.png", colour, more),
        ("rgb.jpg", colour, {"exif": exif, "icc_profile": profile}),
        ("cmyk.jpg", colour.convert("CMYK"), {"xmp": xmp}),
        ("progressive.jpg", colour, {"progressive": True, "exif": exif}),
        ("lossless.webp", clear, {"lossless": True, "exif": exif}),
        ("lossy.webp", colour, {"xmp": xmp, "icc_profile": profile}),
        ("animated.webp", colour, more),
        ("raw.tif", colour, {"exif": exif}),
        ("pages.tif", colour, {"compression": "tiff_lzw", **more}),
        ("xmp.tif", colour, {"compression": "tiff_adobe_deflate", "tiffinfo": {700: xmp}}),
        ("packed.tif", clear, {"compression": "packbits", "icc_profile": profile}),
        ("jpeg.tif", colour, {"compression": "jpeg"}),
        ("fax.tif", small.convert("1"), {"compression": "group4"}),
        ("float.tif", small.convert("F"), {}),
        ("zstd.tif", small, {"compression": "zstd", "exif": exif}),
        ("strips.tif", colour, {"compression": "tiff_lzw", "strip_size": 200, "exif": exif}),
        ("big.tif", clear, {"compression": "tiff_lzw", "strip_size": 300, "big_tiff": True}),
        ("rgb.bmp", colour, {}),
        ("palette.bmp", flat, {}),
        ("flat.gif", flat, {"transparency": 1}),
        ("animated.gif", flat, more),
    ]
    made = {}
    for name, image, options in drawn:
        data = io.BytesIO()
        image.save(
            data, {"jpg": "jpeg", "tif": "tiff"}.get(name[-3:], name.split(".")[1]), **options
        )
        made[name] = data.getvalue()
    eight, text = chunks(made["rgb.png"]), chunks(made["text.png"])
    late = (b"eXIf", exif.tobytes()[6:])
    made["late.png"] = png([*eight[:-1], late, eight[-1]])
    made |= ours(to_tensors(decode_image(clear, "", max_pixels=MOST), ""))
    made["late_text.png"] = png([text[0], *text[2:-1], text[1], text[-1]])
    return made


def ours(image: LoadedImage) -> dict[str, bytes]:
    """Returns an image as our own large files hold it: in tiles, and as a BigTIFF."""
    made = {}
    for name, most in (("tiles.tif", 2**32), ("big_tiles.tif", 0)):
        with (
            patch.multiple(tiff_writing, TILED_FROM=0, TILE=16, CLASSIC_BYTES=most),
            tempfile.TemporaryDirectory() as folder,
        ):
            about = Metadata({"a": "b"}, {}, srgb_profile())
            write_image(Path(folder, name), image.rgb, image.alpha, about, format="tiff", bits=16)
            made[name] = Path(folder, name).read_bytes()
    return made


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the chunks of a PNG, as far as they are whole."""
    found, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    """Returns a PNG of chunks, each with its right checksum."""
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in parts:
        data += struct.pack(">I", len(body)) + name + body
        data += struct.pack(">I", zlib.crc32(name + body))
    return data


def flip(dice: random.Random, data: bytes) -> bytes:
    """Changes a few bytes, half of the time near the beginning or the end."""
    broken = bytearray(data)
    low, high = dice.choice([(0, len(data)), (0, min(200, len(data))), (len(data) // 2, len(data))])
    for _ in range(dice.randint(1, 6)):
        broken[dice.randrange(low, high)] ^= dice.randint(1, 255)
    return bytes(broken)


def cut(dice: random.Random, data: bytes) -> bytes:
    """Ends the file early, half of the time by a few bytes."""
    return data[: dice.choice([dice.randrange(len(data)), len(data) - dice.randint(1, 30)])]


def splice(dice: random.Random, data: bytes) -> bytes:
    """Continues with the rest of another image."""
    other = dice.choice(list(seeds().values()))
    return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


def insert(dice: random.Random, data: bytes) -> bytes:
    """Puts bytes in, or takes some out."""
    at, length = dice.randrange(len(data)), dice.randint(1, 40)
    if dice.random() < 0.5:
        return data[:at] + data[at + length :]
    return data[:at] + dice.randbytes(length) + data[at:]


def claim(dice: random.Random, data: bytes) -> bytes:
    """Writes another number into the header."""
    form = dice.choice(("<H", ">H", "<I", ">I"))
    number = struct.pack(form, dice.choice(CLAIMS) % 256 ** struct.calcsize(form))
    at = dice.randrange(min(100, len(data) - 4))
    return data[:at] + number + data[at + len(number) :]


def claim_sides(dice: random.Random, data: bytes) -> bytes:
    """Gives a PNG other sides, with the right checksum; other formats as `claim`."""
    parts = chunks(data)
    if not data.startswith(b"\x89PNG") or not parts:
        return claim(dice, data)
    sides = struct.pack(">II", *(dice.choice((1, 30, *CLAIMS)) for _ in range(2)))
    return png([(parts[0][0], sides + parts[0][1][8:]), *parts[1:]])


def swap_chunks(dice: random.Random, data: bytes) -> bytes:
    """Swaps, doubles, drops or damages chunks of a PNG, with right checksums; others: `flip`."""
    parts = chunks(data)
    if not data.startswith(b"\x89PNG") or len(parts) < 2:
        return flip(dice, data)
    one, two = (dice.randrange(len(parts)) for _ in range(2))
    how = dice.randrange(4)
    if how == 0:
        parts[one], parts[two] = parts[two], parts[one]
    elif how == 1:
        parts.insert(one, parts[two])
    elif how == 2:
        del parts[one]
    elif parts[one][1]:
        parts[one] = (parts[one][0], dice.choice((flip, cut, insert))(dice, parts[one][1]))
    return png(parts)


def damage_metadata(dice: random.Random, data: bytes) -> bytes:
    """Changes bytes behind the mark of an EXIF, a profile or an XMP packet."""
    marks = (
        b"Exif\0\0",
        b"eXIf",
        b"EXIF",
        b"iCCP",
        b"ICCP",
        b"ICC_PROFILE",
        b"acsp",
        b"xmp",
        b"II*\0",
    )
    places = [data.find(mark) for mark in marks if mark in data]
    if not places:
        return flip(dice, data)
    broken, start = bytearray(data), dice.choice(places)
    for _ in range(dice.randint(1, 8)):
        at = min(len(data) - 1, start + dice.randrange(120))
        broken[at] = dice.choice((0, 255, dice.randrange(256)))
    return bytes(broken)


DAMAGE = (flip, cut, splice, insert, claim, claim_sides, swap_chunks, damage_metadata)


def malformed(dice: random.Random) -> tuple[str, bytes]:
    """Returns the suffix and the bytes of one malformed image."""
    name, data = dice.choice(list(seeds().items()))
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        data = dice.choice(DAMAGE)(dice, data) if len(data) > 8 else data
    return name[name.index(".") :], data


def attempt(dice: random.Random, folder: Path, figures: Figures) -> list[str]:
    """Draws a folder with malformed images in one of their uses, and good ones."""
    contents, styles, masks = (folder / name for name in ("contents", "styles", "masks"))
    for place in (contents, styles, masks):
        place.mkdir()
    (contents / "good0.png").write_bytes(seeds()["rgb.png"])
    (styles / "good1.jpg").write_bytes(seeds()["rgb.jpg"])
    (masks / "good0.mask.png").write_bytes(seeds()["palette.png"])
    use, bad = dice.choice(USES), {}
    for number in range(1 if use == "init" else PICTURES):
        name = f"n{number:02}"
        suffix, data = malformed(dice)
        if use == "masks":
            (contents / f"{name}.png").write_bytes(seeds()["rgb.png"])
            suffix = ".mask.png"
        path = folder / ("" if use == "init" else use) / f"{name}{suffix}"
        path.write_bytes(data)
        pair = {"init": "good0/good1", "styles": f"good0/{name}"}.get(use, f"{name}/good1")
        bad[path] = folder / "OUT" / f"{pair}.png"
    given = {"masks": ("--mask-dir", masks), "init": ("--init", *bad)}.get(use, ())
    limit = ("--max-pixels", MOST) if dice.random() < 0.8 else ()
    before, out = listing(folder), folder / "OUT"
    done = nst("grid", contents, styles, *GRID, *given, *limit, "-o", out)
    broken = broken_by(done, (0, 2) if use == "init" else (0, 1))
    broken += changed_outside(before, listing(folder, but=out))
    broken += noise(done)
    if use != "init" and not (out / "good0/good1.png").is_file():
        broken.append(f"the good pair is not made: {done.stderr[-500:]}")
    for path, result in bad.items():
        figures["images"] += 1
        figures["made" if result.is_file() else "refused"] += 1
        if not result.is_file() and not named(path, done):
            broken.append(f"{path.name} is neither made nor named: {done.stderr[-500:]}")
        broken += two_sizes(path) + two_ways(path, figures)
    return broken


def noise(done: Done) -> list[str]:
    """Returns the lines on the screen that are not ours, or too long for anybody to read."""
    return [
        f"noise: {line[:1000]}"
        for line in done.stderr.splitlines()
        if NOISE.search(line) or not OURS.match(line) or len(line) > LONGEST
    ]


def named(path: Path, done: Done) -> bool:
    """Returns whether a sentence on the screen is about an image."""
    return any(
        path.name in line and line.rstrip().endswith(".") for line in done.stderr.splitlines()
    )


def two_sizes(path: Path) -> list[str]:
    """Says whether an image's size, had without decoding it, is another than its pixels'."""
    try:
        read = tuple(read_image(path, max_pixels=MOST).rgb.shape[-2:])
    except UserError:
        return []
    try:
        size = image_size(path, max_pixels=MOST)
    except UserError as error:
        return [f"{path.name} can be read, its size cannot: {error}"]
    return [] if size == read else [f"{path.name} is {read}, its size is said to be {size}"]


def two_ways(path: Path, figures: Figures) -> list[str]:
    """Says whether an image that is read some rows at a time, as a large one is, is another one."""
    with patch.multiple(bands, LARGE=0, BAND_PIXELS=100):
        try:
            found = read_image(path, max_pixels=MOST)
        except UserError:
            return []
    try:
        whole = read_image(path, max_pixels=MOST)
    except UserError:
        return []  # a part that is wrong may be in no row
    figures["read in two ways"] += 1
    same = found.rgb.shape == whole.rgb.shape and bool((found.rgb == whole.rgb).all())
    if (found.alpha is None) != (whole.alpha is None):
        same = False
    elif found.alpha is not None and whole.alpha is not None:
        same = same and bool((found.alpha == whole.alpha).all())
    return [] if same else [f"{path.name} is another image where it is read in bands"]


if __name__ == "__main__":
    main(attempt, __doc__ or "")
