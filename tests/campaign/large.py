"""kill -9 while a large result is written and its tiles are made, again and again.

Large files are written some rows at a time, and a viewer's page stands for hundreds of tiles. The
images here are small; what makes them large ones is set lower.
"""

import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

import torch
from PIL import Image

from nst_lightning.drawing import tiles
from nst_lightning.files import SUFFIX, remove_leftovers
from nst_lightning.imaging import tiff_writing, writing
from nst_lightning.imaging.metadata import Metadata, read_metadata
from nst_lightning.imaging.reading import read_image
from nst_lightning.imaging.writing import write_image
from nst_lightning.layout import PAGE, zoom_folder
from nst_lightning.report import zoom
from nst_lightning.report.gallery import write_gallery
from nst_lightning.store.output import RECORD_KEY
from tests.integration import forked
from tests.results_folder import record, write_manifest

from .harness import Figures, HangError, main

HEIGHT, WIDTH, TILE = 200, 300, 64
COLOURS = ((220, 30, 30), (30, 30, 220))
"""Of the images that take one another's place."""

FORMATS = {"a/s.tif": ("tiff", 16), "a/s.png": ("png", 8)}


def write(out: Path, output: str, turn: int) -> None:
    """Writes one of the two images, with its record."""
    format, bits = FORMATS[output]
    noise = 0.05 * torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(turn))
    image = torch.tensor(COLOURS[turn % 2]).view(3, 1, 1) / 255 + noise - 0.025
    about = Metadata({RECORD_KEY: f'{{"output": "{output}", "turn": {turn}}}'})
    write_image(out / output, image, None, about, format=format, bits=bits)


def work(out: Path, output: str, first: int, turns: int, big: bool) -> None:
    """Writes the two images in turn, each with its tiles."""
    torch.set_num_threads(1)
    with (
        patch.multiple(tiff_writing, TILED_FROM=0, TILE=16, CLASSIC_BYTES=0 if big else 2**32),
        patch.object(writing, "_STREAMED_FROM", 0),
        patch.multiple(zoom, ZOOM_FROM=100, TILE=TILE),
        patch.object(tiles, "TILE", TILE),
    ):
        for turn in range(first, first + turns):
            write(out, output, turn)
            write_gallery(out)


def begin(out: Path, output: str, first: int, turns: int, big: bool) -> BaseProcess:
    process = forked.ready().Process(target=work, args=(out, output, first, turns, big))
    process.start()
    return process


def colour_of(image: Image.Image) -> int:
    """Returns which of the two images this is a part of."""
    red, _, blue = (sum(channel) / 2 for channel in image.convert("RGB").getextrema())  # type: ignore[arg-type]
    return int(blue > red)


def seen(out: Path, output: str) -> set[int]:
    """Returns of which images the tiles are that a page shows; none without a page.

    Raises:
        OSError: a tile is missing or torn.
    """
    folder = out / zoom_folder(output)
    if not (folder / PAGE).exists():
        return set()
    found = set()
    for level in range(tiles.levels((WIDTH, HEIGHT))):
        width, height = -(-WIDTH // 2**level), -(-HEIGHT // 2**level)
        for column in range(-(-width // TILE)):
            for row in range(-(-height // TILE)):
                with Image.open(folder / f"{level}/{column}-{row}.jpg") as tile:
                    tile.load()
                    found.add(colour_of(tile))
    return found


def attempt(dice: random.Random, folder: Path, figures: Figures) -> list[str]:
    """Kills it some times, lets it end, and looks."""
    out, output, big = folder / "out", dice.choice(list(FORMATS)), dice.random() < 0.5
    size = {"width": WIDTH, "height": HEIGHT}
    write_manifest(out, [record(output, "../c.png", "../c.png", resolved=size)])
    broken: list[str] = []
    for number in range(dice.randint(2, 6)):
        process = begin(out, output, dice.randrange(2), 1000, big)
        wait_for_image(out / output)
        time.sleep(dice.random() * 0.6)
        assert process.pid
        process.kill()
        process.join(10)
        if process.exitcode != -signal.SIGKILL:
            broken.append(f"it ended by itself with {process.exitcode}")
        figures["kills"] += 1
        if not read_metadata(out / output):
            broken.append(f"after kill {number} the result is not whole")
        try:
            read_image(out / output)
            shown = seen(out, output)
        except Exception as error:  # whatever is said of a torn file
            broken.append(f"after kill {number}: {error}")
        else:
            figures["kills that left a page"] += bool(shown)
            if len(shown) > 1:
                broken.append(f"after kill {number} the page shows a mixture")
    last = begin(out, output, turn := dice.randrange(2), 1, big)
    last.join(60)
    if last.exitcode != 0 or seen(out, output) != {turn}:
        broken.append(f"the last report ended with {last.exitcode}, shows {seen(out, output)}")
    remove_leftovers(out)
    broken += [f"left: {path}" for path in out.rglob(f"*{SUFFIX}")]
    return broken


def wait_for_image(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        time.sleep(0.01)
        if time.monotonic() > end:
            raise HangError("no image is written")


if __name__ == "__main__":
    main(attempt, "kill -9 while large results are written and shown.")
