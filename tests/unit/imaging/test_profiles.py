"""Embedded colour profiles → sRGB, against values computed here from the definitions."""

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from nst_lightning.imaging.reading import LoadedImage, read_image

D65 = (0.3127, 0.3290)
D50_XYZ = np.array([0.9642, 1.0, 0.8249])
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
SRGB_AS_PUBLISHED = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
"""The rounded matrix of "sRGB IEC61966-2.1", the profile that most images carry."""
COLOURS = np.array(
    [
        (200, 60, 60), (60, 180, 70), (70, 80, 200), (128, 128, 128), (250, 250, 250),
        (10, 12, 14), (230, 180, 40), (90, 30, 120), (255, 255, 255), (0, 0, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip


def xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Linear RGB → XYZ under D65."""
    columns = np.stack([xyz(*p) for p in primaries], axis=1)
    return columns * np.linalg.solve(columns, xyz(*D65))


def adaptation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    gains = (BRADFORD @ target) / (BRADFORD @ source)
    return np.linalg.inv(BRADFORD) @ (gains[:, None] * BRADFORD)


def encoded(linear: np.ndarray) -> np.ndarray:
    """Linear light → sRGB in [0, 1]."""
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def s15(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def icc(space: bytes, kind: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2.4, of these tags."""
    tags = {
        b"desc": b"desc" + struct.pack(">II", 0, 5) + b"test\0" + bytes(79),
        b"wtpt": b"XYZ " + bytes(4) + s15(*D50_XYZ),
        **tags,
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    size = start + len(data)
    head = struct.pack(">I", size) + bytes(4) + struct.pack(">I", 0x02400000) + kind + space + pcs
    head += bytes(12) + b"acsp" + bytes(28) + s15(*D50_XYZ)
    return head.ljust(128, b"\0") + table + data


def curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + bytes(2)


def srgb_curve() -> bytes:
    """sRGB's own curve as a table, which is how the common profiles have it."""
    x = np.linspace(0, 1, 1024)
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    table = (linear * 65535).round().astype(">u2").tobytes()
    return b"curv" + struct.pack(">II", 0, 1024) + table


def matrix_profile(matrix: np.ndarray, response: bytes) -> bytes:
    """Of the matrix linear RGB → XYZ under D50."""
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags = {n: b"XYZ " + bytes(4) + s15(*c) for n, c in zip(names, matrix.T, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), response)
    return icc(b"RGB ", b"mntr", b"XYZ ", tags)


def rgb_profile(primaries: tuple[tuple[float, float], ...], gamma: float) -> bytes:
    return matrix_profile(adaptation(xyz(*D65), D50_XYZ) @ to_xyz(primaries), curve(gamma))


def gray_profile(gamma: float) -> bytes:
    return icc(b"GRAY", b"mntr", b"XYZ ", {b"kTRC": curve(gamma)})


def lab8(lab: tuple[float, float, float]) -> bytes:
    return bytes([round(lab[0] * 2.55), round(lab[1] + 128), round(lab[2] + 128)])


def cmyk_profile(paints: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """Each combination of full and no ink has a colour in Lab; black where none is given."""
    corners = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    straight = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + s15(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += straight * 4 + b"".join(lab8(paints.get(c, (0, 0, 0))) for c in corners)
    return icc(b"CMYK", b"prtr", b"Lab ", {b"A2B0": table + straight * 3})


def lab_to_srgb(lab: tuple[float, float, float]) -> np.ndarray:
    fy = (lab[0] + 16) / 116
    f = np.array([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    d50 = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50_XYZ
    d65 = adaptation(D50_XYZ, xyz(*D65)) @ d50
    return encoded(np.linalg.solve(to_xyz(SRGB), d65))


def colours(loaded: LoadedImage) -> np.ndarray:
    """(pixels, 3)."""
    return loaded.rgb[0].flatten(1).T.numpy()


def swatches(mode: str = "RGB", values: np.ndarray = COLOURS, side: int = 16) -> Image.Image:
    """A row of flat squares, so that JPEG's losses stay within a level or two."""
    wide = np.repeat(np.repeat(values[None], side, axis=0), side, axis=1)
    return Image.frombytes(mode, (side * len(values), side), wide.tobytes())


def middles(loaded: LoadedImage, count: int) -> np.ndarray:
    """The colours in the middle of each square."""
    side = loaded.rgb.shape[-2]
    return loaded.rgb[0, :, side // 2, side // 2 :: side].T.numpy()[:count]


@pytest.mark.parametrize(("primaries", "gamma"), [(P3, 2.2), (ADOBE, 563 / 256), (SRGB, 1.8)])
@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.png", {}, 1.5),
        ("a.tif", {}, 1.5),
        ("a.webp", {"lossless": True}, 1.5),
        ("a.jpg", {"quality": 100, "subsampling": 0}, 6),
    ],
)
def test_rgb_profiles(
    tmp_path: Path,
    primaries: tuple[tuple[float, float], ...],
    gamma: float,
    name: str,
    options: dict[str, Any],
    tolerance: float,
) -> None:
    swatches().save(tmp_path / name, icc_profile=rgb_profile(primaries, gamma), **options)
    linear = (COLOURS / 255.0) ** gamma
    expected = encoded(linear @ to_xyz(primaries).T @ np.linalg.inv(to_xyz(SRGB)).T)
    found = middles(read_image(tmp_path / name), len(COLOURS))
    # Dark colours, where the curve is steep, lose more to 8 bits.
    np.testing.assert_allclose(found * 255, expected * 255, atol=tolerance)
    assert np.abs(found * 255 - COLOURS).max() > 10, "the profile made no difference"


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_the_profile_reaches_palettes_and_leaves_alpha_alone(tmp_path: Path, mode: str) -> None:
    profile = rgb_profile(ADOBE, 2.2)
    image = swatches()
    image.save(tmp_path / "plain.png", icc_profile=profile)
    if mode == "P":
        image = image.quantize(len(COLOURS), dither=Image.Dither.NONE)
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(swatches()))
    else:
        image.putalpha(77)
    image.save(tmp_path / "a.png", icc_profile=profile)
    loaded = read_image(tmp_path / "a.png")
    assert torch.equal(loaded.rgb, read_image(tmp_path / "plain.png").rgb)
    if mode == "RGBA":
        assert loaded.alpha is not None
        assert loaded.alpha.unique().tolist() == [pytest.approx(77 / 255)]


@pytest.mark.parametrize(
    "profile",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        matrix_profile(SRGB_AS_PUBLISHED, srgb_curve()),
    ],
    ids=["littlecms", "IEC61966-2.1"],
)
def test_srgb_itself_keeps_every_pixel(tmp_path: Path, profile: bytes) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    assert np.array_equal(colours(read_image(tmp_path / "a.png")) * 255, pixels.reshape(-1, 3))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_gray_profiles(tmp_path: Path, name: str) -> None:
    levels = np.array([0, 20, 80, 128, 200, 255], dtype=np.uint8)
    options: dict[str, Any] = {"quality": 100} if name == "a.jpg" else {}
    swatches("L", levels).save(tmp_path / name, icc_profile=gray_profile(1.8), **options)
    expected = encoded((levels / 255.0) ** 1.8)
    found = middles(read_image(tmp_path / name), len(levels))
    np.testing.assert_allclose(found * 255, np.stack([expected * 255] * 3, 1), atol=2)
    assert abs(expected[2] * 255 - 80) > 10


def test_gray_profile_of_16_bits_and_of_gray_with_alpha(tmp_path: Path) -> None:
    levels = np.array([0, 20, 80, 128, 200, 255], dtype=np.uint16)
    Image.fromarray((levels * 257)[None]).save(tmp_path / "a.png", icc_profile=gray_profile(1.8))
    Image.merge(
        "LA", [Image.fromarray(levels.astype(np.uint8)[None]), Image.new("L", (6, 1), 50)]
    ).save(tmp_path / "b.png", icc_profile=gray_profile(1.8))
    expected = np.stack([encoded((levels / 255.0) ** 1.8)] * 3, 1)
    for name in ("a.png", "b.png"):
        np.testing.assert_allclose(colours(read_image(tmp_path / name)), expected, atol=2 / 255)


def test_a_gray_image_with_a_profile_for_colour(tmp_path: Path) -> None:
    levels = np.array([0, 20, 80, 128, 200, 255], dtype=np.uint8)
    Image.fromarray(levels[None]).save(tmp_path / "a.png", icc_profile=rgb_profile(P3, 1.8))
    expected = np.stack([encoded((levels / 255.0) ** 1.8)] * 3, 1)
    np.testing.assert_allclose(colours(read_image(tmp_path / "a.png")), expected, atol=2 / 255)


INKS = {
    (0, 0, 0, 0): (100.0, 0.0, 0.0),
    (1, 0, 0, 0): (60.0, -30.0, -40.0),
    (0, 1, 0, 0): (50.0, 60.0, 0.0),
    (0, 0, 1, 0): (90.0, -5.0, 70.0),
    (1, 1, 0, 0): (35.0, 15.0, -40.0),
    (0, 0, 0, 1): (0.0, 0.0, 0.0),
}


@pytest.mark.parametrize(("name", "tolerance"), [("a.tif", 2.5), ("a.jpg", 6.0)])
def test_cmyk_profiles(tmp_path: Path, name: str, tolerance: float) -> None:
    inks = np.array(list(INKS), dtype=np.uint8) * 255
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
    image = swatches("CMYK", inks)
    image.save(tmp_path / name, icc_profile=cmyk_profile(INKS), **options)
    found = middles(read_image(tmp_path / name), len(inks))
    expected = np.stack([lab_to_srgb(lab) for lab in INKS.values()])
    np.testing.assert_allclose(found * 255, expected * 255, atol=tolerance)


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile",
        rgb_profile(P3, 2.2)[:150],
        rgb_profile(P3, 2.2)[:120] + bytes(400),
        gray_profile(2.2),
        cmyk_profile(INKS),
    ],
    ids=["text", "cut short", "zeros", "gray", "cmyk"],
)
def test_a_profile_that_does_not_fit_is_passed_over_with_a_warning(
    tmp_path: Path, profile: bytes
) -> None:
    swatches().save(tmp_path / "a.png", icc_profile=profile)
    with pytest.warns(UserWarning, match=r"a\.png: its colour profile is passed over"):
        loaded = read_image(tmp_path / "a.png")
    assert np.array_equal(middles(loaded, len(COLOURS)) * 255, COLOURS)


def test_a_good_profile_brings_no_warning(tmp_path: Path) -> None:
    swatches().save(tmp_path / "a.png", icc_profile=rgb_profile(P3, 2.2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(tmp_path / "a.png")


def test_lab_without_a_profile(tmp_path: Path) -> None:
    labs = [(50, 30, -20), (80, -20, 40), (100, 0, 0), (0, 0, 0)]
    # TIFF's CIELAB: L over 0 ... 255, a and b as signed bytes.
    stored = np.array([(round(v[0] * 2.55), v[1] % 256, v[2] % 256) for v in labs], dtype=np.uint8)
    Image.frombytes("LAB", (4, 1), stored.tobytes()).save(tmp_path / "a.tif")
    found = colours(read_image(tmp_path / "a.tif"))
    np.testing.assert_allclose(found, [lab_to_srgb(lab) for lab in labs], atol=3 / 255)
