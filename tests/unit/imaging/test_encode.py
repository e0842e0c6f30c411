"""Files in every format: pixels by another decoder, profile, texts, EXIF."""

import io
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from nst_lightning.formats import MAX_PIXELS, RESULT_SUFFIXES
from nst_lightning.imaging.encode import Beside, encode
from nst_lightning.imaging.exif import read_exif
from nst_lightning.imaging.header import read_metadata
from nst_lightning.imaging.read import read_picture

TEXTS = {
    "nst-lightning": '{"content": "фото & <日本> 🎨.jpg", "losses": [1, 2.5]}',
    "b": "\udc80\n",
}
PLAIN = {"nst-lightning": TEXTS["nst-lightning"]}


def levels(channels: int, bits: int) -> torch.Tensor:
    rough = torch.rand(channels, 21, 34, generator=torch.Generator().manual_seed(1))
    found = (rough * (2**bits - 1)).round()
    return found.to(torch.uint8 if bits == 8 else torch.int32)


def put(folder: Path, format: str, **changes: Any) -> Path:
    given: dict[str, Any] = {"levels": levels(3, 8), "bits": 8, "quality": 95, "beside": Beside()}
    path = folder / f"x.{RESULT_SUFFIXES[format]}"
    path.write_bytes(encode(**(given | changes), format=format))
    return path


def by_ffmpeg(path: Path, kind: str, channels: int) -> np.ndarray:
    """The pixels, (H, W, C), as another program decodes them."""
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
    words += ["-f", "rawvideo", "-pix_fmt", kind, "-"]
    done = subprocess.run(words, capture_output=True, check=True)
    assert not done.stderr
    return np.frombuffer(done.stdout, "<u2" if kind.endswith("le") else "u1").reshape(
        21, 34, channels
    )


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize(
    ("bits", "channels", "kind"),
    [(8, 3, "rgb24"), (8, 4, "rgba"), (16, 3, "rgb48le"), (16, 4, "rgba64le")],
)
def test_another_program_reads_every_level(
    tmp_path: Path, format: str, bits: int, channels: int, kind: str
):
    pixels = levels(channels, bits)
    path = put(tmp_path, format, levels=pixels, bits=bits, beside=Beside(PLAIN))
    assert (by_ffmpeg(path, kind, channels) == pixels.permute(1, 2, 0).numpy()).all()
    # Our own reader takes the upper 8 bits, and the profile changes nothing.
    picture = read_picture(path)
    read = torch.cat([picture.rgb, *([picture.alpha] if picture.alpha is not None else [])], 1)[0]
    assert torch.equal((read * 255).round().int(), pixels.int() >> (bits - 8))


def test_lossless_and_lossy(tmp_path: Path):
    clear = levels(4, 8)
    clear[3, :10] = 0
    exact = read_picture(put(tmp_path, "webp", levels=clear, quality=100))
    assert exact.alpha is not None
    assert torch.equal(torch.cat([exact.rgb, exact.alpha], 1)[0] * 255, clear.float())
    wave = torch.linspace(0, 255, 34).expand(3, 21, 34).to(torch.uint8)
    for format in ("jpeg", "webp"):
        sizes = []
        for quality in (20, 95):
            path = put(tmp_path, format, levels=wave, quality=quality)
            error = (read_picture(path).rgb[0] * 255 - wave).abs()
            assert error.mean() < (8 if quality == 20 else 2)
            sizes.append(len(put(tmp_path, format, quality=quality).read_bytes()))
        assert sizes[0] < sizes[1]


@pytest.mark.parametrize("quality", [50, 94, 95, 100])
def test_even_noise_fits_into_a_jpeg(tmp_path: Path, quality: int):
    noise = torch.randint(0, 256, (3, 1000, 1200), generator=torch.Generator().manual_seed(0))
    path = put(tmp_path, "jpeg", levels=noise.to(torch.uint8), quality=quality)
    assert read_picture(path).rgb.shape == (1, 3, 1000, 1200)


def test_a_jpeg_has_its_colours_at_full_resolution(tmp_path: Path):
    with Image.open(put(tmp_path, "jpeg")) as image:
        assert {component[1:3] for component in image.layer} == {(1, 1)}


@pytest.mark.parametrize(("format", "bits"), [*((f, 8) for f in RESULT_SUFFIXES), ("png", 16)])
def test_the_profile_is_that_of_srgb_and_always_the_same(tmp_path: Path, format: str, bits: int):
    path = put(tmp_path, format, levels=levels(3, bits), bits=bits)
    assert (
        path.read_bytes() == put(tmp_path, format, levels=levels(3, bits), bits=bits).read_bytes()
    )
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    made = profile.profile.creation_date
    assert made is not None
    assert made.year == 2000


@pytest.mark.parametrize(("format", "bits"), [*((f, 8) for f in RESULT_SUFFIXES), ("png", 16)])
def test_texts_come_back(tmp_path: Path, format: str, bits: int):
    texts = PLAIN if format == "png" else TEXTS  # a PNG holds Unicode alone, no half of a character
    path = put(tmp_path, format, levels=levels(3, bits), bits=bits, beside=Beside(texts))
    assert read_metadata(path) == texts
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert read_metadata(path) == {}


def test_other_peoples_files_have_no_texts_of_ours(tmp_path: Path):
    foreign: dict[str, dict[str, Any]] = {
        "a.jpg": {"xmp": b"<x:xmpmeta><dc:title>mine</dc:title></x:xmpmeta>"},
        "b.jpg": {"xmp": b"<nst:texts>{not json</nst:texts>"},
        "c.webp": {"xmp": b"<nst:texts>[1]</nst:texts>"},
        "d.tif": {},
        "e.gif": {},
    }
    for name, options in foreign.items():
        Image.new("RGB", (8, 8)).save(tmp_path / name, **options)
        assert read_metadata(tmp_path / name) == {}


def test_a_deep_png_is_well_formed():
    data = encode(levels(3, 16), 16, "png", 95, Beside(PLAIN, {int(Base.Make): "Maker"}))
    names, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        names.append(body[:4])
        at += 12 + length
    assert names == [b"IHDR", b"iCCP", b"iTXt", b"eXIf", b"IDAT", b"IEND"]


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """With date, camera and position, and with what is nobody's business, turned."""
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model], exif[Base.DateTime] = "Maker", "M 1", "2024:05:06 07:08:09"
    exif[Base.Orientation], exif[Base.Artist] = 6, "Jane Doe"
    exif[IFD.Exif] = {
        int(Base.DateTimeOriginal): "2024:05:06 07:08:09",
        int(Base.ExposureTime): IFDRational(1, 250),
        int(Base.FNumber): 2.8,
        int(Base.LensModel): "50mm",
        int(Base.MakerNote): b"secret",
        int(Base.BodySerialNumber): "0815",
        int(Base.LensMake): "x" * 70_000,  # more than a JPEG can take
    }
    exif[IFD.GPSInfo] = {
        int(GPS.GPSLatitudeRef): "N", int(GPS.GPSLatitude): (48.0, 31.0, 12.5),
        int(GPS.GPSLongitudeRef): "E", int(GPS.GPSLongitude): (9.0, 3.0, 26.0),
    }  # fmt: skip
    Image.new("RGB", (40, 30)).save(tmp_path / "photo.png", exif=exif)
    return tmp_path / "photo.png"


@pytest.mark.parametrize(("format", "bits"), [*((f, 8) for f in RESULT_SUFFIXES), ("png", 16)])
def test_date_camera_and_position_are_handed_on(
    tmp_path: Path, photograph: Path, format: str, bits: int
):
    beside = Beside(PLAIN, read_exif(photograph, max_pixels=MAX_PIXELS))
    path = put(tmp_path, format, levels=levels(3, bits), bits=bits, beside=beside)
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        assert (exif[Base.Make], exif[Base.Model]) == ("Maker", "M 1")
        assert exif[Base.DateTime] == "2024:05:06 07:08:09"
        assert exif.get(Base.Orientation, 1) == 1
        assert Base.Artist not in exif
        camera, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    assert set(camera) == {
        Base.DateTimeOriginal, Base.ExposureTime, Base.FNumber, Base.LensModel,
    }  # fmt: skip
    assert float(camera[Base.ExposureTime]) == pytest.approx(1 / 250)
    assert float(camera[Base.FNumber]) == pytest.approx(2.8)
    assert place[GPS.GPSLatitudeRef] == "N"
    assert [float(part) for part in place[GPS.GPSLatitude]] == [48, 31, 12.5]
    assert read_metadata(path) == PLAIN


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_picture_without_exif_or_with_damaged_exif_has_nothing_to_hand_on(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    for name in ("a.jpg", "b.jpg"):
        assert read_exif(tmp_path / name, max_pixels=MAX_PIXELS) == {}
