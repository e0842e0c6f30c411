"""Reading images: every way of storing pixels comes out right, every bad file as a sentence."""

import errno
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

from nst_lightning import UserError
from nst_lightning.formats import MAX_PIXELS
from nst_lightning.imaging import opening
from nst_lightning.imaging.decoding import decode
from nst_lightning.imaging.metadata import image_size, read_metadata
from nst_lightning.imaging.reading import LoadedImage, load_image, read_image
from nst_lightning.imaging.writing import write_image

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GRAY16 = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
GRAY16[0, :3] = (0, 65535, 40000)


def pixels(loaded: LoadedImage) -> np.ndarray:
    """(H, W, 3), float64."""
    return loaded.rgb[0].permute(1, 2, 0).double().numpy()


def alpha(loaded: LoadedImage) -> np.ndarray:
    assert loaded.alpha is not None
    assert loaded.alpha.shape == (1, 1, *loaded.rgb.shape[-2:])
    assert loaded.alpha.dtype == torch.float32
    return loaded.alpha[0, 0].numpy()


def saved(path: Path, image: Image.Image, **options: Any) -> LoadedImage:
    image.save(path, **options)
    return read_image(path)


def png(
    path: Path,
    samples: np.ndarray,
    depth: int,
    colour: int,
    before: bytes = b"",
    after: bytes = b"",
) -> Path:
    """A PNG of big-endian samples, or of packed rows where the depth is below 8."""
    height, width = samples.shape[:2]
    if depth < 8:
        bits = np.unpackbits(samples[..., None], axis=-1)[..., -depth:].reshape(height, -1)
        rows = np.packbits(bits, axis=1)
    else:
        rows = samples.reshape(height, -1)
        rows = rows.astype(">u2").view(np.uint8) if depth == 16 else rows
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", body)
        + after
        + chunk(b"IEND", b"")
    )
    return path


def chunk(name: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def tiff(path: Path, samples: np.ndarray, photometric: int, order: Literal["<", ">"] = "<") -> Path:
    """An uncompressed TIFF of one strip."""
    height, width = samples.shape[:2]
    bands = samples.shape[2] if samples.ndim == 3 else 1
    bits = samples.itemsize * 8
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    extra = struct.pack(f"{order}6H", *[bits] * 3, *[kind] * 3)
    at = 8 + len(data)
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, bands, at if bands == 3 else bits),
        (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, bands),
        (278, 4, 1, height), (279, 4, 1, len(data)),
        (339, 3, bands, at + 6 if bands == 3 else kind),
    ]  # fmt: skip
    ifd = struct.pack(f"{order}H", len(tags))
    for tag, type_, count, value in tags:
        short = type_ == 3 and count == 1
        ifd += struct.pack(f"{order}HHI", tag, type_, count)
        ifd += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at + 12)
    path.write_bytes(head + data + extra + ifd + bytes(4))
    return path


# ---- Ways of storing pixels ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.tif", {}),
        ("a.tiff", {"compression": "tiff_lzw"}),
        ("a.TIF", {"compression": "tiff_adobe_deflate"}),
        ("a.bmp", {}),
        ("a.webp", {"lossless": True}),
        ("without_suffix", {"format": "PNG"}),
        ("wrong.jpg", {"format": "PNG"}),
    ],
)
def test_lossless_colour_is_exact(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    loaded = saved(tmp_path / name, Image.fromarray(RGB), **options)
    assert loaded.rgb.shape == (1, 3, 5, 7)
    assert loaded.rgb.dtype == torch.float32
    assert loaded.rgb.is_contiguous()
    assert loaded.alpha is None
    assert torch.equal(loaded.rgb[0].permute(1, 2, 0), torch.from_numpy(RGB).float() / 255)


def test_jpeg_is_close(tmp_path: Path) -> None:
    flat = np.repeat(np.repeat(RGB[:2, :2], 16, axis=0), 16, axis=1)
    loaded = saved(tmp_path / "a.jpeg", Image.fromarray(flat), quality=100, subsampling=0)
    np.testing.assert_allclose(pixels(loaded), flat / 255, atol=4 / 255)


def test_gray_one_bit_and_palette(tmp_path: Path) -> None:
    gray = RGB[..., 0]
    loaded = saved(tmp_path / "l.png", Image.fromarray(gray))
    np.testing.assert_allclose(pixels(loaded), np.stack([gray] * 3, -1) / 255, atol=1e-7)

    bits = (RGB[..., 0] > 127).astype(np.uint8) * 255
    for name in ("1.png", "1.tif", "1.bmp"):
        loaded = saved(tmp_path / name, Image.fromarray(bits).convert("1"))
        assert np.array_equal(pixels(loaded), np.stack([bits] * 3, -1) / 255), name

    few = (RGB // 128) * 200
    palette = Image.fromarray(few).quantize(8, dither=Image.Dither.NONE)
    for name in ("p.png", "p.gif", "p.bmp", "p.tif"):
        loaded = saved(tmp_path / name, palette)
        assert loaded.alpha is None
        np.testing.assert_allclose(pixels(loaded), few / 255, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_alpha_is_kept_apart_and_colour_left_alone(tmp_path: Path, name: str) -> None:
    opacity = RGB[..., 1].copy()
    opacity[0] = 0
    image = Image.fromarray(np.dstack([RGB, opacity]))
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    loaded = saved(tmp_path / name, image, **options)
    np.testing.assert_allclose(pixels(loaded), RGB / 255, atol=1e-7)
    np.testing.assert_allclose(alpha(loaded), opacity / 255, atol=1e-7)


def test_gray_with_alpha(tmp_path: Path) -> None:
    both = Image.merge("LA", [Image.fromarray(RGB[..., i]) for i in (0, 1)])
    loaded = saved(tmp_path / "a.png", both)
    np.testing.assert_allclose(pixels(loaded), np.stack([RGB[..., 0]] * 3, -1) / 255, atol=1e-7)
    np.testing.assert_allclose(alpha(loaded), RGB[..., 1] / 255, atol=1e-7)


def test_alpha_that_hides_nothing_is_none(tmp_path: Path) -> None:
    assert saved(tmp_path / "a.png", Image.fromarray(RGB).convert("RGBA")).alpha is None
    both = Image.merge("LA", [Image.fromarray(RGB[..., 0]), Image.new("L", (7, 5), 255)])
    assert saved(tmp_path / "b.png", both).alpha is None


def test_palettes_with_transparency(tmp_path: Path) -> None:
    indices = np.arange(35, dtype=np.uint8).reshape(5, 7) % 4
    image = Image.fromarray(indices).convert("P")
    colours = [(10, 20, 30), (200, 0, 0), (0, 200, 0), (0, 0, 200)]
    image.putpalette([v for colour in colours for v in colour])
    expected = np.array(colours)[indices] / 255

    loaded = saved(tmp_path / "levels.png", image, transparency=bytes([0, 128, 255, 255]))
    np.testing.assert_allclose(pixels(loaded), expected, atol=1e-7)
    np.testing.assert_allclose(alpha(loaded), np.array([0, 128, 255, 255])[indices] / 255)

    for name in ("one.png", "one.gif"):
        loaded = saved(tmp_path / name, image, transparency=2)
        np.testing.assert_allclose(alpha(loaded), indices != 2, err_msg=name)
        np.testing.assert_allclose(pixels(loaded), expected, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_transparent_gray_at_every_depth(tmp_path: Path, depth: int) -> None:
    levels = (np.arange(35) % 2**depth).astype(np.uint8).reshape(5, 7)
    path = png(tmp_path / "a.png", levels, depth, 0, before=chunk(b"tRNS", b"\0\1"))
    loaded = read_image(path)
    expected = np.stack([levels] * 3, -1) / (2**depth - 1)
    np.testing.assert_allclose(pixels(loaded), expected, atol=1e-7)
    assert np.array_equal(alpha(loaded), levels != 1)


def test_a_transparent_colour_at_8_and_16_bits(tmp_path: Path) -> None:
    key = RGB[2, 3]
    tag = chunk(b"tRNS", struct.pack(">3H", *(int(v) for v in key)))
    loaded = read_image(png(tmp_path / "8.png", RGB, 8, 2, before=tag))
    np.testing.assert_allclose(pixels(loaded), RGB / 255, atol=1e-7)
    assert np.array_equal(alpha(loaded), (key != RGB).any(-1))

    wide = RGB.astype(np.uint16) * 256 + 99
    tag = chunk(b"tRNS", struct.pack(">3H", *(int(v) for v in wide[2, 3])))
    loaded = read_image(png(tmp_path / "16.png", wide, 16, 2, before=tag))
    assert np.array_equal(alpha(loaded), (key != RGB).any(-1))


def test_gray_of_16_bits_is_scaled_not_clipped(tmp_path: Path) -> None:
    expected = np.stack([GRAY16] * 3, -1) / 65535
    image = Image.fromarray(GRAY16)
    assert image.mode == "I;16"
    for path in (
        png(tmp_path / "a.png", GRAY16, 16, 0),
        tiff(tmp_path / "little.tif", GRAY16, 1),
        tiff(tmp_path / "big.tif", GRAY16, 1, ">"),
    ):
        np.testing.assert_allclose(pixels(read_image(path)), expected, atol=1e-7)
    loaded = saved(tmp_path / "lzw.tif", image, compression="tiff_lzw")
    np.testing.assert_allclose(pixels(loaded), expected, atol=1e-7)
    assert loaded.alpha is None


def test_a_transparent_gray_of_16_bits(tmp_path: Path) -> None:
    tag = chunk(b"tRNS", struct.pack(">H", 40000))
    loaded = read_image(png(tmp_path / "a.png", GRAY16, 16, 0, before=tag))
    assert np.array_equal(alpha(loaded), GRAY16 != 40000)
    np.testing.assert_allclose(pixels(loaded)[..., 0], GRAY16 / 65535, atol=1e-7)


def test_white_is_zero(tmp_path: Path) -> None:
    for samples in (GRAY16, RGB[..., 0]):
        loaded = read_image(tiff(tmp_path / "a.tif", samples, 0))
        white = np.iinfo(samples.dtype).max
        np.testing.assert_allclose(pixels(loaded)[..., 0], 1 - samples / white, atol=1e-7)


def test_colour_of_16_bits(tmp_path: Path) -> None:
    wide = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    wide[0, :2] = ((0, 0, 0), (65535, 65535, 65535))
    for path in (
        png(tmp_path / "a.png", wide, 16, 2),
        tiff(tmp_path / "little.tif", wide, 2),
        tiff(tmp_path / "big.tif", wide, 2, ">"),
    ):
        found = pixels(read_image(path))
        np.testing.assert_allclose(found, wide / 65535, atol=1 / 255, err_msg=path.name)
        assert found[0, 0].tolist() == [0, 0, 0]
        assert found[0, 1].tolist() == [1, 1, 1]


def test_alpha_of_16_bits(tmp_path: Path) -> None:
    wide = RNG.integers(0, 65536, (5, 7, 4), dtype=np.uint16)
    loaded = read_image(png(tmp_path / "rgba.png", wide, 16, 6))
    np.testing.assert_allclose(pixels(loaded), wide[..., :3] / 65535, atol=1 / 255)
    np.testing.assert_allclose(alpha(loaded), wide[..., 3] / 65535, atol=1 / 255)
    loaded = read_image(png(tmp_path / "la.png", wide[..., :2], 16, 4))
    gray = np.stack([wide[..., 0]] * 3, -1)
    np.testing.assert_allclose(pixels(loaded), gray / 65535, atol=1 / 255)
    np.testing.assert_allclose(alpha(loaded), wide[..., 1] / 65535, atol=1 / 255)


def test_whole_numbers_of_32_bits(tmp_path: Path) -> None:
    small = GRAY16.astype(np.int32)
    loaded = saved(tmp_path / "a.tif", Image.fromarray(small))
    np.testing.assert_allclose(pixels(loaded)[..., 0], GRAY16 / 65535, atol=1e-7)

    large = RNG.integers(0, 2**31, (5, 7), dtype=np.int32)
    loaded = saved(tmp_path / "b.tif", Image.fromarray(large))
    np.testing.assert_allclose(pixels(loaded)[..., 0], large / (2**31 - 1), atol=1e-6)

    unsigned = large.astype(np.uint32)
    loaded = read_image(tiff(tmp_path / "c.tif", unsigned, 1))
    np.testing.assert_allclose(pixels(loaded)[..., 0], unsigned / (2**32 - 1), atol=1e-6)
    with pytest.raises(UserError, match="save it anew with 16 bits"):
        read_image(tiff(tmp_path / "d.tif", unsigned + np.uint32(2**31), 1))


def test_signed_16_bits(tmp_path: Path) -> None:
    samples = (GRAY16 // 2).astype(np.int16)
    loaded = read_image(tiff(tmp_path / "a.tif", samples, 1))
    np.testing.assert_allclose(pixels(loaded)[..., 0], samples / 32767, atol=1e-6)


def test_floats(tmp_path: Path) -> None:
    values = np.linspace(-0.1, 1.2, 35, dtype=np.float32).reshape(5, 7)
    for path in (tiff(tmp_path / "a.tif", values, 1), tiff(tmp_path / "b.tif", values, 1, ">")):
        found = pixels(read_image(path))
        np.testing.assert_allclose(found, np.stack([values.clip(0, 1)] * 3, -1), atol=1e-7)


@pytest.mark.parametrize("white", [255, 65535])
def test_floats_on_the_scale_of_whole_numbers(tmp_path: Path, white: int) -> None:
    values = np.linspace(0, white, 35, dtype=np.float32).reshape(5, 7)
    tiff(tmp_path / "a.tif", values, 1)
    with pytest.warns(UserWarning, match=rf"a\.tif: .* {white} is taken to be white"):
        found = pixels(read_image(tmp_path / "a.tif"))
    np.testing.assert_allclose(found[..., 0], values / white, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    values = np.full((5, 7), 0.5, dtype=np.float32)
    values[2, 3] = value
    with pytest.raises(UserError, match="not finite"):
        read_image(tiff(tmp_path / "a.tif", values, 1))


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_cmyk_without_a_profile(tmp_path: Path, name: str) -> None:
    inks = np.array(
        [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255),
         (60, 20, 90, 40)],
        dtype=np.uint8,
    )  # fmt: skip
    wide = np.repeat(np.repeat(inks[None], 16, axis=0), 16, axis=1)
    image = Image.frombytes("CMYK", (96, 16), wide.tobytes())
    # Pillow writes JPEG as Adobe's programs do, inverted and with their marker.
    options = {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
    loaded = saved(tmp_path / name, image, **options)
    if name == "a.jpg":
        assert b"Adobe" in (tmp_path / name).read_bytes()
    left = 1 - inks / 255
    np.testing.assert_allclose(
        pixels(loaded)[8, 8::16],
        left[:, :3] * left[:, 3:],
        atol=(6 if name == "a.jpg" else 1) / 255,
    )


def test_first_frame_and_first_page(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (6, 4), (250, 0, 0)), Image.new("RGB", (6, 4), (0, 250, 0))
    for name in ("a.gif", "a.tif", "a.webp", "a.png"):
        options = {"lossless": True} if name == "a.webp" else {}
        loaded = saved(tmp_path / name, first, save_all=True, append_images=[second], **options)
        expected = np.broadcast_to(np.array([250, 0, 0]) / 255, (4, 6, 3))
        np.testing.assert_allclose(pixels(loaded), expected, atol=1e-7, err_msg=name)


# ---- Orientation ---------------------------------------------------------------------------

UPRIGHT = np.repeat(np.repeat(RNG.integers(0, 256, (2, 3, 3), dtype=np.uint8), 16, 0), 16, 1)
SIDES = {  # where the standard says that the stored row 0 and column 0 are to be seen
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The rows that a file of this orientation holds."""
    row, column = SIDES[orientation]
    rows = upright if row in ("top", "bottom") else upright.swapaxes(0, 1)
    rows = rows[::-1] if row in ("bottom", "right") else rows
    return np.ascontiguousarray(rows[:, ::-1] if column in ("bottom", "right") else rows)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.png", {}, 0),
        ("a.tif", {}, 0),
        ("a.tiff", {"compression": "tiff_lzw"}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.jpg", {"quality": 100, "subsampling": 0}, 4),
    ],
)
def test_orientation(
    tmp_path: Path, orientation: int, name: str, options: dict[str, Any], tolerance: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(stored(UPRIGHT, orientation))
    loaded = saved(tmp_path / name, image, exif=exif, **options)
    np.testing.assert_allclose(pixels(loaded), UPRIGHT / 255, atol=tolerance / 255 + 1e-7)
    assert image_size(tmp_path / name) == (32, 48)


def test_orientation_turns_alpha_and_deep_gray_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(stored(np.dstack([UPRIGHT, UPRIGHT[..., 0]]), 6))
    loaded = saved(tmp_path / "a.png", image, exif=exif)
    np.testing.assert_allclose(alpha(loaded), UPRIGHT[..., 0] / 255, atol=1e-7)
    tag = chunk(b"eXIf", exif.tobytes()[6:])
    loaded = read_image(png(tmp_path / "b.png", stored(GRAY16, 6), 16, 0, before=tag))
    np.testing.assert_allclose(pixels(loaded)[..., 0], GRAY16 / 65535, atol=1e-7)


def test_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    tag = chunk(b"eXIf", exif.tobytes()[6:])
    path = png(tmp_path / "a.png", stored(RGB, 8), 8, 2, after=tag)
    np.testing.assert_allclose(pixels(read_image(path)), RGB / 255, atol=1e-7)
    assert image_size(path) == (5, 7)


@pytest.mark.parametrize("missing", [1, 4, 8, 12])
def test_orientation_behind_the_pixels_of_a_png_without_its_end(
    tmp_path: Path, missing: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    path = png(tmp_path / "a.png", stored(RGB, 8), 8, 2, after=chunk(b"eXIf", exif.tobytes()[6:]))
    path.write_bytes(path.read_bytes()[:-missing])
    assert read_image(path).rgb.shape[-2:] == image_size(path) == (5, 7)


def test_damaged_pixels_before_an_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    path = png(tmp_path / "a.png", stored(RGB, 8), 8, 2, after=chunk(b"eXIf", exif.tobytes()[6:]))
    data = path.read_bytes()
    start = data.index(b"IDAT") + 4
    path.write_bytes(data[: start + 20] + b"\xff" * 30 + data[start + 50 :])
    assert "damaged" in refusal(path)
    with pytest.raises(UserError, match="damaged"):
        image_size(path)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk" * 9]
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_exif_harms_nothing(tmp_path: Path, exif: bytes) -> None:
    loaded = saved(tmp_path / "a.jpg", Image.fromarray(UPRIGHT), exif=exif)
    assert loaded.rgb.shape == (1, 3, 32, 48)
    assert image_size(tmp_path / "a.jpg") == (32, 48)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.tif", "a.png"])
def test_orientation_in_xmp(tmp_path: Path, name: str) -> None:
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet.decode())
    given: dict[str, Any] = {"a.tif": {"tiffinfo": {700: packet}}, "a.png": {"pnginfo": text}}
    Image.new("RGB", (30, 20)).save(tmp_path / name, **given.get(name, {"xmp": packet}))
    assert load_image(tmp_path / name).shape[-2:] == image_size(tmp_path / name) == (30, 20)


def test_an_orientation_that_is_written_as_a_fraction(tmp_path: Path) -> None:
    for turn, size in ((6.0, (30, 20)), (6.5, (20, 30))):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[0x0112] = turn
        tags.tagtype[0x0112] = 12  # a TIFF's double
        Image.new("RGB", (30, 20)).save(tmp_path / "a.tif", tiffinfo=tags)
        assert load_image(tmp_path / "a.tif").shape[-2:] == image_size(tmp_path / "a.tif") == size


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_do_not_exist_change_nothing(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = saved(tmp_path / "a.png", Image.fromarray(RGB), exif=exif)
    np.testing.assert_allclose(pixels(loaded), RGB / 255, atol=1e-7)


# ---- Bad input -----------------------------------------------------------------------------


def refusal(path: Path | str, **options: Any) -> str:
    """The sentence with which a file is refused, by both functions."""
    with pytest.raises(UserError) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 220
    return message


def test_absent(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "a.png")
    assert "there is no such file" in refusal("./no/such/./a.png")  # as it was given


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    assert "is a folder" in refusal(tmp_path / "a.png")


def test_a_path_through_a_file_or_with_a_nul(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert "cannot be read" in refusal(tmp_path / "a" / "b.png")
    assert "cannot be read" in refusal(f"{tmp_path}/a\0b.png")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert "not a regular file" in refusal(tmp_path / "a.png")
    assert read_metadata(tmp_path / "a.png") == {}


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read (Permission denied)" in refusal(path)


def test_a_disk_that_fails_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)

    def fails(self: ImageFile.ImageFile) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(ImageFile.ImageFile, "load", fails)
    assert "cannot be read (Input/output error)" in refusal(path)


def test_memory_that_does_not_suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)

    def fails(self: ImageFile.ImageFile) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fails)
    assert "memory" in refusal(path)


def sides(path: Path, side: int) -> Path:
    """A PNG that claims to be a square, without its pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
    return path


def test_more_pixels_than_the_memory_holds_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sides(tmp_path / "a.png", 13_000)
    monkeypatch.setattr(opening, "machine_bytes", lambda: 2.0**32)
    assert image_size(path) == (13_000, 13_000)
    monkeypatch.setattr(opening, "machine_bytes", lambda: 2.0**31)
    message = refusal(path)
    assert "takes about 2.9 GiB of memory, and there are 2.0 here; make it smaller." in message
    assert image_size(path) == (13_000, 13_000), "it may be wanted smaller"
    monkeypatch.setattr(opening, "machine_bytes", lambda: 2.0**29)
    with pytest.raises(UserError, match=r"about 1\.0 GiB of memory, and there are 0\.5 here"):
        image_size(path)
    usual = sides(path, 8_000)
    message = refusal(usual)
    assert "takes about 1.4 GiB" in message
    with pytest.raises(UserError) as caught:
        image_size(usual)
    assert str(caught.value) == message

    Image.new("RGB", (800, 640)).save(tmp_path / "a.jpg")
    monkeypatch.setattr(opening, "machine_bytes", lambda: 2.0**22)
    assert "make it smaller" in refusal(tmp_path / "a.jpg")
    decode(tmp_path / "a.jpg", max_pixels=MAX_PIXELS, at_least=70)  # a part takes less


READS = """
import sys
from nst_lightning.errors import UserError
from nst_lightning.imaging.decoding import decode
for path in sys.argv[1:]:
    try:
        decode(path, max_pixels=9999)
    except UserError:
        print("refused")
"""


def test_nobody_but_us_says_what_is_wrong(tmp_path: Path) -> None:
    paths = []
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4"):
        mode = "1" if compression == "group4" else "RGB"
        paths.append(tmp_path / f"{compression}.tif")
        Image.radial_gradient("L").convert(mode).save(paths[-1], compression=compression)
        data = bytearray(paths[-1].read_bytes())
        data[len(data) // 3 : len(data) // 2] = bytes(range(256)) * (len(data) // 1536)
        paths[-1].write_bytes(data[:-9] if compression == "raw" else data)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    words = [sys.executable, "-c", READS, *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert "refused" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.heic", "a"])
def test_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert "is empty" in refusal(tmp_path / name)


def test_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("just some words\n" * 10)
    assert "is not an image" in refusal(tmp_path / "a.png")
    assert "PNG, JPEG" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        ("renamed.jpg", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        ("a.avif", b"\0\0\0\x18ftypavif" + bytes(40), "AVIF"),
        ("a.jxl", b"\xff\x0a" + bytes(40), "JPEG XL"),
        ("a.psd", b"8BPS" + bytes(40), "Photoshop"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("a.tga", b"whatever" * 9, "TGA"),
        ("a.nef", b"II*\0" + bytes(40), "NEF"),
    ],
)
def test_formats_that_are_not_supported_are_named(
    tmp_path: Path, name: str, content: bytes, named: str
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert named in message
    assert "not supported; convert it to PNG or JPEG" in message


def test_formats_that_pillow_reads_but_that_are_not_supported(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.ppm")
    Image.fromarray(RGB).save(tmp_path / "a.jp2")
    assert "PPM" in refusal(tmp_path / "a.ppm")
    assert "JPEG 2000" in refusal(tmp_path / "a.jp2")


def test_the_preview_inside_a_raw_file_is_not_taken_for_it(tmp_path: Path) -> None:
    tiff(tmp_path / "a.dng", RGB, 2)
    assert "raw camera (DNG)" in refusal(tmp_path / "a.dng")


@pytest.mark.parametrize(("width", "height"), [(0, 3), (3, 0), (0, 0)])
def test_zero_sized(tmp_path: Path, width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert "no pixels" in refusal(tmp_path / "a.png")

    Image.new("RGB", (3, 3)).save(tmp_path / "a.gif")
    data = bytearray((tmp_path / "a.gif").read_bytes())
    data[6:10] = struct.pack("<HH", width, height)
    frame = data.index(b",") + 5  # the frame has a size of its own
    data[frame : frame + 4] = struct.pack("<HH", width, height)
    (tmp_path / "a.gif").write_bytes(data)
    assert "no pixels" in refusal(tmp_path / "a.gif")

    Image.new("RGB", (3, 3)).save(tmp_path / "a.bmp")
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[18:26] = struct.pack("<ii", width, height)
    (tmp_path / "a.bmp").write_bytes(data)
    assert "no pixels" in refusal(tmp_path / "a.bmp")


def test_decompression_bombs(tmp_path: Path) -> None:
    for side in (13_400, 20_000, 60_000):  # just above Pillow's limit, above, and far above it
        message = refusal(sides(tmp_path / "a.png", side))
        assert f"has {side**2} pixels" in message
        assert str(MAX_PIXELS) in message
        assert f"--max-pixels {side**2}." in message


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.gif", "a.bmp"])
@pytest.mark.filterwarnings("error")
def test_the_limit_is_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    Image.new("RGB", (10, 10), (9, 9, 9)).save(path)
    for limit in (1, 40, 60, 99):
        assert f"more than the limit of {limit}; " in refusal(path, max_pixels=limit)
        with pytest.raises(UserError, match="--max-pixels 100"):
            image_size(path, max_pixels=limit)
        with pytest.raises(UserError, match="--max-pixels 100"):
            load_image(path, max_pixels=limit)
    assert read_image(path, max_pixels=100).rgb.shape == (1, 3, 10, 10)
    assert image_size(path, max_pixels=100) == (10, 10)
    # Pillow's own limit neither stands in the way nor is changed for others.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    assert read_image(path).rgb.shape == (1, 3, 10, 10)
    refusal(path, max_pixels=99)
    assert Image.MAX_IMAGE_PIXELS == 7


WRITERS: dict[str, dict[str, Any]] = {
    "a.png": {},
    "a.jpg": {"quality": 90},
    "progressive.jpg": {"progressive": True},
    "a.gif": {},
    "a.webp": {},
    "a.bmp": {},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
}


def whole_file(path: Path, options: dict[str, Any]) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    noise = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    extra: dict[str, Any] = {} if path.suffix in (".gif", ".bmp") else {"exif": exif}
    Image.fromarray(noise).save(path, **extra, **options)
    return path.read_bytes()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.filterwarnings("ignore")
def test_truncated(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = whole_file(path, WRITERS[name])
    read_image(path)
    for part in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9):
        path.write_bytes(data[: max(1, int(len(data) * part))])
        refusal(path)
    path.write_bytes(data[: len(data) // 2])
    assert "damaged" in refusal(path)


def outcome(function: Callable[..., Any], path: Path) -> Any:
    """What a function makes of a file: its result, or the sentence with which it refused."""
    try:
        return function(path, max_pixels=100_000)
    except UserError as error:
        return str(error)


def only_images_and_sentences(path: Path) -> int:
    """Reads whatever is there in all ways; 1 where it was refused."""
    read_metadata(path)
    made = [outcome(function, path) for function in (read_image, image_size, load_image)]
    assert all(m.startswith(f"{path}: ") for m in made if isinstance(m, str))
    if isinstance(made[0], LoadedImage):
        assert bool(made[0].rgb.isfinite().all())
        assert made[1] == made[0].rgb.shape[-2:]
        return 0
    return 1


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.filterwarnings("ignore")
def test_every_damage_is_a_image_or_a_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = whole_file(path, WRITERS[name])
    random = np.random.default_rng(3)
    refused = 0
    for trial in range(120):
        broken = bytearray(data)
        # Half of the damage falls into the first bytes, where the structure is.
        end = min(len(data), 200 if trial % 2 else len(data))
        for position in random.integers(0, end, 1 + trial % 5):
            broken[position] ^= int(random.integers(1, 256))
        path.write_bytes(broken)
        refused += only_images_and_sentences(path)
    for length in random.integers(1, len(data), 20):
        path.write_bytes(data[:length])
        refused += only_images_and_sentences(path)
    assert refused > 10


@pytest.mark.parametrize(
    "error", [SyntaxError("x"), struct.error("x"), EOFError(), KeyError(1), ValueError("a\nb")]
)
def test_whatever_pillow_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)

    def fails(self: ImageFile.ImageFile) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", fails)
    assert "damaged" in refusal(path)


# ---- load_image, fractions -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "upscale", "shape"),
    [
        (None, False, (32, 48)),
        (24, False, (16, 24)),
        (96, False, (32, 48)),
        (96, True, (64, 96)),
    ],
)
def test_load_image(
    tmp_path: Path, size: int | None, upscale: bool, shape: tuple[int, int]
) -> None:
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png", size, upscale=upscale)
    assert image.shape == (1, 3, *shape)
    assert image.dtype == torch.float32
    assert image.min() >= 0
    assert image.max() <= 1
    mean = torch.from_numpy(UPRIGHT / 255.0).mean((0, 1)).float()
    torch.testing.assert_close(image.mean((0, 2, 3)), mean, atol=0.01, rtol=0)


def test_load_image_refuses_sizes_below_1(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="size is 0"):
        load_image(tmp_path / "a.png", 0)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", torch.rand(3, 4, 6))
    assert load_image(str(tmp_path / "a.png")).shape == (1, 3, 4, 6)
    assert image_size(str(tmp_path / "a.png")) == (4, 6)


def test_a_jpeg_may_be_decoded_at_a_fraction(tmp_path: Path) -> None:
    Image.new("RGB", (800, 640), (200, 100, 50)).save(tmp_path / "a.jpg")
    whole = decode(tmp_path / "a.jpg", max_pixels=MAX_PIXELS).colour
    part = decode(tmp_path / "a.jpg", max_pixels=MAX_PIXELS, at_least=70).colour
    assert whole.size == (800, 640)
    assert 70 <= min(part.size) < 140
    assert part.getpixel((9, 9)) == pytest.approx((200, 100, 50), abs=3)
