"""Malformed meshes: each is painted or named in one sentence, and nothing else is said.

They are made by damaging small good ones of all formats: their bytes, and the numbers in them.
"""

import random
import re
import shutil
from functools import cache
from pathlib import Path

from tests.campaign.harness import Figures, broken_by, changed_outside, listing, main, nst
from tests.campaign.images import cut, flip, insert, named, noise, seeds, splice

EXAMPLES = Path(__file__).parents[2] / "examples" / "meshes"

MODELS = 5
"""Malformed ones in a folder."""

GRID = (
    "--view-size", 16, "--views", 1, "--steps", 1, "--scales", 1, "--texture-size", 16,
    "--weights", "random", "--content-layers", "relu1_1", "--style-layers", "relu1_1",
    "--max-pixels", 1_000_000,
)  # fmt: skip

NUMBERS = (b"-1", b"0", b"1e39", b"nan", b"7", b"4294967296", b"-2147483648", b"", b'"a"', b"[]")
"""What is put in the place of a number."""


@cache
def meshes() -> dict[str, bytes]:
    """Returns good meshes: file name → bytes."""
    return {path.name: path.read_bytes() for path in EXAMPLES.iterdir()}


def renumber(dice: random.Random, data: bytes) -> bytes:
    """Puts something else in the place of a number that is written as text."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data[: 1 << 16]))
    if not found:
        return flip(dice, data)
    one = dice.choice(found)
    return data[: one.start()] + dice.choice(NUMBERS) + data[one.end() :]


DAMAGE = (flip, cut, splice, insert, renumber, renumber, renumber)


def attempt(dice: random.Random, folder: Path, figures: Figures) -> list[str]:
    """Draws a folder with malformed meshes, and a good one."""
    models, styles = folder / "models", folder / "styles"
    styles.mkdir()
    shutil.copytree(EXAMPLES, models)
    (styles / "good1.png").write_bytes(seeds()["rgb.png"])
    for name in ("vase.glb", "stone.ply"):
        (models / name).unlink()
    (models / "torus.obj").rename(models / "good0.obj")
    bad = {}
    for number in range(MODELS):
        name, data = dice.choice([one for one in meshes().items() if not one[0].endswith("g")])
        for _ in range(dice.choice((1, 1, 2))):
            data = dice.choice(DAMAGE)(dice, data)
        path = models / f"n{number:02}{Path(name).suffix}"
        path.write_bytes(data)
        if path.suffix != ".mtl":
            bad[path] = folder / "OUT" / path.stem / f"good1{path.suffix}"
    before, out = listing(folder), folder / "OUT"
    done = nst("mesh", models, styles, *GRID, "-o", out, seconds=300)
    broken = broken_by(done, (0, 1))
    broken += changed_outside(before, listing(folder, but=out))
    broken += noise(done)
    if not (out / "good0/good1.obj").is_file():
        broken.append(f"the good mesh is not painted: {done.stderr[-500:]}")
    for path, result in bad.items():
        figures["meshes"] += 1
        figures["painted" if result.is_file() else "refused"] += 1
        if not result.is_file() and not named(path, done):
            broken.append(f"{path.name} is neither painted nor named: {done.stderr[-500:]}")
    return broken


if __name__ == "__main__":
    main(attempt, __doc__ or "")
