"""kill -9 at random moments of a grid with everything that it can write, again and again.

Nothing may be lost: what is finished stays as it is, every file is whole, no process is left, and
the images that come out at last are those of an undisturbed run, pixel for pixel.
"""

import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from PIL import Image

from nst_lightning.files import SUFFIX, is_alive
from nst_lightning.layout import CHECKPOINTS, FRAMES, LOGGER_TABLE, MANIFEST, TASKS, sheet_name
from tests.clips import make_film, packets, pan
from tests.integration import forked
from tests.integration.conftest import ENVIRONMENT

from .harness import Figures, HangError, broken_by, main, nst

EVERYTHING = (
    "--size", 32, "--steps", 12, "--scales", 2, "--precision", "32-true", "--batch-size", 1,
    "--save-every", 5, "--curves", "--animate", "gif", "--logger", "csv",
    "--checkpoint-every", 0.05,
)  # fmt: skip
OF_FILMS = (
    "--size", 32, "--steps", 8, "--frame-steps", 4, "--precision", "32-true", "--weights", "random",
    "--content-layers", "relu1_1", "--style-layers", "relu2_1", "--keep-frames",
    "--preview-every", 0.05,
)  # fmt: skip
RESULTS = ("a/x", "a/y", "b/x", "b/y")
FORMATS = {"png": ("png", 8), "tiff": ("tif", 16), "mesh": ("obj", 8), "film": ("mp4", 8)}
"""Of the results: the suffix and the bits a channel; those of meshes are of their textures."""
NOT_FILMS = ("png", "tiff", "mesh")

PYRAMID = """mtllib NAME.mtl
v -1 0 -1
v 1 0 -1
v 1 0 1
v -1 0 1
v 0 2 0
vt 0 0
vt 1 0
vt 0.5 1
usemtl m
f 1/1 5/3 2/2
f 2/1 5/3 3/2
f 3/1 5/3 4/2
f 4/1 5/3 1/2
"""

COMMANDS = {"mesh": ("mesh", "models"), "film": ("video", "clips")}
"""That are not grids of images: their names, and their contents."""

END_SECONDS = 2.0
"""The time in which everything must have ended after a kill."""

PHASES = ("starting", "between", "anywhere", "finishing", "reporting")


@cache
def inputs() -> Path:
    """Returns a folder of two contents of each kind and two styles."""
    folder = Path(tempfile.mkdtemp(prefix="nst-campaign-kills-"))
    for turn, name in enumerate(("contents/a", "contents/b", "styles/x", "styles/y")):
        path = folder / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(turn).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((32, 32), Image.Resampling.BICUBIC).save(path)
    for name in ("a", "b"):
        model = folder / "models" / f"{name}.obj"
        model.parent.mkdir(exist_ok=True)
        shutil.copy(folder / "contents" / f"{name}.png", model.with_suffix(".png"))
        model.with_suffix(".mtl").write_text(f"newmtl m\nmap_Kd {name}.png\n")
        model.write_text(PYRAMID.replace("NAME", name))
    (folder / "clips").mkdir()
    dark, bright = (pan(4, 32, step=1, seed=seed) for seed in (0, 9))
    two_shots = [*(frame // 3 for frame in dark), *(255 - frame // 3 for frame in bright)]
    make_film(folder / "clips" / "a.mp4", two_shots, sound="aac")
    make_film(folder / "clips" / "b.mp4", pan(4, 32, seed=4))
    return folder


def words(out: Path, workers: int, format: str) -> Sequence[object]:
    command, rows = COMMANDS.get(format, ("grid", "contents"))
    more: Sequence[object] = {"film": OF_FILMS, "mesh": (*EVERYTHING, "--views", 2)}.get(
        format, (*EVERYTHING, "--format", format, "--bit-depth", FORMATS[format][1])
    )
    given = (command, inputs() / rows, inputs() / "styles", "-o", out)
    return (*given, *more, "--devices", workers)


def results(format: str) -> list[str]:
    return [f"{name}.{FORMATS[format][0]}" for name in RESULTS]


@cache
def undisturbed(format: str) -> dict[str, bytes]:
    """Returns the pixels of the images of a run that nobody kills."""
    out = inputs() / f"out-{format}"
    done = nst(*words(out, 1, format), seconds=300)
    assert done.returncode == 0, done.stderr
    return pixels(out, format)


def pixels(out: Path, format: str) -> dict[str, bytes]:
    """Returns the pixels of the results that are there, of meshes with their main files, of films
    the packets."""
    found = {}
    for name in results(format):
        path, before = out / name, b""
        if format == "film":
            if path.exists():
                found[name] = "\n".join(packets(path)).encode()
            continue
        with suppress(FileNotFoundError):
            if format == "mesh":
                before, path = path.read_bytes(), path.with_name(f"{path.stem}-0.png")
            with Image.open(path) as image:
                found[name] = before + image.tobytes()
    return found


def children(pid: int) -> set[int]:
    """Returns the processes below one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, _, rest = stat.read_text(errors="replace").partition(" ")
            parents[int(number)] = int(rest.rpartition(")")[2].split()[1])
    found, new = set[int](), {pid}
    while new:
        new = {one for one, parent in parents.items() if parent in new} - found
        found |= new
    return found


def lines(out: Path) -> int:
    with suppress(FileNotFoundError):
        return (out / MANIFEST).read_bytes().count(b"\n")
    return 0


def begin(out: Path, workers: int, format: str, errors: Path) -> BaseProcess:
    """Starts the command in a process of its own."""
    errors.mkdir()
    return forked.start([str(word) for word in words(out, workers, format)], ENVIRONMENT, errors)


def wait_for(moment: Callable[[], bool], process: BaseProcess, seconds: float = 120) -> None:
    """Waits until a moment has come or the process is over."""
    end = time.monotonic() + seconds
    while not moment() and process.exitcode is None:
        if time.monotonic() > end:
            raise HangError("the moment of a kill never came")
        time.sleep(0.002)


def wait_for_phase(
    phase: str, rng: random.Random, process: BaseProcess, out: Path, format: str
) -> None:
    """Waits until a run is somewhere in a phase."""
    more = rng.randint(1, 2)
    begun = lines(out)
    sheet = out / sheet_name(1)
    moments: dict[str, tuple[Callable[[], bool], float]] = {
        "starting": (lambda: True, 1.0),
        "anywhere": (lambda: any((out / TASKS).glob("*.json")), 3.0),
        "between": (lambda: lines(out) >= begun + more, 0.1),
        "finishing": (lambda: all((out / name).exists() for name in results(format)), 0.3),
        "reporting": (lambda: bool(list(out.glob(f".{sheet.name}*"))) or sheet.exists(), 0.3),
    }
    moment, length = moments[phase]
    wait_for(moment, process)
    time.sleep(rng.random() * length)


def left_over(pids: set[int]) -> list[str]:
    """Returns a sentence for each process that lives on."""
    end = time.monotonic() + END_SECONDS
    while (alive := {pid for pid in pids if is_alive(pid) and not is_zombie(pid)}) and (
        time.monotonic() < end
    ):
        time.sleep(0.01)
    for pid in alive:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return [f"process {pid} lives on after {END_SECONDS} s" for pid in alive]


def is_zombie(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return True


def torn(out: Path) -> list[str]:
    """Returns a sentence for each file that is not whole; loggers' tables grow, and may be torn."""
    broken = []
    for path in out.rglob("*"):
        if path.name.endswith(SUFFIX) or path.name == LOGGER_TABLE or not path.is_file():
            continue
        try:
            if path.suffix in (".png", ".tif", ".gif"):
                with Image.open(path) as image:
                    image.seek(getattr(image, "n_frames", 1) - 1)
                    image.load()
            elif path.suffix == ".mp4":
                packets(path)
            elif path.suffix == ".json":
                json.loads(path.read_bytes())
        except FileNotFoundError:
            pass
        except Exception as error:  # whatever is said of a torn file
            broken.append(f"{path} is not whole: {error}")
    return broken


def attempt(
    rng: random.Random, folder: Path, figures: Figures, formats: Sequence[str] = NOT_FILMS
) -> list[str]:
    """Kills a run up to eight times, lets it end, and compares."""
    workers, format = rng.choice((1, 2)), rng.choice(formats)
    calm, out = undisturbed(format), folder / "out"
    broken: list[str] = []
    for number in range(rng.randint(2, 8)):
        process = begin(out, workers, format, folder / f"said-{number}")
        phase = rng.choice(PHASES)
        wait_for_phase(phase, rng, process, out, format)
        assert process.pid
        below = children(process.pid)
        if process.exitcode is not None:
            break
        others = sorted(below)
        victim = rng.choice(others) if len(others) > 1 and rng.random() < 0.2 else process.pid
        finished = pixels(out, format)
        with suppress(ProcessLookupError):  # a worker has just ended
            os.kill(victim, signal.SIGKILL)
        figures["kills"] += 1
        if victim != process.pid:  # a worker: the others make up for it
            figures["kills of a worker"] += 1
            process.join(300)
        else:
            figures[f"kills while {phase}"] += 1
            figures["kills of the main process of two workers"] += workers == 2 and len(others) > 0
            process.join(10)
            broken += left_over(below)
        broken += torn(out)
        if any(pixels(out, format).get(name) != image for name, image in finished.items()):
            broken.append(f"kill {number} lost or changed an image")
    done = nst(*words(out, workers, format), seconds=300)
    broken += broken_by(done, (0,)) + torn(out)
    if pixels(out, format) != calm:
        broken.append("the images are not those of an undisturbed run")
    if lines(out) != len(RESULTS) or not (out / sheet_name(1)).exists():
        broken.append(f"{lines(out)} lines, sheet {(out / sheet_name(1)).exists()}")
    states = (CHECKPOINTS, FRAMES, TASKS)
    leftovers = [*out.rglob(f"*{SUFFIX}"), *(one for at in states for one in (out / at).glob("*"))]
    if leftovers:
        broken.append(f"left: {', '.join(map(str, leftovers))}")
    return broken


if __name__ == "__main__":
    main(attempt, "kill -9 at random moments.")
