"""Attacks by names: of photographs, of paintings and of the output folder."""

import json
import os
import random
import unicodedata
from pathlib import Path

from PIL import Image

from nst_lightning.files import spell
from tests.campaign.harness import Figures, broken_by, changed_outside, listing, main, nst

Dice = random.Random

WRITTEN = (
    "grid.png", "grid-2.png", "index.html.png", "manifest.jsonl.png", "step-0001.png", "figure.png",
    "settings.yaml.png", "curves.png", "curves-good.png", "history.csv.png", "progress.gif",
    "results.csv.png", "evaluation.csv.png", "gallery.png", "blends.png", "sweep.yaml.png",
    "last-good.png", "good.png.png", "good.yaml.png", "nst.png", "SHA256SUMS.png",
    "x.nst-tmp.png", "events.out.tfevents.1.png",
)  # fmt: skip
"""What nst-batch calls files of its own, as the name of an image."""

ODD = (
    "a\nb.png", "a\rb.png", "a\tb.png", "\x1b[31mred.png", "\x01.png", "'.png", '".png', "`x`.png",
    "<script>alert(1).png", "<b onload=x>.png", "<!--.png", "&amp;.png", "%2e%2e.png",
    "%00.png", "-x.png", "--out.png", "-.png", "..png", "...png", ".. .png", " .png", "x .png",
    " x.png", "x. .png", "CON.png", "nul.png", "a:b.png", "a|b?.png", "*.png", "[x].png", "{x}.png",
    "$HOME.png", "~.png", "\\.png", "a\\b.png", "#.png", ";.png", "=.png", "a=1.png", ",.png",
    "+.png", "²³.png", "٣.png", "007.png", "7.png", "1e5.png", "nan.png", "inf.png", "-1.png",
    "0x10.png", "😀.png", "👩‍👩‍👧.png", "\u202egnp.png", "\u200e.png", "\u200b.png", "\ufeff.png",
    "\u2028.png", "\u0085.png", "\u00a0.png", "e\u0301" * 40 + ".png", "a" * 247 + ".png",
    "a" * 248 + ".png", "a" * 251 + ".png", "é" * 125 + ".png", "😀" * 62 + ".png", "x.PNG",
    "x.jpg", "x.jpeg", "x.tif", "x.webp", "x.bmp", "x.y.z.png", "x.mask.png", "x.png.jpg",
    "x.tar.gz.png", "null.png", "true.png", "content.png", "status.png", "__proto__.png",
    "constructor.png",
)  # fmt: skip

BYTES = (
    b"\xff.png",
    b"\xfe\xff.png",
    b"caf\xe9.png",
    b"\xed\xa0\x80.png",
    b"\xc3.png",
    b"a\x80" * 100 + b".png",
)

TWINS = (
    ("A.png", "a.png"), ("é.png", unicodedata.normalize("NFD", "é.png")), ("ß.png", "SS.png"),
    ("t.png", "t.jpg"), ("t.png", "t.PNG"), ("t.png", "t-png.png"), ("ﬁ.png", "fi.png"),
    ("K.png", "\u212a.png"), ("İ.png", "i̇.png"), ("a\nb.png", "a-b.png"), ("t.jpg", "T.JPG"),
    ("a" * 251 + ".png", "a" * 250 + "b.png"), ("x.png", "x.png.png"), ("\udcff.png", "-.png"),
)  # fmt: skip
"""Names that are nearly the same: by case, by normalisation, without their suffix."""


def some_names(dice: Dice) -> list[str]:
    """Returns hostile names for one folder."""
    kinds = dice.choices(["odd", "written", "bytes", "twins"], weights=(5, 3, 2, 3), k=2)
    found = ["good.png"]
    for kind in kinds:
        if kind == "twins":
            found += dice.choice(TWINS)
        else:
            pool = {"odd": ODD, "written": WRITTEN, "bytes": tuple(map(os.fsdecode, BYTES))}[kind]
            found.append(dice.choice(pool))
    return list(dict.fromkeys(found))


def put(dice: Dice, folder: Path) -> list[str]:
    """Fills a folder with images of hostile names; returns those that a grid takes."""
    folder.mkdir()
    names = some_names(dice)
    for name in names:
        suffix = Path(name).suffix[1:].lower().replace("jpg", "jpeg").replace("tif", "tiff")
        colour = tuple(dice.randrange(256) for _ in range(3))
        with (folder / name).open("wb") as file:
            kind = "tiff" if suffix == "tifff" else suffix
            Image.new("RGB", (16, 16), colour).save(file, kind or "png")
    stems = {Path(name).stem for name in names}
    masks = {name for name in names if name.endswith(".mask.png") and name[:-9] in stems}
    return [name for name in names if not name.startswith(".") and name not in masks]


def done_in(out: Path) -> set[str]:
    """Returns the results that the manifest has as done and that stand there, whole."""
    lines = map(json.loads, (out / "manifest.jsonl").read_text(encoding="utf-8").split("\n")[:-1])
    found = set()
    for line in lines:
        if line["status"] == "done":
            Image.open(out / line["output"]).load()
            found.add(line["output"])
    return found


def attempt(rng: Dice, folder: Path, figures: Figures) -> list[str]:
    """Makes a grid of hostile names and does with it all that one can do with a grid."""
    contents, styles = put(rng, folder / "contents"), put(rng, folder / "styles")
    out = folder / "at" / rng.choice([*WRITTEN, *ODD, *map(os.fsdecode, BYTES)])
    out.mkdir(parents=True)
    foreign = out / "mine.txt"
    foreign.write_text("the user's")
    figures["names"] += len(contents) + len(styles) + 1
    before = listing(folder, but=out)
    pairs = len(contents) * len(styles)
    grid = ("grid", folder / "contents", folder / "styles", "--out", out)
    quick = ("--size", 16, "--steps", 1, "--weights", "random")
    broken = []

    def tried(*words: object) -> str:
        done = nst(*words, seconds=90)
        broken.extend(broken_by(done, (0,)))
        broken.extend(changed_outside(before, listing(folder, but=out)))
        return done.stdout

    said = tried(*grid, *quick)
    if f"{pairs} made" not in said or len(done_in(out)) != pairs:
        broken.append(f"of {pairs} images some are not made: {said}")
    said = tried(*grid, *quick)
    if f"0 made, {pairs} done before" not in said:
        broken.append(f"not all of {pairs} images are done before: {said}")
    if f"{pairs} of {pairs} done" not in (said := tried("status", out)):
        broken.append(f"not all of {pairs} images are done in the status: {said}")
    if f"{pairs} result" not in (said := tried("report", out)):
        broken.append(f"the report lacks images: {said}")
    if rng.random() < 0.1:
        tried("evaluate", out, "--no-lpips")
        figures["evaluated"] += 1
    packed = out / "packed.tar.gz"
    tried("archive", out, "--out", packed)
    packed.unlink(missing_ok=True)
    tried("clean", out, "--yes")
    left = [path for path in out.rglob("*") if not path.is_dir()]
    if left != [foreign]:
        broken.append(f"clean left {left}")
    return [spell(line) for line in broken]


if __name__ == "__main__":
    main(attempt, "Photographs, paintings and output folders with hostile names.")
