"""From an optimised image to the file that was asked for."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nst_lightning.grid.sources import Film, Source
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.imaging.reading import read_image
from nst_lightning.run import result_file
from nst_lightning.run.result_file import finish_image, too_large, write_result
from nst_lightning.settings import build
from nst_lightning.store.output import record_in_image
from nst_lightning.store.records import Record
from nst_lightning.video.clip import Clip

RECORD = Record(output="фото/日本.jpg", fingerprint="f", settings={"size": 64})


def rough(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def write(folder: Path, record: Record = RECORD, **changes: Any) -> Path:
    given: dict[str, Any] = {"image": rough(3, 20, 30), "alpha": None} | {
        name: changes.pop(name) for name in ("image", "alpha") if name in changes
    }
    settings = build(changes)
    path = folder / f"x.{settings.suffix}"
    content = folder / "content.png"
    if not content.exists():
        Image.new("RGB", (30, 20)).save(content)
    write_result(path, given["image"], given["alpha"], content, settings, record)
    return path


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_every_result_carries_its_record(tmp_path: Path, format: str):
    assert record_in_image(write(tmp_path, format=format)) == RECORD


def test_a_record_too_long_for_a_jpeg_leaves_its_settings_out(tmp_path: Path):
    long = RECORD.with_facts(settings={"save_at": list(range(20_000))})
    brief = record_in_image(write(tmp_path, long, format="jpeg"))
    assert brief == RECORD.with_facts(settings={})
    assert "settings" not in brief.data()
    assert record_in_image(write(tmp_path, long, format="webp")) == long


def test_a_jpeg_shows_what_is_transparent_on_white(tmp_path: Path):
    image, alpha = torch.full((3, 32, 64), 0.2), torch.ones(1, 1, 32, 64)
    alpha[..., 32:] = 0.5
    read = read_image(write(tmp_path, format="jpeg", image=image, alpha=alpha))
    assert read.alpha is None
    assert float(read.rgb[..., 8:24].mean()) == pytest.approx(0.2, abs=0.01)
    assert float(read.rgb[..., 40:56].mean()) == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
def test_other_formats_keep_alpha(tmp_path: Path, format: str):
    alpha = (rough(1, 1, 20, 30) * 255).round() / 255
    read = read_image(write(tmp_path, format=format, quality=100, alpha=alpha))
    assert read.alpha is not None
    assert torch.equal(read.alpha, alpha)


def test_what_a_format_cannot_hold_is_known_before(tmp_path: Path):
    panorama = Source(Path("wide.jpg"), "wide", (2000, 20_000))
    for settings, or_else in (
        ({"size": "original"}, "choose a smaller --size"),
        ({"size": 64, "finish": "detail"}, "leave out --finish"),
    ):
        assert too_large(panorama, build(settings | {"format": "webp"})) == (
            "wide.jpg: its result would be 20000 x 2000 pixels, and webp holds 16383 a side; "
            f"choose --format png, jpeg or tiff, or {or_else}."
        )
        assert too_large(panorama, build(settings | {"format": "jpeg"})) == ""
        assert too_large(panorama, build(settings)) == ""
    assert too_large(panorama, build({"size": "50%", "format": "webp"})) == ""
    wider = Source(Path("wider.tif"), "wider", (2000, 70_000))
    said = too_large(wider, build({"size": "original", "format": "jpeg"}))
    assert "jpeg holds 65500 a side; choose --format png or tiff, or" in said
    assert too_large(wider, build({"size": "original", "format": "tiff"})) == ""
    assert too_large(Source(Path("torn.jpg"), "torn", None), build({"format": "webp"})) == ""


def test_a_finish_beyond_the_memory_is_known_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(result_file, "machine_bytes", lambda: 2.0**31)
    panorama = Source(Path("wide.tif"), "wide", (8000, 8000))
    assert too_large(panorama, build({"size": 64})) == ""
    said = too_large(panorama, build({"size": 64, "finish": "detail"}))
    assert said == (
        "wide.tif: finishing its result at 8000 x 8000 pixels takes about 6.0 GiB, and there are "
        "2.0 here; leave out --finish."
    )


def test_the_finish_is_of_the_contents_size_and_alpha(tmp_path: Path):
    photograph = Image.fromarray((rough(40, 60, 4) * 255).byte().numpy())
    photograph.save(tmp_path / "c.png")
    images = ImageReader(10**6)
    small, alpha = rough(3, 20, 30), torch.ones(1, 1, 20, 30)
    detail = build({"finish": "detail", "size": 30})
    made, clear = finish_image(small, alpha, tmp_path / "c.png", detail, images)
    assert made.shape == (3, 40, 60)
    assert clear is not None
    assert torch.equal((clear * 255).round(), rough(40, 60, 4)[None, None, ..., 3].mul(255).floor())
    # As large already, or not asked for: nothing is touched.
    whole = rough(3, 40, 60)
    for image, settings in ((whole, detail), (small, build({}))):
        same, mine = finish_image(image, alpha, tmp_path / "c.png", settings, images)
        assert (same is image, mine is alpha) == (True, True)


def test_a_film_that_cannot_be_coded_is_told_before_its_frames_are_made():
    clip = Clip(Path("a.mp4"), (48, 48), (0, 1), 1, Fraction(1, 25), Fraction(25))
    content = Source(Path("a.mp4"), "a", (48, 48), film=Film(clip))
    assert "h265 takes 66 columns or more" in too_large(content, build({"codec": "h265"}))
    assert too_large(content, build({"codec": "h264"})) == ""
