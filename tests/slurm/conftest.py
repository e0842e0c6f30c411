"""A real Slurm cluster of two nodes on this machine; real images, real weights."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
NST = [sys.executable, "-m", "nst_lightning"]
QUICK = ["--size", "64", "--scales", "1", "--precision", "32-true", "--weights", "normalized"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[dict[str, str]]:
    """The environment of a user of the cluster, which is started and stopped here."""
    up = subprocess.run(
        [HERE / "cluster-up.sh"], capture_output=True, text=True, timeout=300, check=False
    )
    assert up.returncode == 0, up.stderr
    name, _, value = up.stdout.strip().splitlines()[-1].removeprefix("export ").partition("=")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    yield {**environment, name: value, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    subprocess.run([HERE / "cluster-down.sh"], timeout=120, check=True)


class Cluster:
    """What a user does with it."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment = environment
        self.folder = folder

    def run(self, *words: object, seconds: float = 180) -> "subprocess.CompletedProcess[str]":
        """A command, to its end."""
        return subprocess.run(
            [*map(str, words)], env=self.environment, cwd=self.folder, capture_output=True,
            text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def batch(self, lines: Sequence[str], *options: object) -> str:
        """Submit a script; the id of its job."""
        script = self.folder / "job.sh"
        script.write_text("\n".join(["#!/bin/bash", *lines, ""]))
        made = self.run(
            "sbatch", "--parsable", "--output", self.folder / "%j.log", *options, script
        )
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def states(self, job: str) -> list[str]:
        """Of all tasks of a job."""
        said = self.run("squeue", "-h", "--array", "-t", "all", "-o", "%T", "-j", job)
        return said.stdout.split()

    def wait(self, job: str, seconds: float = 150) -> list[str]:
        """Until no task of a job will do anything more; their states."""
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
        self.until(lambda: set(self.states(job)) <= over, seconds, job)
        return self.states(job)

    def until(self, true: Callable[[], object], seconds: float = 90, job: str = "") -> None:
        """Wait for something."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{self.states(job) if job else ''}\n{self.logs()}"
            time.sleep(0.3)

    def logs(self) -> str:
        """What all jobs of this test have said."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{file.name}:\n{file.read_text()[-3000:]}" for file in files)


@pytest.fixture
def slurm(cluster: dict[str, str], tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(cluster, tmp_path)
    yield made
    made.run("scancel", "--user=root", "--quiet")
    made.until(lambda: not made.run("squeue", "-h").stdout.strip(), 60)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three small photographs, two small paintings."""
    folder = tmp_path_factory.mktemp("images")
    return (
        put("contents", ["astronaut", "chelsea", "coffee"], folder / "contents"),
        put("styles", ["brush_flow", "woodcut"], folder / "styles"),
    )


@pytest.fixture
def contents(images: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder of one's own."""
    return shutil.copytree(images[0], tmp_path / "contents")


@pytest.fixture
def styles(images: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder of one's own."""
    return shutil.copytree(images[1], tmp_path / "styles")


def put(kind: str, names: Sequence[str], folder: Path) -> Path:
    folder.mkdir()
    for name in names:
        with Image.open(EXAMPLES / kind / f"{name}.jpg") as image:
            image.resize((96, 80)).save(folder / f"{name}.png")
    return folder


def nst(*words: object) -> str:
    """The command line, as a line of a script."""
    return shlex.join(map(str, [*NST, *words]))


def manifest(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
