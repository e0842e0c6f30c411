"""Files in every format: exact levels, alpha, profile, texts, EXIF, and the old file until the new
one is whole."""

import errno
import io
import os
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from nst_lightning.formats import MAX_PIXELS, RESULT_FORMATS
from nst_lightning.imaging.exif import read_exif
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.metadata import Metadata, read_metadata
from nst_lightning.imaging.profiles import srgb_profile
from nst_lightning.imaging.reading import read_image
from nst_lightning.imaging.writing import write_image

TEXTS = {
    "nst-lightning": '{"content": "фото & <日本> 🎨.jpg", "losses": [1, 2.5]}',
    "b": "\udc80\n",
}
PLAIN = {"nst-lightning": TEXTS["nst-lightning"]}


def levels(channels: int, bits: int) -> torch.Tensor:
    rough = torch.rand(channels, 21, 34, generator=torch.Generator().manual_seed(1))
    found = (rough * (2**bits - 1)).round()
    return found.to(torch.uint8 if bits == 8 else torch.int32)


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def put(folder: Path, format: str, **changes: Any) -> Path:
    found = changes.pop("levels", levels(3, 8))
    path = folder / f"x{RESULT_FORMATS[format].suffixes[0]}"
    alpha = found[3:] if len(found) == 4 else None
    metadata = replace(changes.pop("metadata", Metadata()), profile=srgb_profile())
    write_image(path, found[:3], alpha, metadata, format=format, **changes)
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
    path = put(tmp_path, format, levels=pixels, bits=bits, metadata=Metadata(PLAIN))
    assert (by_ffmpeg(path, kind, channels) == pixels.permute(1, 2, 0).numpy()).all()
    # Our own reader takes the upper 8 bits, and the profile changes nothing.
    loaded = read_image(path)
    read = torch.cat([loaded.rgb, *([loaded.alpha] if loaded.alpha is not None else [])], 1)[0]
    assert torch.equal((read * 255).round().int(), pixels.int() >> (bits - 8))


def test_lossless_and_lossy(tmp_path: Path):
    clear = levels(4, 8)
    clear[3, :10] = 0
    exact = read_image(put(tmp_path, "webp", levels=clear, quality=100))
    assert exact.alpha is not None
    assert torch.equal(torch.cat([exact.rgb, exact.alpha], 1)[0] * 255, clear.float())
    wave = torch.linspace(0, 255, 34).expand(3, 21, 34).to(torch.uint8)
    for format in ("jpeg", "webp"):
        sizes = []
        for quality in (20, 95):
            path = put(tmp_path, format, levels=wave, quality=quality)
            error = (read_image(path).rgb[0] * 255 - wave).abs()
            assert error.mean() < (8 if quality == 20 else 2)
            sizes.append(len(put(tmp_path, format, quality=quality).read_bytes()))
        assert sizes[0] < sizes[1]


@pytest.mark.parametrize("quality", [50, 94, 95, 100])
def test_even_noise_fits_into_a_jpeg(tmp_path: Path, quality: int):
    noise = torch.randint(0, 256, (3, 1000, 1200), generator=torch.Generator().manual_seed(0))
    path = put(tmp_path, "jpeg", levels=noise.to(torch.uint8), quality=quality)
    assert read_image(path).rgb.shape == (1, 3, 1000, 1200)


def test_a_jpeg_has_its_colours_at_full_resolution(tmp_path: Path):
    with Image.open(put(tmp_path, "jpeg")) as image:
        assert {component[1:3] for component in image.layer} == {(1, 1)}


@pytest.mark.parametrize(("format", "bits"), [*((f, 8) for f in RESULT_FORMATS), ("png", 16)])
def test_the_profile_is_that_of_srgb_and_always_the_same(tmp_path: Path, format: str, bits: int):
    path = put(tmp_path, format, levels=levels(3, bits), bits=bits)
    assert (
        path.read_bytes() == put(tmp_path, format, levels=levels(3, bits), bits=bits).read_bytes()
    )
    with Image.open(path) as image:
        data = image.info["icc_profile"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(data)))
    assert struct.unpack(">6H", data[24:36]) == (2000, 1, 1, 0, 0, 0)  # when it was made


@pytest.mark.parametrize(("format", "bits"), [*((f, 8) for f in RESULT_FORMATS), ("png", 16)])
def test_texts_come_back(tmp_path: Path, format: str, bits: int):
    texts = PLAIN if format == "png" else TEXTS  # a PNG holds Unicode alone, no half of a character
    path = put(tmp_path, format, levels=levels(3, bits), bits=bits, metadata=Metadata(texts))
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


def test_a_deep_png_is_well_formed(tmp_path: Path):
    metadata = Metadata(PLAIN, {int(Base.Make): "Maker"})
    path = put(tmp_path, "png", levels=levels(3, 16), bits=16, metadata=metadata)
    data = path.read_bytes()
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


@pytest.mark.parametrize(("format", "bits"), [*((f, 8) for f in RESULT_FORMATS), ("png", 16)])
def test_date_camera_and_position_are_handed_on(
    tmp_path: Path, photograph: Path, format: str, bits: int
):
    metadata = Metadata(PLAIN, read_exif(photograph, max_pixels=MAX_PIXELS))
    path = put(tmp_path, format, levels=levels(3, bits), bits=bits, metadata=metadata)
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
def test_a_image_without_exif_or_with_damaged_exif_has_nothing_to_hand_on(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    for name in ("a.jpg", "b.jpg"):
        assert read_exif(tmp_path / name, max_pixels=MAX_PIXELS) == {}


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 3, 5, 7)])
def test_pixels_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    rgb = noise(*shape)
    write_image(tmp_path / "new" / "a.png", rgb)
    loaded = read_image(tmp_path / "new" / "a.png")
    assert torch.equal(loaded.rgb, to_levels(rgb).view(1, 3, 5, 7).float() / 255)
    assert loaded.alpha is None
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert (image.mode, image.size, image.format) == ("RGB", (7, 5), "PNG")
        assert image.getpixel((6, 1)) == tuple(to_levels(rgb).view(3, 5, 7)[:, 1, 6].tolist())


@pytest.mark.parametrize("shape", [(1, 5, 7), (1, 1, 5, 7)])
def test_alpha_comes_back_and_leaves_the_colour_alone(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    rgb, alpha = noise(3, 5, 7), noise(*shape)
    alpha.view(5, 7)[0] = 0
    write_image(tmp_path / "a.png", rgb, alpha)
    loaded = read_image(tmp_path / "a.png")
    assert loaded.alpha is not None
    assert torch.equal(loaded.alpha, to_levels(alpha).view(1, 1, 5, 7).float() / 255)
    assert torch.equal(loaded.rgb[0], to_levels(rgb).float() / 255)


def test_levels_are_written_as_they_are(tmp_path: Path) -> None:
    rgb = to_levels(noise(3, 4, 6))
    write_image(tmp_path / "a.png", rgb)
    assert torch.equal(read_image(tmp_path / "a.png").rgb[0], rgb.float() / 255)


def test_a_image_that_still_has_a_gradient_can_be_written(tmp_path: Path) -> None:
    image = torch.nn.Parameter(noise(3, 4, 4).permute(0, 2, 1))
    write_image(tmp_path / "a.png", image)
    assert torch.equal(read_image(tmp_path / "a.png").rgb[0], to_levels(image).float() / 255)


def test_metadata_come_back(tmp_path: Path) -> None:
    metadata = {
        "nst": '{"style": "scream", "weights": [1, 2.5]}',
        "Comment": "Zwölf Boxkämpfer\njagen 日本語 🎨",
        "long": "x" * 3_000_000,
        "empty": "",
    }
    write_image(tmp_path / "a.png", noise(3, 4, 4), metadata=Metadata(metadata))
    assert read_metadata(tmp_path / "a.png") == metadata
    with Image.open(tmp_path / "a.png") as image:  # and others can read them
        assert image.info["nst"] == metadata["nst"]
        assert image.info["Comment"] == metadata["Comment"]


@pytest.mark.parametrize("metadata", [{"": "x"}, {"k" * 80: "x"}, {"日": "x"}, {"k": "a\0b"}])
def test_metadata_that_png_cannot_hold_are_refused(
    tmp_path: Path, metadata: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"keyword|NUL|codec"):
        write_image(tmp_path / "a.png", noise(3, 4, 4), metadata=Metadata(metadata))
    assert not list(tmp_path.iterdir())


def test_the_file_says_that_it_is_srgb(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", noise(3, 4, 4))
    data = (tmp_path / "a.png").read_bytes()
    assert 0 < data.index(b"sRGB") < data.index(b"IDAT")


@pytest.mark.parametrize(
    ("rgb", "alpha"),
    [
        (noise(2, 3, 4, 4), None),
        (noise(4, 4, 4), None),
        (noise(4, 4), None),
        (noise(3, 0, 4), None),
        (noise(3, 4, 4), noise(3, 4, 4)),
        (noise(3, 4, 4), noise(1, 4, 5)),
    ],
)
def test_other_shapes_are_refused(
    tmp_path: Path, rgb: torch.Tensor, alpha: torch.Tensor | None
) -> None:
    with pytest.raises(ValueError, match=r"must be|alpha is"):
        write_image(tmp_path / "a.png", rgb, alpha)


def test_nan_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="NaN"):
        write_image(path, torch.full((3, 4, 4), float("nan")))
    assert path.read_bytes() == b"old"


def test_a_full_disk_says_so_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_image(path, noise(3, 4, 4))
    assert caught.value.errno == errno.ENOSPC
    assert [(p, p.read_bytes()) for p in tmp_path.iterdir()] == [(path, b"old")]
