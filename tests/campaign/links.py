"""Attacks by links: at every place of an output folder, and among the inputs."""

import random
import shutil
from pathlib import Path

from PIL import Image

from tests.campaign.harness import Figures, broken_by, changed_outside, listing, main, nst

Dice = random.Random

PLACES = (
    ".nst", ".nst/tasks", ".nst/checkpoints", ".nst/ledger", ".nst/hashes.json", ".nst/expected",
    ".nst/expected.json", ".nst/claims", ".nst/jobs", "manifest.jsonl", ".manifest.lock",
    ".manifest.soft", "settings.yaml", "grid.png", "index.html", "results.csv", "evaluation.csv",
    "gallery", "gallery/results", "gallery/results/c", "gallery/results/c/s.jpg", "gallery/thumbs",
    "gallery/views", "gallery/large", "c", "c/s.png", "c/s.yaml", "c/s", "c/s/step-0001.png",
    "c/s/history.csv", "c/s/curves.png", "c/s/metrics.csv", "c/s/hparams.yaml", "c/s/progress.gif",
    "c/s/last-good.png", "d", "d/s.png", "d/s", "curves-c.png", "blends", "more",
)  # fmt: skip

OUTSIDE = (
    "s.png",
    "x.jpg",
    "step-0001.png",
    "history.csv",
    "index.html",
    "hashes.json",
    "state.ckpt",
)

EXTRAS = ("--curves", "--save-every", 1, "--animate", "gif", "--logger", "csv")


def put_elsewhere(folder: Path) -> Path:
    """Makes a folder of the user's, with files that are called like those of nst-batch."""
    elsewhere = folder / "elsewhere"
    for place in (elsewhere, elsewhere / "c", elsewhere / "tasks", elsewhere / "results"):
        place.mkdir(exist_ok=True)
        for name in OUTSIDE:
            (place / name).write_text(f"the user's {name}")
    Image.new("RGB", (16, 12), "navy").save(elsewhere / "photo.png")
    return elsewhere


def target(dice: Dice, place: Path, out: Path, elsewhere: Path) -> Path:
    """Returns where a link at a place leads."""
    return dice.choice(
        [
            elsewhere,
            elsewhere,
            elsewhere / dice.choice(OUTSIDE),
            elsewhere / dice.choice(OUTSIDE),
            elsewhere / "gone",
            elsewhere / "gone" / "deeper",
            Path("..") / "elsewhere",
            place,
            out,
            out / dice.choice(PLACES),
            Path("/dev/full"),
        ]
    )


def put_links(dice: Dice, out: Path, elsewhere: Path) -> list[str]:
    """Puts some links into an output folder, in the place of whatever is there."""
    said = []
    for name in dice.sample(PLACES, dice.randint(1, 3)):
        place = out / name
        if any(one.is_symlink() for one in place.parents if out in one.parents):
            continue  # it would be made behind another link
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            continue
        place.symlink_to(target(dice, place, out, elsewhere))
        said.append(f"{name} -> {place.readlink()}")
    return said


def put_inputs(dice: Dice, folder: Path, elsewhere: Path) -> list[object]:
    """Makes the inputs, links among them; returns the command for the grid."""
    contents, styles = folder / "contents", folder / "styles"
    for side, names in ((contents, "cd"), (styles, "s")):
        side.mkdir()
        for name in names:
            Image.effect_noise((16, 16), 60).convert("RGB").save(side / f"{name}.png")
    if dice.random() < 0.4:
        (styles / "link.png").symlink_to(
            dice.choice([elsewhere / "photo.png", elsewhere, styles / "link.png", folder / "gone"])
        )
        (contents / "sub").symlink_to(dice.choice([contents, elsewhere, contents / "sub"]))
    recursive = ["--recursive"] if dice.random() < 0.3 else []
    return ["grid", contents, styles, *recursive]


def attempt(rng: Dice, folder: Path, figures: Figures) -> list[str]:
    """Puts links into an output folder, then has commands write, read, pack and remove there."""
    elsewhere = put_elsewhere(folder)
    quick = ("--size", 16, "--steps", 1, "--weights", "random", "--quiet")
    out = folder / "out"
    grid = [*put_inputs(rng, folder, elsewhere), "--out", out, *quick]
    grid += EXTRAS if rng.random() < 0.5 else ()
    if rng.random() < 0.2:
        (folder / "real").mkdir()
        out.symlink_to(folder / "real")
    real = out.resolve()
    if rng.random() < 0.5:
        nst(*grid, seconds=60)
    real.mkdir(exist_ok=True)
    said = put_links(rng, out, elsewhere)
    figures["links"] += len(said)
    before = listing(folder, but=real)
    packed = real / "packed.zip"
    commands = [
        grid, [*grid, "--overwrite"], ["report", out], ["archive", out, "--out", packed],
        ["clean", out, "--yes"], ["status", out],
    ]  # fmt: skip
    broken = []
    for words in rng.sample(commands, 3):
        done = nst(*words, seconds=60)
        figures[f"{words[0]} exit code {done.returncode}"] += 1
        found = broken_by(done) + changed_outside(before, listing(folder, but=real))
        broken += [f"{line} (links {', '.join(said)})" for line in found]
    return broken


if __name__ == "__main__":
    main(attempt, "Links at every place of an output folder.")
