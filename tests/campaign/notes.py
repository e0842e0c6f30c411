"""Damaged notes: what a run keeps in its output folder, changed by chance, and every command after.

The images carry their records themselves, so that the same command makes none of them anew and
enters all of them again, or says in a sentence what is in its way.
"""

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from nst_lightning.layout import (
    CHECKPOINTS,
    CLAIMS,
    EXPECTED,
    EXPECTED_BEFORE,
    INPUT_HASHES,
    LEDGER_PARTS,
    MANIFEST,
    SETTINGS,
    STATE,
    SUBMITTED,
    TASKS,
)

from .harness import Done, Figures, broken_by, changed_outside, listing, main, nst

SMALL = (
    "--size", 16, "--steps", 2, "--weights", "random", "--batch-size", 1, "--curves",
    "--content-layers", "relu1_1", "--style-layers", "relu1_1",
)  # fmt: skip

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**400, "", "x", "a\0b", "/", "..", "../../x.png", "/etc/passwd",
    "a/" * 2500 + "x.png", "x" * 5000, "\ud800", "\udcff", "\u202e", "\x1b[31m", [], {}, [[]],
    {"a": {"b": None}}, ["a"], "2001-99-99", "NaN", float("nan"), float("inf"), "done",
)  # fmt: skip


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@cache
def template() -> Path:
    """Returns a folder with inputs and what a run has made of them, once for all attempts."""
    folder = Path(tempfile.mkdtemp(prefix="nst-campaign-notes-"))
    for side, names in (("contents", "ab"), ("styles", "xy")):
        (folder / side).mkdir()
        for turn, name in enumerate(names):
            image = Image.radial_gradient("L").resize((16, 16)).rotate(40 * turn + ord(side[0]))
            image.convert("RGB").save(folder / side / f"{name}.png")
    done = nst("grid", folder / "contents", folder / "styles", *SMALL, "-o", folder / "out")
    assert done.returncode == 0, done.stderr
    reported = nst("report", folder / "out")
    assert reported.returncode == 0, reported.stderr
    return folder


def change_json(rng: random.Random, value: Any) -> Any:
    """Returns a value of JSON with one place in it changed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        what = rng.randrange(4)
        if what == 0:
            return {name: one for name, one in value.items() if name != key}
        if what == 1:
            return {**value, str(rng.choice(ODD)): value[key]}
        return {**value, key: change_json(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], change_json(rng, value[at]), *value[at + 1 :]]
    return rng.choice(ODD)


def change_text(rng: random.Random, text: str) -> str:
    """Returns the text of a note, changed as JSON or as bytes."""
    lines = text.splitlines()
    at = rng.randrange(len(lines)) if lines else 0
    what = rng.randrange(8)
    if what < 4 and lines:
        try:
            lines[at] = json.dumps(change_json(rng, json.loads(lines[at])))
        except (ValueError, RecursionError):
            lines[at] = str(rng.choice(ODD))
    elif what == 4:
        lines.insert(at, rng.choice((deep(rng.choice((50, 3000))), "null", "\0" * 9, "{", "[]")))
    elif what == 5:
        return text[: rng.randrange(len(text) + 1)]
    elif what == 6:
        return ""
    else:
        where = rng.randrange(len(text) + 1)
        return text[:where] + rng.choice(("\0", "\ufeff", "}", '"', "\n", "9")) + text[where + 1 :]
    return "\n".join(lines) + "\n"


def damage(rng: random.Random, out: Path) -> str:
    """Changes one note, and returns what became of which."""
    notes: list[Path | str] = [
        MANIFEST, MANIFEST, MANIFEST, SETTINGS, INPUT_HASHES, *EXPECTED_BEFORE, SUBMITTED,
        LEDGER_PARTS / "7.0.0.jsonl", TASKS / "other-1.json", CHECKPOINTS / "a--x.1" / "pairs.json",
        CHECKPOINTS / "a--x.1" / "state.ckpt", CLAIMS / f"{rng.randrange(3)}.json",
        *(path.relative_to(out) for name in (EXPECTED, CLAIMS) for path in (out / name).glob("*")),
    ]  # fmt: skip
    path = out / rng.choice(notes)
    kind = rng.choice(("change",) * 8 + ("folder", "bytes", "gone", "state"))
    if kind == "state":
        path = out / rng.choice((STATE, TASKS, CLAIMS, EXPECTED, CHECKPOINTS, LEDGER_PARTS))
    if path.is_dir() != (kind == "state") or any(parent.is_file() for parent in path.parents):
        return f"left {path.name}"  # a folder, or below what is a file by now
    if kind == "state":
        shutil.rmtree(path)
        path.touch()
    elif kind == "folder":
        path.unlink(missing_ok=True)
        path.mkdir(parents=True)
        (path / "inside").touch()
    elif kind == "gone":
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(exist_ok=True, parents=True)
        text = path.read_text(errors="replace") if path.is_file() else '{"a": [1, "b"]}\n'
        data = rng.randbytes(rng.randrange(60)) if kind == "bytes" else None
        changed = change_text(rng, text).encode("utf-8", "surrogatepass")
        path.write_bytes(changed if data is None else data)
    return f"{kind} {path.relative_to(out)}"


def images(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.glob("[ab]/*.png")}


def repeats(folder: Path) -> Iterator[tuple[str, Done]]:
    """Yields the commands on a folder of results, each with what it said; the last removes it."""
    out = folder / "out"
    words: Sequence[tuple[object, ...]] = (
        ("status", out), ("report", out), ("grid", folder / "contents", folder / "styles", *SMALL,
        "-o", out), ("status", out, "--json"), ("archive", out, "-o", folder / "archive.zip"),
        ("clean", out, "--yes"),
    )  # fmt: skip
    for command in words:
        yield str(command[0]), nst(*command)


def attempt(rng: random.Random, folder: Path, figures: Figures) -> list[str]:
    """Damages some notes of a finished folder, and runs every command on it."""
    shutil.copytree(template(), folder, dirs_exist_ok=True)
    out = folder / "out"
    before, around = images(out), listing(folder, but=out)
    damages = [damage(rng, out) for _ in range(rng.randint(3, 8))]
    figures["damaged notes"] += len(damages)
    broken: list[str] = []
    check: Callable[[], bool] = lambda: images(out) == before  # noqa: E731
    for name, done in repeats(folder):
        broken += broken_by(done)
        if name == "clean":
            break
        (folder / "archive.zip").unlink(missing_ok=True)
        if not check():
            broken.append(f"{name} changed the images")
        if name == "grid":
            figures["mended" if done.returncode == 0 else "told in a sentence"] += 1
            if done.returncode == 0 and "4 done before" not in done.stdout:
                broken.append(f"made again: {done.stdout[-300:]}")
    broken += changed_outside(around, listing(folder, but=out))
    return [*broken, f"damages: {damages}"] if broken else []


if __name__ == "__main__":
    main(attempt, "Damaged manifests and notes, and every command after.")
