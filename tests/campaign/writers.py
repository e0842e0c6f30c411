"""Pairs of commands on one output folder at the same moment, with the same or other settings.

The same settings share the folder; of others one is refused, or comes after. What stands at the end
is of one kind: every image has the settings that settings.yaml names.
"""

import json
import random
import threading
from pathlib import Path

import yaml
from PIL import Image

from nst_lightning.layout import MANIFEST, SETTINGS

from .harness import Done, Figures, HangError, broken_by, main, nst

SMALL = (
    "--size", 24, "--weights", "random", "--batch-size", 1, "--scales", 1,
    "--content-layers", "relu1_1", "--style-layers", "relu1_1",
)  # fmt: skip
KINDS = {
    "pixels": ("--style-weight", 7),
    "format": ("--format", "webp"),
    "devices": ("--devices", 2),
    "extras": ("--curves", "--save-every", 9),
    "nothing": (),
}


def put_inputs(rng: random.Random, folder: Path) -> None:
    """Writes two contents and two styles."""
    for name in ("contents/a", "contents/b", "styles/x", "styles/y"):
        path = folder / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        image = Image.radial_gradient("L").resize((24, 24)).rotate(rng.randrange(360))
        image.convert("RGB").save(path)


def records(out: Path) -> dict[str, dict[str, object]]:
    """Returns the last line of every image."""
    lines = map(json.loads, (out / MANIFEST).read_text().splitlines())
    return {line["output"]: line for line in lines}


def problems(out: Path) -> list[str]:
    """Returns what is wrong with a folder that two commands have left."""
    broken = []
    said = yaml.safe_load((out / SETTINGS).read_text())
    found = records(out)
    for name, record in found.items():
        asked = record["settings"]
        assert isinstance(asked, dict)
        if record["status"] != "done":
            broken.append(f"{name}: {record['status']}")
            continue
        if any(asked[key] != said[key] for key in ("style_weight", "format", "scales")):
            broken.append(f"{name} has other settings than settings.yaml")
        with Image.open(out / name) as image:
            image.load()
            if image.size != (24, 24):
                broken.append(f"{name}: is {image.size}")
    made = {
        str(path.relative_to(out))
        for kind in ("png", "webp")
        for path in out.glob(f"[ab]/*.{kind}")
    }
    if made != found.keys():
        broken.append(f"images {sorted(made)} but lines {sorted(found)}")
    return broken


def attempt(rng: random.Random, folder: Path, figures: Figures) -> list[str]:
    """Starts two commands within two seconds of one another."""
    put_inputs(rng, folder)
    out = folder / "out"
    kind = rng.choice(list(KINDS))
    steps = rng.choice((2, 10, 30))
    words = ("grid", folder / "contents", folder / "styles", *SMALL, "--steps", steps, "-o", out)
    delay = rng.choice((0.0, 0.0, rng.random() * 2))
    ends: list[Done | HangError] = []

    def begin(*more: object) -> None:
        try:
            ends.append(nst(*words, *more, seconds=120))
        except HangError as hang:
            ends.append(hang)

    first = threading.Thread(target=begin)
    second = threading.Timer(delay, begin, KINDS[kind])
    for thread in (first, second):
        thread.start()
    for thread in (first, second):
        thread.join()
    figures[f"pairs of {kind}"] += 1
    broken: list[str] = []
    for end in ends:
        broken += [str(end)] if isinstance(end, HangError) else broken_by(end)
    codes = sorted(end.returncode for end in ends if not isinstance(end, HangError))
    shares = kind in ("devices", "extras", "nothing")
    figures["shared" if codes == [0, 0] else "refused"] += 1
    if codes != ([0, 0] if shares else [0, 2]):
        broken.append(f"exit codes {codes} of {kind}")
    if not broken:
        broken += problems(out)
        again = nst(*words) if shares else None
        if again and "4 done before" not in again.stdout:
            broken.append(f"not done before: {again.stdout}{again.stderr}")
    said = [end.stdout + end.stderr for end in ends if not isinstance(end, HangError)]
    return [*broken, f"{kind}, {delay:.2f} s apart", *said] if broken else []


if __name__ == "__main__":
    main(attempt, "Pairs of commands on one output folder at the same moment.")
