"""Large images, some rows at a time, against the same images as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from nst_lightning import UserError
from nst_lightning.imaging import bands, opening, tiff_writing
from nst_lightning.imaging.decoding import decode_on_white
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.imaging.in_memory import ImagesInMemory
from nst_lightning.imaging.metadata import image_size
from nst_lightning.imaging.reading import LoadedImage, load_image, read_image, read_resized
from nst_lightning.imaging.resize import resize
from nst_lightning.imaging.writing import write_image
from tests.campaign.images import chunks, png

RNG = np.random.default_rng(5)
ROUGH = Image.fromarray(RNG.integers(0, 256, (70, 50, 3), dtype=np.uint8))
MOST = 10**6


def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every image be a large one, and few of its rows decoded at a time."""
    monkeypatch.setattr(bands, "LARGE", 0)
    monkeypatch.setattr(bands, "BAND_PIXELS", 333)


def clear() -> Image.Image:
    image = ROUGH.copy()
    image.putalpha(ROUGH.getchannel("G"))
    image.paste((1, 2, 3, 255), (0, 0, 50, 30))  # opaque at the top
    return image


def put(folder: Path) -> Path:
    ROUGH.save(folder / "rough.png")
    return folder / "rough.png"


def turned(orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


KINDS: list[tuple[str, Image.Image, dict[str, Any]]] = [
    ("a.png", ROUGH, {}),
    ("clear.png", clear(), {}),
    ("keyed.png", ROUGH, {"transparency": (1, 2, 3)}),
    ("gray.png", ROUGH.getchannel("R"), {}),
    ("deep.png", ROUGH.getchannel("R").convert("I;16"), {}),
    ("palette.png", ROUGH.quantize(9), {"transparency": 3}),
    ("a.webp", clear(), {"lossless": True, "exact": True}),
    ("a.tif", ROUGH, {"compression": "tiff_lzw", "strip_size": 900}),
    ("one_strip.tif", ROUGH, {"compression": "tiff_lzw"}),
    ("plain.tif", ROUGH, {}),
    ("clear.tif", clear(), {"compression": "tiff_lzw", "strip_size": 900}),
    ("float.tif", ROUGH.getchannel("R").convert("F"), {}),
    *((f"{n}.tif", ROUGH, {"strip_size": 900, **turned(n)}) for n in range(1, 9)),
    *((f"{n}.jpg", ROUGH, turned(n)) for n in range(1, 9)),
]  # fmt: skip


def same(one: LoadedImage, other: LoadedImage, atol: float = 0.0) -> None:
    assert torch.allclose(one.rgb, other.rgb, atol=atol, rtol=0)
    assert one.rgb.is_contiguous()
    assert one.rgb.dtype == torch.float32
    assert (one.alpha is None) == (other.alpha is None)
    if one.alpha is not None and other.alpha is not None:
        assert torch.allclose(one.alpha, other.alpha, atol=atol, rtol=0)


@pytest.mark.filterwarnings("ignore:.*most of its values")
@pytest.mark.parametrize(("name", "image", "options"), KINDS, ids=[name for name, *_ in KINDS])
def test_they_are_read_as_a_whole_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    image: Image.Image,
    options: dict[str, Any],
):
    path = tmp_path / name
    image.save(path, **options)
    whole, height, width = read_image(path), *image_size(path)
    sizes = [(height, width), (height // 2, width // 2), (31, 13), (1, 1), (height - 1, width)]
    expected = {size: resize(whole.rgb, *size) for size in sizes}
    white = decode_on_white(path, max_pixels=MOST)
    small_bands(monkeypatch)
    assert image_size(path) == (height, width)
    same(read_image(path), whole)
    same(ImageReader(MOST).image(path), whole)
    for size in sizes:
        got = ImageReader(MOST).resized(path, *size)
        alpha = None if whole.alpha is None else resize(whole.alpha, *size)
        same(got, LoadedImage(expected[size], alpha), atol=1e-5)
    # An enlarged side needs the whole.
    same(read_resized(path, (height, width + 9)), read_resized(path, (height, width + 9)))
    assert decode_on_white(path, max_pixels=MOST).tobytes() == white.tobytes()
    least = decode_on_white(path, max_pixels=MOST, at_least=13)
    if not name[0].isdigit() and "float" not in name:  # those are not turned
        assert least.tobytes() == white.reduce(min(white.size) // 13).tobytes()


@pytest.mark.parametrize("how", ["bicubic", "bilinear"])
def test_load_image_and_images_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str):
    path = put(tmp_path)
    expected, exact = load_image(path, 40), read_resized(path, (40, 29), how=how)
    memory = ImagesInMemory(MOST)
    held = memory.add(load_image(path), "content")
    small_bands(monkeypatch)
    assert torch.allclose(load_image(path, 40), expected, atol=1e-5)
    for reader, name in ((memory, held), (memory, path), (ImageReader(MOST), path)):
        same(reader.resized(name, 40, 29, how=how), exact, atol=1e-5)


def test_a_profile_is_applied_to_each_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    ROUGH.convert("LAB").save(tmp_path / "a.tif", icc_profile=profile, strip_size=900)
    whole = read_image(tmp_path / "a.tif")
    small_bands(monkeypatch)
    same(read_image(tmp_path / "a.tif"), whole)


def test_the_memory_asked_for_is_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bands, "LARGE", 0)
    monkeypatch.setattr(bands, "BAND_PIXELS", 1 << 10)
    monkeypatch.setattr(tiff_writing, "TILED_FROM", 0)
    write_image(tmp_path / "a.tif", torch.rand(3, 1600, 1200), format="tiff")
    Image.new("RGB", (1200, 1600)).save(tmp_path / "a.jpg")
    monkeypatch.setattr(opening, "machine_bytes", lambda: 2.0**24)
    # Rows of tiles alone, 1200 x 512 pixels; or all pixels of a JPEG.
    assert image_size(tmp_path / "a.tif") == (1600, 1200)
    assert read_resized(tmp_path / "a.tif", (160, 120)).rgb.shape == (1, 3, 160, 120)
    for read in (read_image, lambda path: image_size(path)):
        with pytest.raises(UserError, match="make it smaller"):
            read(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="reading its 1200 x 1600 pixels"):
        read_image(tmp_path / "a.tif")


def test_damage_in_one_band_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.tif"
    monkeypatch.setattr(tiff_writing, "STRIP_PIXELS", 300)
    write_image(path, read_image(put(tmp_path)).rgb, format="tiff")
    small_bands(monkeypatch)
    path.write_bytes(path.read_bytes()[:-2000])
    assert image_size(path) == (70, 50)
    with pytest.raises(UserError, match=r"damaged or cut short \(.+\); get a whole copy"):
        read_image(path)


def test_transparency_that_is_said_behind_the_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.png"
    ROUGH.quantize(9).save(path, transparency=3)
    parts = chunks(path.read_bytes())
    late = [part for part in parts if part[0] == b"tRNS"]
    path.write_bytes(png([*(part for part in parts[:-1] if part not in late), *late, parts[-1]]))
    whole = read_image(path)
    assert whole.alpha is not None
    small_bands(monkeypatch)
    same(read_image(path), whole)
