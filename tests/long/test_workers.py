"""Several workers on one machine, on the CPU."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Nst, pixels, start

QUICK = ("--size", 64, "--steps", 12, "--precision", "32-true")
TWO = ("--devices", 2)


def children(parent: int) -> list[int]:
    """The worker processes of a run; Python's resource tracker is not one."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
            command = (status.parent / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if fields["PPid"] == str(parent) and b"spawn_main" in command:
            found.append(int(fields["Pid"]))
    return found


def until_busy(parent: int, out: Path) -> list[int]:
    """Wait until two workers are there and the first snapshot of an image is."""
    for _ in range(900):
        if len(children(parent)) == 2 and list(out.glob("*/*/step-0001.png")):
            return children(parent)
        time.sleep(0.1)
    raise AssertionError("no worker began")


@pytest.fixture
def alone(nst: Nst, contents: Path, styles: Path, tmp_path: Path) -> Path:
    """The grid as one process makes it."""
    out = tmp_path / "alone"
    assert nst("grid", contents, styles, "-o", out, *QUICK).returncode == 0
    return out


def results(out: Path) -> Iterator[str]:
    return (path.relative_to(out).as_posix() for path in sorted(out.glob("*/*.png")))


def test_two_workers_make_the_same_images(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path, alone: Path
):
    out = tmp_path / "two"
    (contents / "torn.png").write_bytes((contents / "cat.png").read_bytes()[:300])
    run = nst("grid", contents, styles, "-o", out, *QUICK, *TWO, "--json")
    assert run.returncode == 1
    found = json.loads(run.stdout)
    assert sorted(found["done"]) == list(results(alone)) == list(results(out))
    assert len(found["failed"]) == 2
    for name in results(alone):
        assert (pixels(out / name) == pixels(alone / name)).all()
    again = nst("grid", contents, styles, "-o", out, *QUICK, *TWO, "--json")
    assert json.loads(again.stdout)["skipped"] == 4


def test_a_worker_killed_in_the_middle_costs_nothing(
    contents: Path, styles: Path, tmp_path: Path, alone: Path
):
    out = tmp_path / "killed"
    process = start("grid", contents, styles, "-o", out, *QUICK, *TWO, "--save-every", 1)
    os.kill(until_busy(process.pid, out)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert sorted(line["output"] for line in lines) == list(results(alone))
    for name in results(alone):
        assert (pixels(out / name) == pixels(alone / name)).all()


def test_a_batch_that_kills_its_worker_twice_is_given_up(
    contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "cursed"
    # So many steps that the batch is not made before the test sees it begin.
    words = (*QUICK, "--steps", 100, "--save-every", 1)
    process = start("grid", contents, styles / "brush.jpg", "-o", out, *words, *TWO)
    cursed = out / "cat" / "brush" / "step-0001.png"
    for _ in range(2):
        until = time.monotonic() + 90
        while not cursed.exists() and time.monotonic() < until:
            time.sleep(0.02)
        for worker in children(process.pid):
            os.kill(worker, signal.SIGKILL)
        cursed.unlink()
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 1, errors
    assert "died twice (signal 9)" in errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_all_workers(
    contents: Path, styles: Path, tmp_path: Path, number: int, code: int
):
    out = tmp_path / "stopped"
    words = ("--size", 64, "--steps", 5000, "--save-every", 1)
    process = start("grid", contents, styles, "-o", out, *words, *TWO)
    workers = until_busy(process.pid, out)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "0 of 4 results are finished" in errors
    assert "Traceback" not in errors
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_workers_do_not_outlive_a_killed_parent(contents: Path, styles: Path, tmp_path: Path):
    out = tmp_path / "orphans"
    words = ("--size", 64, "--steps", 5000, "--save-every", 1)
    process = start("grid", contents, styles, "-o", out, *words, *TWO)
    workers = until_busy(process.pid, out)
    process.kill()
    process.communicate()
    until = time.monotonic() + 2
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < until, "a worker goes on without its parent"
        time.sleep(0.05)


def test_workers_that_have_not_begun_do_not_outlive_their_parent_either(
    contents: Path, styles: Path, tmp_path: Path
):
    process = start("grid", contents, styles, "-o", tmp_path / "early", "--size", 64, *TWO)
    for _ in range(900):
        if workers := children(process.pid):
            break
        time.sleep(0.02)
    process.kill()
    process.communicate()
    time.sleep(2)
    assert workers
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--devices", "0"], "above 0"),
        (["--devices", "many"], "auto, a number"),
        (["--devices", "0,1"], "GPU"),
    ],
)
def test_one_sentence(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path, words: list[str], sentence: str
):
    run = nst("grid", contents, styles, "-o", tmp_path / "out", *words, "--accelerator", "cpu")
    assert run.returncode == 2
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
