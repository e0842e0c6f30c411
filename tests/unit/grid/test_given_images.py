"""One pair from what a caller gives."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.grid.given_images import read_pair
from nst_lightning.grid.pairs import Pair
from nst_lightning.imaging.in_memory import ImagesInMemory

CONTENT = torch.zeros(3, 30, 40)
PAINTING = Image.new("RGB", (20, 20), "teal")


def halves() -> Image.Image:
    image = Image.new("L", (40, 30), 0)
    image.paste(255, (20, 0, 40, 30))
    return image


def pair(style: Any = None, **given: Any) -> Pair:
    asked = {"regions": None, "content_mask": None, "style_mask": None, **given}
    return read_pair(CONTENT, style, images=ImagesInMemory(10**6), **asked)


def test_one_style():
    made = pair(PAINTING)
    assert made.content.path == Path("content (tensor)")
    assert made.content.shape == (30, 40)
    assert made.style.path == Path("style (PIL image)")
    assert made.style.blend == ()
    assert pair([PAINTING]).style == pair((PAINTING,)).style == pair([(PAINTING, 3)]).style


def test_several_styles(tmp_path: Path):
    for name in "ab":
        PAINTING.save(tmp_path / f"{name}.png")
    a, b = tmp_path / "a.png", tmp_path / "b.png"

    def shares(style: Any) -> list[tuple[str, float]]:
        return [(part.path.name, part.share) for part in pair(style).style.parts]

    assert shares([a, b]) == [("a.png", 0.5), ("b.png", 0.5)]
    assert shares({a: 6, str(b): 2}) == shares([(a, 0.75), (b, 0.25)])
    assert shares([(a, 1), b]) == [("a.png", 0.5), ("b.png", 0.5)]
    assert shares([a, b, a, a]) == [("a.png", 0.75), ("b.png", 0.25)]
    assert shares({a: 0, b: 1}) == [("b.png", 1.0)]
    in_memory = pair([PAINTING, CONTENT]).style.parts
    assert [str(part.path) for part in in_memory] == ["style 1 (PIL image)", "style 2 (tensor)"]


def test_masks_and_regions():
    masked = pair([PAINTING, CONTENT], content_mask=halves(), style_mask=[None, halves()])
    assert masked.content.mask == Path("mask of content (PIL image)")
    assert [part.mask for part in masked.style.parts] == [
        None,
        Path("mask of style 2 (PIL image)"),
    ]
    made = pair(regions={"white": PAINTING, 0: CONTENT}, content_mask=halves())
    assert [part.region for part in made.style.parts] == ["#ffffff", "#000000"]


@pytest.mark.parametrize(
    ("style", "given", "sentence"),
    [
        (None, {}, "name the styles once"),
        (None, {"regions": {}}, "name the styles once"),
        (PAINTING, {"regions": {"white": PAINTING}}, "name the styles once"),
        ([], {}, "there is no style"),
        ({}, {}, "there is no style"),
        ([(PAINTING, -1)], {}, "from 0 on, not -1"),
        ([(PAINTING, "much")], {}, "from 0 on, not 'much'"),
        ({"a.jpg": float("nan")}, {}, "from 0 on, not nan"),
        ([(PAINTING, 0)], {}, "all shares are 0"),
        ((PAINTING, 0.5), {}, "style 2: should be a path, a PIL image or a tensor, not float"),
        ("absent.jpg", {}, "absent.jpg: there is no such file"),
        (PAINTING, {"style_mask": halves()}, "style_mask needs .* give content_mask"),
        (None, {"regions": {"white": PAINTING}}, "regions need .* give content_mask"),
        (
            None,
            {"regions": {"white": PAINTING}, "content_mask": halves(), "style_mask": halves()},
            "style_mask does not go with regions",
        ),
        (
            [PAINTING, PAINTING],
            {"style_mask": halves(), "content_mask": halves()},
            "one for each of the 2 styles",
        ),
        (None, {"regions": {"red": PAINTING}, "content_mask": halves()}, "has no region #ff0000"),
        (
            None,
            {"regions": {"255": PAINTING, "white": PAINTING}, "content_mask": halves()},
            "regions #ffffff: has two styles",
        ),
        (PAINTING, {"content_mask": PAINTING}, r"mask of content .* is 20×20 and does not fit"),
        (PAINTING, {"content_mask": "absent.png"}, "absent.png: there is no such file"),
    ],
)
def test_what_cannot_be(style: Any, given: dict[str, Any], sentence: str):
    with pytest.raises(UserError, match=sentence):
        pair(style, **given)
