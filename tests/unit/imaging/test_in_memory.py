"""Images in memory are what their files are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from PIL.ExifTags import Base

from nst_lightning.errors import UserError
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.imaging.in_memory import ImagesInMemory, from_tensor
from nst_lightning.imaging.reading import LoadedImage, read_image

FILES = ImageReader(10**6)


def rough(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def rgb(height: int = 5, width: int = 7) -> Image.Image:
    return Image.fromarray((rough(height, width, 3) * 255).byte().numpy())


def added(image: Any) -> LoadedImage:
    images = ImagesInMemory(10**6)
    path = images.add(image, "content")
    loaded = images.image(path)
    assert images.size(path) == tuple(loaded.rgb.shape[-2:])
    return loaded


def check_same(a: LoadedImage, b: LoadedImage) -> None:
    assert torch.equal(a.rgb, b.rgb)
    assert (a.alpha is None) == (b.alpha is None)
    if a.alpha is not None and b.alpha is not None:
        assert torch.equal(a.alpha, b.alpha)


def save_turned(path: Path) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    rgb().save(path.with_suffix(".jpg"), exif=exif)
    path.with_suffix(".jpg").rename(path)


def save_deep(path: Path) -> None:
    Image.fromarray((rough(5, 7) * 65535).to(torch.int32).numpy()).convert("I;16").save(path)


def save_keyed(path: Path) -> None:
    image = rgb().quantize(4)
    image.save(path, transparency=0)


def save_clear(path: Path) -> None:
    image = rgb()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(path)


@pytest.mark.parametrize("save", [save_turned, save_deep, save_keyed, save_clear])
def test_an_image_as_pillow_opens_it_is_its_file(tmp_path: Path, save: Any):
    path = tmp_path / "a.png"
    save(path)
    with Image.open(path) as image:
        check_same(added(image), read_image(path))
    with Image.open(path) as image:
        image.load()
        before = (image.mode, image.size, image.tobytes())
        check_same(added(image), read_image(path))
        check_same(added(image.copy()), read_image(path))
        assert (image.mode, image.size, image.tobytes()) == before


def test_a_path_is_read_where_it_is(tmp_path: Path):
    rgb().save(tmp_path / "a.png")
    images = ImagesInMemory(10**6)
    assert images.add(str(tmp_path / "a.png"), "content") == tmp_path / "a.png"
    check_same(images.image(tmp_path / "a.png"), read_image(tmp_path / "a.png"))
    assert images.sha256(tmp_path / "a.png") is None


def test_tensors():
    image = rough(3, 5, 7)
    for same in (image, image[None], image.double(), image.requires_grad_()):
        loaded = added(same)
        assert torch.equal(loaded.rgb, image[None])
        assert (loaded.alpha, loaded.rgb.requires_grad, loaded.rgb.dtype) == (
            None,
            False,
            torch.float32,
        )
    image = image.detach()
    levels = (image * 255).byte()
    assert torch.equal(added(levels).rgb, levels[None] / 255)
    assert torch.equal(added(image[:1]).rgb, image[None, :1].expand(1, 3, 5, 7))
    clear = torch.cat([image, image[:1]])
    check_same(added(clear), LoadedImage(image[None], image[None, :1]))
    assert added(torch.cat([image, torch.ones(1, 5, 7)])).alpha is None
    assert torch.equal(added(image * (1 + 5e-4)).rgb, (image * (1 + 5e-4)).clamp(0, 1)[None])
    with torch.inference_mode():
        strange = image.clone()
    assert not added(strange).rgb.is_inference()
    kept = image.clone()
    added(image).rgb.zero_()
    assert torch.equal(image, kept)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (rough(2, 3, 5, 7), "is a batch of 2 images; give one at a time, or use StyleTransfer"),
        (rough(5, 7, 3), r"should be \(C, H, W\) .* with 1, 3 or 4 channels, not \(5, 7, 3\)"),
        (rough(5, 7), "should be"),
        (rough(3, 0, 7), "should be"),
        (rough(3, 5, 7) * 255, "holds values from .* to 25.* and should hold floats in"),
        (rough(3, 5, 7) - 0.5, "holds values from -0.*"),
        (torch.full((3, 5, 7), torch.nan), "holds values that are not finite"),
        (torch.ones(3, 5, 7, dtype=torch.int64), "should hold .* or uint8, not torch.int64"),
        (torch.ones(3, 5, 7, dtype=torch.bool), "should hold .* or uint8, not torch.bool"),
    ],
)
def test_other_tensors_are_refused(image: torch.Tensor, sentence: str):
    with pytest.raises(UserError, match=f"^style: {sentence}"):
        from_tensor(image, "style")


def test_what_is_no_image_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"^content: should be a path.* not ndarray; PIL\.Image"):
        added(rough(5, 7, 3).numpy())
    with pytest.raises(UserError, match=r"^content \(PIL image\): has 35 pixels, more than"):
        ImagesInMemory(34).add(rgb(), "content")
    with pytest.raises(UserError, match=r"^content \(PIL image\): has no pixels"):
        added(Image.new("RGB", (0, 4)))
    rgb(50, 50).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:900])
    with (
        Image.open(tmp_path / "a.png") as image,
        pytest.raises(UserError, match=r"^content \(PIL image\): is damaged or cut short"),
    ):
        added(image)


def test_an_image_is_known_by_its_pixels():
    images = ImagesInMemory(10**6)
    levels = (rough(3, 5, 7) * 255).byte()
    pillow = Image.fromarray(levels.permute(1, 2, 0).numpy())
    given: list[Any] = [levels, levels[None] / 255, pillow, pillow.convert("RGBA")]
    shas = {images.sha256(images.add(image, f"{n}")) for n, image in enumerate(given)}
    assert len(shas) == 1
    clear, wide = torch.cat([levels, levels[:1]]), levels.reshape(3, 7, 5)
    others = {images.sha256(images.add(image, f"x{n}")) for n, image in enumerate([clear, wide])}
    assert len(shas | others) == 3


def test_masks(tmp_path: Path):
    image = Image.new("L", (40, 30), 0)
    image.paste(200, (20, 0, 40, 30))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.jpg", quality=60)
    images = ImagesInMemory(10**6)
    with Image.open(tmp_path / "a.jpg") as lossy:
        paths = [images.add(one, f"{n}") for n, one in enumerate((image, lossy))]
    for path, file in zip(paths, ("a.png", "a.jpg"), strict=True):
        ours, theirs = images.mask(path), FILES.mask(tmp_path / file)
        assert ours.colours == theirs.colours == images.colours(path)
        assert torch.equal(ours.inside, theirs.inside)
    assert len(FILES.colours(tmp_path / "a.jpg")) == 2
