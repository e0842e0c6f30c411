"""Attacks by a full disk: an output folder on a small file system, which later gets larger."""

import os
import random
import shutil
import subprocess
from pathlib import Path

from PIL import Image

from nst_lightning.files import SUFFIX
from tests.campaign.harness import Figures, broken_by, changed_outside, listing, main, nst

Dice = random.Random

EXTRAS = ("--curves", "--save-every", 1, "--animate", "gif", "--logger", "csv")
LONGEST_MESSAGE = 2000


def why_not() -> str:
    """Returns why no file system can be mounted here; empty where one can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "only root can mount a small file system"
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True
    )
    return "" if done.returncode == 0 else f"nothing can be mounted: {done.stderr.decode()}"


def mount(folder: Path, kib: int, *more: str) -> None:
    """Puts a file system of some KiB in the place of a folder, or makes it so large."""
    options = ",".join([f"size={kib}k", *more])
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)


def not_whole(out: Path) -> list[str]:
    """Returns a sentence for each image of an output folder that cannot be decoded."""
    broken = []
    for path in sorted(out.rglob("[!.]*.*")):
        if path.suffix in (".png", ".jpg", ".webp", ".tif", ".gif"):
            try:
                with Image.open(path) as image:
                    image.load()
            except (OSError, SyntaxError, ValueError) as error:
                broken.append(f"{path} of {path.stat().st_size} bytes is not whole: {error}")
    return broken


def attempt(rng: Dice, folder: Path, figures: Figures) -> list[str]:
    """Makes a grid on a file system that becomes full, then goes on where there is room."""
    out = folder / "out"
    out.mkdir()
    for side, names in (("contents", "cd"), ("styles", "s")):
        (folder / side).mkdir()
        for name in names:
            Image.effect_noise((48, 48), 60).convert("RGB").save(folder / side / f"{name}.png")
    form = rng.choice(["png", "png", "jpeg", "webp", "tiff"])
    grid = (
        "grid", folder / "contents", folder / "styles", "--out", out, "--size", 48, "--steps", 3,
        "--weights", "random", "--format", form, "--quiet", *EXTRAS,
    )  # fmt: skip
    before = listing(folder, but=out)
    broken: list[str] = []
    kib = rng.choice([rng.randrange(4, 200, 4), rng.randrange(100, 700, 4)])
    mount(out, kib)
    try:
        done = nst(*grid, seconds=90)
        figures[f"full: exit code {done.returncode}"] += 1
        broken += broken_by(done)
        if done.returncode and str(out) not in done.stderr:
            broken.append(f"no path is named: {done.stderr}")
        if len(done.stderr) > LONGEST_MESSAGE:
            broken.append(f"a message of {len(done.stderr)} characters: {done.stderr[:500]}")
        broken += not_whole(out)
        mount(out, 65536, "remount")
        done = nst(*grid, seconds=90)
        broken += broken_by(done, (0,)) + not_whole(out)
        results = [
            out / name / f"s.{Path(end)}" for name in "cd" for end in ("png", "jpg", "webp", "tif")
        ]
        if sum(result.is_file() for result in results) != 2:
            broken.append(f"with room not all is made: {done.stdout}{done.stderr}")
        left = [str(path) for path in out.rglob(f"*{SUFFIX}")]
        broken += [f"leftovers: {', '.join(left)}"] if left else []
        broken += changed_outside(before, listing(folder, but=out))
        if broken:
            broken.append(f"the file system had {kib} KiB, format {form}")
            shutil.copytree(out, folder / "kept")
    finally:
        subprocess.run(["umount", out], check=True)
    return broken


if __name__ == "__main__":
    if reason := why_not():
        raise SystemExit(reason)
    main(attempt, "Grids on a disk that becomes full.")
