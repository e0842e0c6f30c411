"""What a batch is made from."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Grid
from nst_lightning.grid.sources import Source
from nst_lightning.imaging.reading import LoadedImage, read_image
from nst_lightning.imaging.resize import resize
from nst_lightning.imaging.writing import write_image
from nst_lightning.run.inputs import Inputs
from nst_lightning.settings import Pass, build
from nst_lightning.store.job import Job

SIDE = 12


class OnlyStart(Inputs):
    """Its contents are gray, so that no network is needed."""

    def content(self, job: Job, scale: Pass) -> LoadedImage:
        return LoadedImage(torch.full((1, 3, 8, 8), 0.5), None)


def start(tmp_path: Path, **settings: Any) -> torch.Tensor:
    """Where an image starts that starts from a white one of `SIDE` squared pixels."""
    Image.new("RGB", (SIDE, SIDE), "white").save(tmp_path / "start.png")
    (pair,) = Grid([Source(Path("c.png"), "c", (8, 8))], [Source(Path("s.png"), "s", (8, 8))])
    chosen = build({"init": str(tmp_path / "start.png"), **settings})
    inputs = OnlyStart(None, chosen, torch.device("cpu"), torch.float32)  # type: ignore[arg-type]
    return inputs.start(Job(pair, "c", "s", "f"), Pass(size=8))


def test_a_start_of_more_pixels_than_the_limit_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="has 144 pixels, more than the limit of 143"):
        start(tmp_path, max_pixels=SIDE**2 - 1)
    torch.testing.assert_close(start(tmp_path, max_pixels=SIDE**2), torch.ones(1, 3, 8, 8))


def test_a_raised_limit_counts_where_the_start_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(read_image, "__kwdefaults__", {"max_pixels": 50})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # Pillow refuses from twice as many on
    torch.testing.assert_close(start(tmp_path, max_pixels=1000), torch.ones(1, 3, 8, 8))


def style_shape(
    style: tuple[int, int], content: tuple[int, int], **settings: Any
) -> tuple[int, int]:
    """The (height, width) to which a painting of these is brought for a photograph of those."""
    (pair,) = Grid([Source(Path("c.png"), "c", content)], [Source(Path("s.png"), "s", style)])
    chosen = build({"scales": 1, **settings})
    inputs = Inputs(None, chosen, torch.device("cpu"), torch.float32)  # type: ignore[arg-type]
    job = Job(pair, "c", "s", "f")
    (part,) = pair.style.parts
    return inputs._style_size(job, part, chosen.scales[0], chosen.style_scale[0])


@pytest.mark.parametrize(
    ("style", "content", "settings", "expected"),
    [
        ((30, 20), (80, 80), {"size": 60}, (60, 40)),  # smaller than the result: enlarged
        ((30, 20), (80, 80), {"size": 60, "style_upscale": False}, (30, 20)),
        ((30, 20), (40, 40), {"size": 60}, (40, 27)),  # as large as the result, which is small
        ((30, 20), (10, 10), {"size": 60}, (30, 20)),  # larger than the result: left alone
        ((30, 20), (40, 40), {"size": 60, "upscale": True}, (60, 40)),
        ((30, 20), (40, 40), {"size": 60, "upscale": True, "style_upscale": False}, (30, 20)),
        ((90, 60), (80, 80), {"size": 60}, (60, 40)),
        ((30, 20), (80, 80), {"size": 60, "style_scale": 2}, (120, 80)),
        ((30, 20), (80, 80), {"size": 60, "style_size": 45}, (45, 30)),
        ((30, 20), (80, 120), {"size": "short:60"}, (90, 60)),
        ((30, 20), (40, 50), {"size": "short:60"}, (60, 40)),
        ((300, 200), (80, 120), {"size": "short:60"}, (90, 60)),
        ((30, 20), (80, 120), {"size": "50%"}, (120, 80)),  # a share leaves 192 px or all there are
        ((30, 20), (80, 120), {"size": "60x48", "style_fit": "content"}, (48, 60)),
    ],
)
def test_a_painting_keeps_its_strokes_in_proportion(
    style: tuple[int, int],
    content: tuple[int, int],
    settings: dict[str, Any],
    expected: tuple[int, int],
):
    assert style_shape(style, content, **settings) == expected


def test_a_large_painting_is_read_once_whatever_the_photographs_measure():
    shapes = {style_shape((100, 90), (side, 40), size=64) for side in (40, 44, 48)}
    assert shapes == {(64, 58)}


@pytest.mark.parametrize("how", ["bicubic", "bilinear"])
def test_images_are_resized_as_the_settings_say(how: str, tmp_path: Path):
    noise = torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "noise.png"
    write_image(path, noise[0])
    inputs = Inputs(None, build({"resampling": how}), torch.device("cpu"), torch.float32)  # type: ignore[arg-type]
    found = inputs._decode(path, (20, 15)).rgb
    assert torch.equal(found, resize(read_image(path).rgb, 20, 15, how=how))
    assert start(tmp_path, resampling=how).shape == (1, 3, 8, 8)
