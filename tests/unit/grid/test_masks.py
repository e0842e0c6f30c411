"""The masks of a plan: which is whose, whether it fits, what of it counts."""

from pathlib import Path

import pytest
from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.files import file_sha256
from nst_lightning.grid.masks import check_found, find_masks, mask_problem
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source, StylePart, find_images, read_sources
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.settings import build
from nst_lightning.store.fingerprint import fingerprint, masks_sha256

SETTINGS = build({"recursive": True})


def image(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(path)
    return path


def mask(path: Path, left: int = 0, right: int = 255, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    image.save(path)
    return path


def find(contents: Path, folder: Path) -> dict[str, Source]:
    sources = read_sources(contents, SETTINGS, contents / "out")
    return {source.name: source for source in find_masks(sources, folder, SETTINGS)}


def test_a_mask_beside_a_image_is_no_content(tmp_path: Path):
    for name in ("cat.jpg", "cat.mask.png", "lone.mask.png"):
        image(tmp_path / name)
    found = find_images(tmp_path, recursive=False, skip=tmp_path / "out")
    assert [path.name for path in found] == ["cat.jpg", "lone.mask.png"]


def test_where_masks_are_looked_for(tmp_path: Path):
    contents, folder = tmp_path / "contents", tmp_path / "masks"
    for name in ("cat.jpg", "dog.jpg", "sub/cat.jpg", "two.jpg", "two.png", "none.jpg"):
        image(contents / name)
    for name in ("cat", "dog", "sub/cat"):
        mask(contents / f"{name}.mask.png")
    for name in ("dog", "sub/cat", "two-png", "two"):
        mask(folder / f"{name}.mask.png")
    found = {name: source.mask for name, source in find(contents, folder).items()}
    assert found == {
        "cat": contents / "cat.mask.png",
        "dog": folder / "dog.mask.png",
        "sub/cat": folder / "sub" / "cat.mask.png",
        "two-jpg": folder / "two.mask.png",
        "two-png": folder / "two-png.mask.png",
        "none": None,
    }
    with pytest.raises(UserError, match="there is no such folder"):
        find(contents, tmp_path / "absent")


def test_a_folder_without_masks_is_a_mistake(tmp_path: Path):
    contents = tmp_path / "contents"
    image(contents / "cat.jpg")
    with pytest.raises(UserError, match=r"one for cat\.jpg is called cat\.mask\.png"):
        check_found(list(find(contents, tmp_path).values()), tmp_path)
    mask(contents / "cat.mask.png")
    check_found(list(find(contents, tmp_path).values()), tmp_path)


def test_a_mask_that_does_not_fit_is_its_images_problem(tmp_path: Path):
    for name in ("turned", "torn", "other", "good"):
        image(tmp_path / f"{name}.jpg")
    mask(tmp_path / "turned.mask.png", size=(30, 40))
    (tmp_path / "torn.mask.png").write_text("no image")
    mask(tmp_path / "other.mask.png", size=(400, 300))
    mask(tmp_path / "good.mask.png")
    found = find(tmp_path, tmp_path)
    assert "is 30×40 and does not fit" in found["turned"].problem
    assert "torn.mask.png" in found["torn"].problem
    assert found["torn"].shape is None
    assert not found["other"].problem
    assert not found["good"].problem


def pair(content_mask: Path | None, *parts: StylePart) -> Pair:
    content = Source(Path("c.jpg"), "c", (30, 40), mask=content_mask)
    return Pair(content, Source(Path("s.jpg"), "s", (30, 40), blend=parts), "c/s.png")


def test_regions_that_cannot_be_drawn(tmp_path: Path):
    content, reds = mask(tmp_path / "c.png"), mask(tmp_path / "s.png", 70, 90)
    plain, masked = StylePart(Path("a.jpg")), StylePart(Path("b.jpg"), mask=reds)
    white = StylePart(Path("w.jpg"), region="#ffffff")
    red = StylePart(Path("r.jpg"), region="#ff0000")

    def problem(mask: Path | None, *parts: StylePart) -> str:
        return mask_problem(pair(mask, *parts), ImageReader(10**6))

    assert (
        problem(content, plain) == problem(content, white) == problem(content, masked, plain) == ""
    )
    assert problem(None, masked) == ""
    assert "#000000, #ffffff) has a style; those of s are #464646, #5a5a5a" in problem(
        content, masked
    )
    assert "has no region #ff0000; its regions are #000000, #ffffff" in problem(content, white, red)
    clear = tmp_path / "clear.png"
    Image.new("LA", (40, 30), (255, 0)).save(clear)
    assert "is transparent all over" in problem(clear, plain)


def identity(one: Pair) -> str:
    return fingerprint(SETTINGS, "w", "c", "s", masks_sha256(one, file_sha256))


def test_the_bytes_of_masks_count(tmp_path: Path):
    a, other = mask(tmp_path / "a.png"), mask(tmp_path / "b.png", 0, 200)
    copy = mask(tmp_path / "copy.png")
    plain = StylePart(Path("s.jpg"))
    masked = StylePart(Path("s.jpg"), mask=a)
    assert identity(pair(a, plain)) == identity(pair(copy, plain))
    assert len({identity(pair(*each)) for each in ((None, plain), (a, plain), (other, plain))}) == 3
    assert identity(pair(a, plain)) != identity(pair(a, masked))
    # A style's regions are nothing without the content's.
    assert identity(pair(None, masked)) == fingerprint(SETTINGS, "w", "c", "s")
