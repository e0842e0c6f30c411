"""Images that go on in the middle, on one machine."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import (
    Nst,
    call,
    pixels,
    put_contents,
    put_styles,
    records,
    start,
    until,
)
from tests.integration.test_grid import images, lines, slow_grid, wait_for

LONG = ("--size", 64, "--steps", 120, "--scales", 1, "--precision", "32-true")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images made without an interruption."""
    folder = tmp_path_factory.mktemp("whole")
    contents, styles = put_contents(folder / "contents"), put_styles(folder / "styles")
    words = ("grid", contents, styles / "brush.jpg", "-o", folder / "out", *LONG)
    assert call(*words, "--batch-size", 2).returncode == 0
    return folder / "out"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGKILL, -9)],
)
def test_an_interrupted_image_goes_on_where_it_was(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path, whole: Path, number: int, code: int
):
    out = tmp_path / "cut"
    words = ("grid", contents, styles / "brush.jpg", "-o", out, *LONG, "--batch-size", 2)
    often = ("--checkpoint-every", 0.01) if number == signal.SIGKILL else ()
    process = start(*words, *often, "--save-first", 40)
    until(out / "cat" / "brush" / "step-0025.png")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert len(list(out.glob(".nst/checkpoints/cat--brush-and-1-more.*/state.ckpt"))) == 1
    assert nst(*words).returncode == 0
    found, expected = records(out), records(whole)
    assert found.keys() == expected.keys()
    for name, record in found.items():
        assert 20 <= record["resumed"][0] < 120
        assert record["losses"] == expected[name]["losses"]
        assert (pixels(out / name) == pixels(whole / name)).all()
    assert not list(out.glob(".nst/checkpoints/*"))


def test_one_image_of_an_interrupted_batch_can_go_on_alone(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path, whole: Path
):
    out = tmp_path / "cut"
    words = ("grid", contents, styles / "brush.jpg", "-o", out, *LONG)
    # Late: another batch size is another rounding, which L-BFGS amplifies from step to step.
    process = start(*words, "--batch-size", 2, "--save-first", 110)
    until(out / "cat" / "brush" / "step-0100.png")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    for part in ("1/2", "2/2"):
        assert nst(*words, "--shard", part).returncode == 0
    for name, record in records(out).items():
        assert record["resumed"]
        total, expected = (r["losses"]["total"] for r in (record, records(whole)[name]))
        assert total == pytest.approx(expected, rel=0.01)
    assert not list(out.glob(".nst/checkpoints/*"))


def test_workers_go_on_where_they_were(nst: Nst, contents: Path, styles: Path, tmp_path: Path):
    out = tmp_path / "cut"
    # So many steps that the first worker is not done before the second has begun.
    steps = ("--devices", 2, "--steps", 500)
    words = ("grid", contents, styles / "brush.jpg", "-o", out, *LONG, *steps)
    process = start(*words, "--save-first", 60)
    for name in ("cat", "rocket"):
        until(out / name / "brush" / "step-0005.png")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert len(list(out.glob(".nst/checkpoints/*/state.ckpt"))) == 2
    assert nst(*words).returncode == 0
    for record in records(out).values():
        assert record["resumed"]


def test_status_of_a_run_and_of_a_killed_one(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    (contents / "torn.png").write_bytes(b"torn")
    words = ("grid", contents, styles / "brush.jpg", "-o", out, "--size", 64, "--steps", 3000)
    process = start(*words, "--save-every", 1)
    until(out / "cat" / "brush" / "step-0001.png")
    found = json.loads(nst("status", out, "--json").stdout)
    assert list(found["running"]) == ["cat/brush.png"]
    assert list(found["failed"]) == ["torn/brush.png"]
    assert found["waiting"] == ["rocket/brush.png"]
    assert (found["total"], found["done"]) == (3, [])
    shown = nst("status", out).stdout
    assert "running: cat/brush.png: step " in shown
    assert shown.splitlines()[-1] == "0 of 3 done, 1 running, 1 failed, 1 waiting"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    shown = nst("status", out, "--watch", "--all").stdout
    assert shown.splitlines()[-1] == "0 of 3 done, 0 running, 1 failed, 2 waiting"
    assert "waiting: cat/brush.png" in shown


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--time", "soon"), "--time should be"),
        (("--shards", "0"), "--shards should be"),
        (("--size", "-3"), "size"),
    ],
)
def test_submit_refuses_what_cannot_work(
    nst: Nst, contents: Path, styles: Path, options: tuple[str, ...], sentence: str
):
    refused = nst("submit", "grid", contents, styles, *options)
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


def test_submit_needs_a_cluster(
    contents: Path, styles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from nst_lightning.errors import UserError
    from nst_lightning.run import job_array as submit

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="login node"):
        submit.executor(tmp_path / "out", {})


def test_kill_9_costs_only_the_image_in_the_making(
    nst: Nst, contents: Path, styles: Path, tmp_path: Path
):
    out, calm = tmp_path / "out", tmp_path / "calm"
    process = start(*slow_grid(contents, styles, out))
    wait_for(out / "cat" / "wood cut" / "step-0001.png", process)  # the second pair has begun
    process.kill()
    process.communicate()
    finished = images(out)
    assert list(finished) == ["cat/brush.png"]  # whole, since it decodes; and nothing else
    stamp = (out / "cat" / "brush.png").stat().st_mtime_ns

    # A torn last line, as a kill in mid-write would leave it, and a lost one.
    (out / "manifest.jsonl").write_text('{"output": "cat/bru')
    again = nst(*slow_grid(contents, styles, out), "--json")
    assert again.returncode == 0, again.stderr
    outcome = json.loads(again.stdout)
    assert outcome["skipped"] == 1
    assert len(outcome["done"]) == 3
    assert (out / "cat" / "brush.png").stat().st_mtime_ns == stamp
    assert len(lines(out)) == 4

    assert nst(*slow_grid(contents, styles, calm)).returncode == 0
    undisturbed = images(calm)
    assert sorted(undisturbed) == sorted(images(out))
    for name, image in images(out).items():
        assert (image == undisturbed[name]).all(), name
