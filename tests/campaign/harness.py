"""What all campaigns share: the command in a process of its own, what it may never do, the figures.

A campaign is a function that makes one attempt in an empty folder and returns the promises that it
found broken. Attempt N of a seed is always the same: `--first N --count 1` repeats it alone.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tests.integration import forked
from tests.integration.conftest import ENVIRONMENT

HANG_SECONDS = 20.0
"""A command of a campaign is small; one that takes longer on a quiet machine hangs."""

Figures = Counter[str]
"""What was done and met, counted."""

Attempt = Callable[[random.Random, Path, Figures], list[str]]
"""Gets its dice, an empty folder and the figures; returns each broken promise as a sentence."""

Done = subprocess.CompletedProcess[str]


class HangError(Exception):
    """A command did not end in time."""


def nst(*words: object, seconds: float = HANG_SECONDS) -> Done:
    """Runs `nst-batch` in a process of its own.

    Raises:
        HangError: it did not end in time.
    """
    ready()
    # A busy machine is no fault.
    seconds *= max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))
    try:
        return forked.run([str(word) for word in words], ENVIRONMENT, seconds)
    except subprocess.TimeoutExpired:
        raise HangError(f"hangs: nst-batch {' '.join(map(str, words))}") from None


@cache
def ready() -> None:
    """Starts what the processes are forked from, which takes its time once."""
    forked.run(["--version"], ENVIRONMENT, 600)


def broken_by(done: Done, codes: tuple[int, ...] = (0, 1, 2)) -> list[str]:
    """Returns what a command did that none may: a traceback, a wrong exit code, no sentence."""
    said = done.stdout + done.stderr
    broken = []
    if "Traceback (most recent call last)" in said:
        broken.append(f"traceback of {done.args}: {said[-1500:]}")
    if done.returncode not in codes:
        broken.append(f"exit code {done.returncode} of {done.args}: {said[-500:]}")
    if done.returncode and not done.stderr.strip():
        broken.append(f"exit code {done.returncode} without a word of {done.args}")
    return broken


Listing = Mapping[str, tuple[int, int, int]]


def listing(folder: Path, but: Path | None = None) -> Listing:
    """Returns every file, folder and link below a folder with its mode, size and date.

    Args:
        but: a folder that is left out, with all that is in it.
    """
    found = {}
    for current, folders, names in os.walk(folder):
        here = Path(current)
        folders[:] = [name for name in folders if here / name != but]
        for name in (*folders, *names):
            state = (here / name).lstat()
            size = 0 if name in folders else state.st_size
            when = 0 if name in folders else state.st_mtime_ns
            found[str(here / name)] = (state.st_mode, size, when)
    return found


def changed_outside(before: Listing, after: Listing) -> list[str]:
    """Returns a sentence for each file outside the output folder that came, went or changed."""
    return [
        f"outside OUT changed: {name}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def attempt_at(attempt: Attempt, number: int, seed: int, figures: Figures) -> list[str]:
    """Makes one attempt, in a folder that is removed where all promises held."""
    folder = Path(tempfile.mkdtemp(prefix="nst-campaign-"))
    try:
        broken = attempt(random.Random(f"{seed}:{number}"), folder, figures)
    except HangError as hang:
        broken = [str(hang)]
    figures["attempts"] += 1
    if broken:
        figures["broken"] += 1
        print(f"attempt {number} of seed {seed}, kept in {folder}:", *broken, sep="\n  ")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return broken


def run(attempt: Attempt, count: int, seconds: float, seed: int, first: int = 0) -> Figures:
    """Makes so many attempts, or as many as there is time for."""
    figures: Figures = Counter(attempts=0, broken=0)
    end = time.monotonic() + seconds
    for number in range(first, first + count):
        if time.monotonic() > end:
            break
        attempt_at(attempt, number, seed, figures)
    return figures


def main(attempt: Attempt, about: str) -> None:
    """A campaign as a program; exit code 1 where a promise was broken."""
    asked = argparse.ArgumentParser(description=about)
    asked.add_argument("--count", type=int, default=100, help="attempts")
    asked.add_argument("--seconds", type=float, default=3600.0, help="begin none after so long")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--first", type=int, default=0, help="number of the first attempt")
    asked.add_argument("--into", type=Path, help="JSON file to add the figures to")
    chosen = asked.parse_args()
    figures = run(attempt, chosen.count, chosen.seconds, chosen.seed, chosen.first)
    if chosen.into:
        before = Counter(json.loads(chosen.into.read_text())) if chosen.into.exists() else Counter()
        chosen.into.write_text(json.dumps(before + figures, indent=1, sort_keys=True) + "\n")
    for name, number in sorted(figures.items()):
        print(f"{name}: {number}")
    sys.exit(1 if figures["broken"] else 0)
