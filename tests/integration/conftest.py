"""The real command line on real images with the real weights."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from . import forked

EXAMPLES = Path(__file__).parents[2] / "examples"

# One thread count for all runs, so that results can be compared bit for bit.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

# A busy machine is no fault.
SECONDS = 900

Nst = Callable[..., "subprocess.CompletedProcess[str]"]


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "nst_lightning", *map(str, words)]


def start(*words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*words),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(*words: object) -> "subprocess.CompletedProcess[str]":
    return forked.run([str(word) for word in words], ENVIRONMENT, SECONDS)


@pytest.fixture
def nst() -> Nst:
    return call


def until(path: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists()


def records(out: Path) -> dict[str, dict[str, Any]]:
    lines = map(json.loads, (out / "manifest.jsonl").read_text().splitlines())
    return {line["output"]: line for line in lines}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).copy()


def put(source: Path, folder: Path, names: list[str], size: int = 96) -> Path:
    """Small copies of an example image under several names, each a little different."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        for shift, name in enumerate(names):
            box = (10 * shift, 0, 10 * shift + 280, 280)
            image.crop(box).resize((size, size)).save(folder / name)
    return folder


def put_contents(folder: Path) -> Path:
    put(EXAMPLES / "contents" / "chelsea.jpg", folder, ["cat.png"])
    return put(EXAMPLES / "contents" / "rocket.jpg", folder, ["rocket.png"])


def put_styles(folder: Path) -> Path:
    put(EXAMPLES / "styles" / "brush_flow.jpg", folder, ["brush.jpg"])
    return put(EXAMPLES / "styles" / "woodcut.jpg", folder, ["wood cut.jpg"])


@pytest.fixture
def contents(tmp_path: Path) -> Path:
    return put_contents(tmp_path / "contents")


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    return put_styles(tmp_path / "styles")
