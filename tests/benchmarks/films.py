"""Films without flicker: how steady they are beside frames made alone, and what a frame takes.

python tests/benchmarks/films.py quality OUT --size 192 --frames 12
python tests/benchmarks/films.py quality OUT --clip clip.mp4 --size 256
python tests/benchmarks/films.py quality OUT --kinds pan --preset jcjohnson --set weights=normalized
python tests/benchmarks/films.py quality OUT --kinds sway --frames 110 --size 112 --set segment=55
python tests/benchmarks/films.py speed --sizes 256,512,1024
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nst_lightning.evaluation.film_metrics import FilmMetrics, film_metrics
from nst_lightning.grid.clips import look_through
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source, read_source
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.imaging.in_memory import ImagesInMemory
from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.reading import LoadedImage
from nst_lightning.run.batch_run import BatchRun
from nst_lightning.run.devices import choose_device, resolve
from nst_lightning.run.film_frames import FrameMaker, frame_job
from nst_lightning.run.film_plan import fading, segments_of
from nst_lightning.run.frame_files import to_tensor
from nst_lightning.run.make_batch import make_batch, make_inputs
from nst_lightning.settings import BatchSettings, build, merge
from nst_lightning.settings.presets import read_preset
from nst_lightning.store.job import Job
from nst_lightning.vgg.weights import load_weights
from nst_lightning.video.clip_reading import read_frames
from nst_lightning.video.warping import warp
from tests.clips import make_film

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STYLE = EXAMPLES / "styles" / "brush_flow.jpg"
KINDS = ("pan", "zoom", "disc", "still", "cut")
"""Those that are made where none is named; `sway` is another."""


def photo(name: str, height: int, width: int) -> Tensor:
    """Returns an example photograph at a size, (1, 3, H, W) in [0, 1]."""
    image = Image.open(EXAMPLES / "contents" / name).convert("RGB")
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float() / 255


def through(image: Tensor, shape: tuple[int, int], x: float, y: float, zoom: float = 1) -> Tensor:
    """Returns what a camera sees of an image whose centre it is (x, y) pixels away from."""
    height, width = shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    own = image.shape[-2:]
    there_x = (columns - (width - 1) / 2) / zoom + (own[1] - 1) / 2 + x
    there_y = (rows - (height - 1) / 2) / zoom + (own[0] - 1) / 2 + y
    whole = torch.stack(torch.meshgrid(torch.arange(own[0]), torch.arange(own[1]), indexing="ij"))
    large = torch.zeros(1, 2, *own)
    large[0, 0, :height, :width] = there_x - whole[1, :height, :width]
    large[0, 1, :height, :width] = there_y - whole[0, :height, :width]
    return warp(image, large)[..., :height, :width].clamp(0, 1)


def made_frames(kind: str, count: int, side: int) -> list[np.ndarray]:
    """Returns the frames of a clip made from photographs, (H, W, 3) uint8."""
    shape = (side * 3 // 4 // 2 * 2, side)
    cat, coffee = (photo(name, shape[0] * 2, side * 2) for name in ("chelsea.jpg", "coffee.jpg"))
    random = torch.Generator().manual_seed(0)
    frames = []
    for time_ in range(count):
        if kind == "sway":  # there and back, so that a shot can be long
            frame = through(cat, shape, 20 * math.sin(2 * math.pi * time_ / 55), 0)
        elif kind == "pan":
            frame = through(cat, shape, 2.3 * time_ - 30, 0.4 * time_)
        elif kind == "zoom":
            frame = through(cat, shape, 0, 0, 1.01**time_)
        elif kind == "cut":
            image = cat if time_ < count // 2 else coffee
            frame = through(image, shape, 1.5 * time_, 0)
        else:
            frame = through(cat, shape, 0, 0)
        if kind == "disc":
            rows, columns = torch.meshgrid(
                torch.arange(shape[0]), torch.arange(shape[1]), indexing="ij"
            )
            x = side * 0.25 + 4 * time_
            disc = (columns - x) ** 2 + (rows - shape[0] / 2) ** 2 < (0.2 * shape[0]) ** 2
            frame = torch.where(disc, through(coffee, shape, -4 * time_, 0), frame)
        if kind == "still":
            frame = frame + torch.randint(-1, 2, frame.shape, generator=random) / 255
        else:
            frame = frame + 2 / 255 * torch.randn(frame.shape, generator=random)
        frames.append(to_levels(frame.clamp(0, 1)[0]).permute(1, 2, 0).numpy())
    return frames


def settings_of(size: int, steps: int, more: list[str], preset: str | None = None) -> BatchSettings:
    """Returns the settings of a film, with others as name=value."""
    given = dict(one.split("=", 1) for one in more)
    known = read_preset(preset) if preset else {}
    asked = build(merge(known, {"size": size, "steps": steps, **given}))
    return resolve(asked, choose_device(asked.accelerator))


def film_job(clip: Path, settings: BatchSettings, out: Path) -> Job:
    """Returns a film in the example painting as a pair."""
    film = look_through(clip, settings, out)
    content = Source(clip, clip.stem, film.clip.shape, film=film)
    style = read_source(STYLE, STYLE.stem, ImageReader(settings.max_pixels))
    return Job(Pair(content, style, f"{clip.stem}/film.mp4"), clip.stem, STYLE.stem, clip.stem * 32)


def alone(job: Job, settings: BatchSettings, frames: list[Tensor], out: Path) -> Iterator[Tensor]:
    """Yields frames that are made as images, (1, 3, H, W), each by itself."""
    device = choose_device(settings.accelerator)
    images = ImagesInMemory(settings.max_pixels)
    inputs = make_inputs(settings, load_weights(*settings.network_weights), device, images)
    for number, frame in enumerate(frames):
        single = frame_job(job, number, (frame.shape[-2], frame.shape[-1]))
        images.images[single.pair.content.path] = LoadedImage(frame, None)
        (made,) = make_batch(inputs, BatchRun([single], settings, None), list)
        yield (to_levels(made.image) / 255)[None]


def measure(
    clip: Path, settings: BatchSettings, out: Path, compared: int, words_too: list[str]
) -> dict[str, float]:
    """Makes a film by the command line, and some of its frames alone; returns their numbers.

    Args:
        clip: the film's.
        settings: of both.
        out: where the film goes.
        compared: how many frames are made alone.
        words_too: the options that say what of the settings is not usual, but for size and steps.
    """
    file = out / f"{clip.stem}-film.mp4"
    words = ["video", clip, STYLE, "--out", file, "--keep-frames", "--quiet"]
    words += ["--size", settings.scales[-1].longest, "--steps", settings.total_steps]
    words += words_too
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "nst_lightning", *map(str, words)], check=True)
    seconds = time.perf_counter() - begun
    job = film_job(clip, settings, out)
    film = job.pair.content.film
    assert film is not None
    kept = sorted((out / file.stem / "frames").glob("*.png"))
    images = ImageReader(settings.max_pixels)
    results = [images.image(path).rgb for path in kept]
    shape = (results[0].shape[-2], results[0].shape[-1])
    frames = [to_tensor(one, shape) for one in read_frames(film.clip, 0, film.clip.frames)]
    joins = fading(segments_of(job.pair.content, settings))
    found: FilmMetrics = film_metrics(frames, results, film.cuts, joins)
    few = frames[:compared]
    cuts = [cut for cut in film.cuts if cut < len(few)]
    by_itself = film_metrics(few, alone(job, settings, few, out), cuts)
    return {
        "frames": len(frames),
        "shots": len(film.cuts) + 1,
        "seconds a frame": seconds / len(frames),
        "e_warp": found.e_warp,
        "over the input's": found.e_warp / found.e_warp_input,
        "over frames made alone": found.e_warp / by_itself.e_warp,
        "revealed change": found.revealed_change,
        "luma drift": found.luma_drift,
        "RMS from the first": found.first_rms,
        "at joins": found.join_ratio,
    }


def compare_speeds(sizes: list[int], steps: int, frames: int) -> None:
    """Prints the seconds of a frame that others came before, and of one alone, in turns."""
    for size in sizes:
        settings = settings_of(size, steps, [])
        out = Path("speed-of-films")
        clip = out / f"pan-{size}.mp4"
        out.mkdir(exist_ok=True)
        make_film(clip, made_frames("pan", frames, size))
        job = film_job(clip, settings, out)
        taken: list[float] = []
        last = time.perf_counter()

        def finished(steps: int, taken: list[float] = taken) -> None:
            taken.append(time.perf_counter())

        weights = load_weights(*settings.network_weights)
        maker = FrameMaker(
            settings, weights, choose_device(settings.accelerator), out, finished=finished
        )
        (segment,) = segments_of(job.pair.content, settings)
        maker.make(job, segment)
        first = taken[0] - last
        later = [b - a for a, b in pairwise(taken)]
        print(
            f"{size} px: a frame alone {first:.1f} s ({settings.total_steps} steps), later ones "
            f"{statistics.median(later):.1f} s, {first / statistics.median(later):.1f} times faster"
        )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["quality", "speed"])
    parser.add_argument("out", nargs="?", type=Path, default=Path("films"))
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--sizes", default="256,512,1024")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--compared", type=int, default=4)
    parser.add_argument("--preset")
    parser.add_argument("--set", nargs="*", default=[], help="any setting: NAME=VALUE")
    given = parser.parse_args()
    if given.what == "speed":
        compare_speeds([int(one) for one in given.sizes.split(",")], given.steps, given.frames)
        return
    settings = settings_of(given.size, given.steps, given.set, given.preset)
    words_too = [word for one in given.set for word in ("--set", one)]
    words_too += ["--preset", given.preset] if given.preset else []
    given.out.mkdir(parents=True, exist_ok=True)
    clips = [given.clip] if given.clip else []
    for kind in [] if given.clip else given.kinds.split(","):
        clips.append(given.out / f"{kind}.mp4")
        make_film(clips[-1], made_frames(kind, given.frames, given.size))
    for clip in clips:
        found = measure(clip, settings, given.out, given.compared, words_too)
        print(clip.stem, json.dumps({name: round(value, 5) for name, value in found.items()}))


if __name__ == "__main__":
    main()
