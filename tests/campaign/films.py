"""Malformed films: each is painted or named in one sentence, and nothing else is said.

They are made by damaging small good ones of several formats, and by what is no film at all.
"""

import os
import random
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.campaign.harness import Figures, broken_by, changed_outside, listing, main, nst
from tests.campaign.images import cut, flip, insert, named, noise, seeds, splice
from tests.clips import make_film, packets, pan

FILMS = 8
"""Malformed ones in a folder."""

VIDEO = (
    "--size", 16, "--steps", 1, "--frame-steps", 1, "--weights", "random",
    "--content-layers", "relu1_1", "--style-layers", "relu1_1", "--max-pixels", 1_000_000,
)  # fmt: skip

KINDS = {
    "mp4": ("libx264", "yuv420p", "aac"),
    "mkv": ("ffv1", "bgr0", "libopus"),
    "webm": ("libvpx-vp9", "yuv420p", "libopus"),
    "mov": ("prores_ks", "yuv422p10le", "aac"),
    "avi": ("mpeg4", "yuv420p", "mp2"),
    "ts": ("mpeg2video", "yuv420p", "mp2"),
}
"""The codecs of images and sound, and the samples, by the suffix of the file."""

DAMAGE = (flip, flip, cut, splice, insert)


@cache
def films() -> dict[str, bytes]:
    """Returns good films: suffix → bytes."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix, (codec, samples, sound) in KINDS.items():
            path = Path(folder, f"film.{suffix}")
            make_film(path, pan(3, 32), codec=codec, samples=samples, options={}, sound=sound)
            made[suffix] = path.read_bytes()
    return made


OTHERS = {"text": b"no film\n", "nothing": b"", "image": seeds()["rgb.png"], "zeros": bytes(5000)}


def put_bad(dice: random.Random, path: Path, data: bytes) -> None:
    """Puts a damaged film in a place, or what is no film."""
    kind = dice.choice(("damaged",) * 12 + ("pipe", "link", *OTHERS))
    if kind == "pipe":
        os.mkfifo(path)
        return
    if kind == "link":
        path.symlink_to("nowhere")
        return
    for _ in range(dice.choice((1, 1, 2))):
        data = dice.choice(DAMAGE)(dice, data)
    others = {
        "text": b"no film\n",
        "nothing": b"",
        "image": seeds()["rgb.png"],
        "zeros": bytes(5000),
    }
    path.write_bytes(others.get(kind, data))


def attempt(dice: random.Random, folder: Path, figures: Figures) -> list[str]:
    """Paints a folder with malformed films, and a good one."""
    clips, styles, out = folder / "clips", folder / "styles", folder / "OUT"
    clips.mkdir()
    styles.mkdir()
    (styles / "good1.png").write_bytes(seeds()["rgb.png"])
    (clips / "good0.mp4").write_bytes(films()["mp4"])
    bad = {}
    for number in range(FILMS):
        suffix = dice.choice(tuple(films()))
        path = clips / f"n{number:02}.{suffix}"
        put_bad(dice, path, films()[suffix])
        bad[path] = out / path.stem / "good1.mkv"
    before = listing(folder)
    words = ("video", clips, styles, *VIDEO, "--container", "mkv", "-o", out)
    done = nst(*words, "--devices", dice.choice((1, 1, 1, 2)), seconds=120)
    broken = broken_by(done, (0, 1))
    broken += changed_outside(before, listing(folder, but=out))
    broken += noise(done)
    if not (out / "good0/good1.mkv").is_file():
        broken.append(f"the good film is not painted: {done.stderr[-500:]}")
    for path, result in bad.items():
        figures["films"] += 1
        figures["painted" if result.is_file() else "refused"] += 1
        if not result.is_file() and not named(path, done):
            broken.append(f"{path.name} is neither painted nor named: {done.stderr[-500:]}")
    for result in out.rglob("*.mkv"):
        try:
            packets(result)
        except subprocess.CalledProcessError as error:
            broken.append(f"{result} is not whole: {error.stderr}")
    again = nst(*words, seconds=120)
    broken += broken_by(again, (done.returncode,))
    if done.returncode == 0 and "0 made" not in again.stdout:
        broken.append(f"what was made is made again: {again.stdout}")
    return broken


if __name__ == "__main__":
    main(attempt, __doc__ or "")
