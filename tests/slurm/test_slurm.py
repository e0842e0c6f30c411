"""On a real Slurm cluster. A test here takes seconds of a job's start for each of its processes."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import NST, QUICK, Cluster, manifest, nst

pytestmark = pytest.mark.slurm

KILL = """
import os, sys
from nst_lightning.store.ledger import Ledger
kept = Ledger.append
def append(ledger, record):
    kept(ledger, record)
    os._exit(9)
Ledger.append = append
from nst_lightning.cli import main
main()
"""


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).copy()


def outputs(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.glob("*/*.png"))


@pytest.fixture(scope="module")
def whole(
    cluster: dict[str, str],
    images: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """One image of 400 steps, made without an interruption."""
    folder = tmp_path_factory.mktemp("whole")
    pair = (images[0] / "chelsea.png", images[1] / "woodcut.png")
    done = Cluster(cluster, folder).run(
        *NST, "grid", *pair, "-o", folder / "out", *QUICK, "--steps", 400
    )
    assert done.returncode == 0, done.stderr
    return folder / "out" / "chelsea" / "woodcut.png"


def test_tasks_of_two_nodes_make_every_pair_once(
    slurm: Cluster, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    made = slurm.run(
        "srun", "-N2", "-n4", "--gres=gpu:2", *NST, "grid", contents, styles, "-o", out, *QUICK,
        "--steps", 6,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    lines = manifest(out)
    assert sorted(line["output"] for line in lines) == outputs(out)
    assert len(lines) == 6
    tasks = [line["by"] for line in lines]
    assert {task["rank"] for task in tasks} == {0, 1, 2, 3}
    assert len({(task["node"], task["gpus"]) for task in tasks}) == 4
    assert {task["gpus"] for task in tasks} == {"0", "1"}
    assert (out / "grid.png").is_file()
    assert not list((out / ".nst").glob("ledger/*"))
    assert made.stdout.count("see ") == 4
    assert sum(f"see {out / 'grid.png'}" in line for line in made.stdout.splitlines()) >= 1


def test_a_script_of_several_tasks_without_srun_does_not_hang(
    slurm: Cluster, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    words = ("grid", contents / "coffee.png", styles, "-o", out, *QUICK, "--steps", 4)
    job = slurm.batch([nst(*words)], "-n2")
    assert slurm.wait(job) == ["COMPLETED"]
    assert len(manifest(out)) == 2


def test_a_task_of_an_array_that_dies_costs_its_share_alone(
    slurm: Cluster, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    (tmp_path / "kill.py").write_text(KILL)
    words = nst("grid", contents, styles, "-o", out, *QUICK, "--steps", 6)
    die = words.replace("-m nst_lightning", str(tmp_path / "kill.py"))
    script = [
        "shard=$SLURM_ARRAY_TASK_ID",
        f'if [ "$NST_KILL" = $shard ]; then {die} --shard $shard/2; exit; fi',
        f"{words} --shard $shard/2",
    ]
    job = slurm.batch(script, "--array=1-2", "--export=ALL,NST_KILL=2")
    assert sorted(slurm.wait(job)) == ["COMPLETED", "FAILED"], slurm.logs()
    assert len(outputs(out)) == 4
    assert not (out / "grid.png").exists()
    before = {name: (out / name).stat().st_mtime_ns for name in outputs(out)}
    found = json.loads(slurm.run(*NST, "status", out, "--json").stdout)
    assert (len(found["done"]), len(found["waiting"]), found["running"]) == (4, 2, {})
    assert slurm.wait(slurm.batch(script, "--array=2")) == ["COMPLETED"], slurm.logs()
    assert sorted(line["output"] for line in manifest(out)) == outputs(out)
    assert len(outputs(out)) == 6
    assert all((out / name).stat().st_mtime_ns == when for name, when in before.items())
    assert (out / "grid.png").is_file()


def long_job(slurm: Cluster, contents: Path, styles: Path, out: Path, *options: object) -> str:
    """One image of 400 steps under srun, begun."""
    pair = (contents / "chelsea.png", styles / "woodcut.png")
    words = nst("grid", *pair, "-o", out, *QUICK, "--steps", 400, "--save-first", 20)
    job = slurm.batch([f"srun {words}"], *options)
    slurm.until(lambda: (out / "chelsea" / "woodcut" / "step-0010.png").exists(), 90, job)
    return job


def test_a_preempted_job_goes_on_in_the_middle_of_its_image(
    slurm: Cluster, contents: Path, styles: Path, tmp_path: Path, whole: Path
):
    out = tmp_path / "out"
    job = long_job(slurm, contents, styles, out, "-n1", "--exclusive", "--signal=USR1@30")
    urgent = slurm.run("srun", "-p", "urgent", "-N2", "--exclusive", "sleep", "1")
    assert urgent.returncode == 0, urgent.stderr
    assert slurm.wait(job) == ["COMPLETED"], slurm.logs()
    (line,) = manifest(out)
    assert line["by"]["restarts"] >= 1
    assert 10 <= line["resumed"][0] < 400
    assert (pixels(out / "chelsea" / "woodcut.png") == pixels(whole)).all()
    assert line["losses"] == manifest(whole.parents[1])[0]["losses"]
    assert not list((out / ".nst").glob("checkpoints/*"))


def test_a_time_limit_costs_nothing(
    slurm: Cluster, contents: Path, styles: Path, tmp_path: Path, whole: Path
):
    out = tmp_path / "out"
    job = long_job(slurm, contents, styles, out, "-n1", "--time=1", "--signal=USR2@50")
    # Slurm looks at limits every half minute: the image is held until its signal is there.
    process = process_of(out)
    os.kill(int(process.name), signal.SIGSTOP)
    slurm.until(lambda: is_held(process), 10, job)  # a signal takes its time on a busy machine
    slurm.until(lambda: not is_held(process) or signal.SIGUSR2 in pending(process), 60, job)
    with suppress(ProcessLookupError):
        os.kill(int(process.name), signal.SIGCONT)
    assert slurm.wait(job) == ["COMPLETED"], slurm.logs()
    (line,) = manifest(out)
    assert line["by"]["restarts"] >= 1
    assert (pixels(out / "chelsea" / "woodcut.png") == pixels(whole)).all()


def process_of(out: Path) -> Path:
    """The folder in /proc of the one process that works on an output folder."""
    (notice,) = (out / ".nst" / "tasks").glob("*.json")
    return Path("/proc") / str(json.loads(notice.read_text())["pid"])


def status_of(process: Path) -> dict[str, str]:
    """What /proc says of a process; nothing where it is over."""
    try:
        lines = (process / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_held(process: Path) -> bool:
    """Whether it was stopped and not continued."""
    return status_of(process).get("State", "").startswith("T")


def pending(process: Path) -> set[int]:
    """The signals that wait for it."""
    found = status_of(process)
    masks = [int(found.get(name, "0"), 16) for name in ("SigPnd", "ShdPnd")]
    return {number for number in range(1, 65) for mask in masks if mask >> (number - 1) & 1}


def test_scancel_ends_a_job_for_good(slurm: Cluster, contents: Path, styles: Path, tmp_path: Path):
    out = tmp_path / "out"
    job = long_job(slurm, contents, styles, out, "-n1")
    slurm.run("scancel", job)
    assert slurm.wait(job) == ["CANCELLED"], slurm.logs()
    slurm.until(lambda: list((out / ".nst").glob("checkpoints/*/state.ckpt")), 30)


def test_a_node_that_is_lost_but_works_on_does_no_harm(
    slurm: Cluster, contents: Path, styles: Path, tmp_path: Path, whole: Path
):
    out = tmp_path / "out"
    job = long_job(slurm, contents, styles, out, "-n1", "--requeue")
    node = slurm.run("squeue", "-h", "-o", "%N", "-j", job).stdout.strip()
    conf = Path(slurm.environment["SLURM_CONF"])
    daemon = conf.parent / "run" / f"slurmd.{node}.pid"
    lost = process_of(out)
    os.kill(int(daemon.read_text()), signal.SIGKILL)
    # Held until Slurm has given the node up and begun anew elsewhere: then both make the image.
    os.kill(int(lost.name), signal.SIGSTOP)
    try:
        slurm.until(lambda: len(list((out / ".nst").glob("tasks/*.json"))) == 2, 90, job)
        os.kill(int(lost.name), signal.SIGCONT)
        assert slurm.wait(job) == ["COMPLETED"], slurm.logs()
        slurm.until(lambda: not lost.exists(), 60)
    finally:
        assert slurm.run("slurmd", "-f", conf, "-N", node).returncode == 0
    assert outputs(out) == ["chelsea/woodcut.png"]
    assert (pixels(out / "chelsea" / "woodcut.png") == pixels(whole)).all()
    pair = (contents / "chelsea.png", styles / "woodcut.png")
    again = slurm.run(*NST, "grid", *pair, "-o", out, *QUICK, "--steps", 400, "--json")
    assert json.loads(again.stdout)["skipped"] == 1
    (line,) = manifest(out)
    assert line["status"] == "done"


def test_submit_waits_and_lists_what_failed(
    slurm: Cluster, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    (contents / "torn.png").write_bytes((contents / "coffee.png").read_bytes()[:400])
    words = (contents, styles, "-o", out, *QUICK, "--steps", 4)
    slurm_words = ("--partition", "main", "--time", "10", "--array-parallelism", 2)
    script = slurm.run(*NST, "submit", "grid", *words, *slurm_words, "--dry-run").stdout
    assert "#SBATCH --array=0-1%2" in script
    assert "#SBATCH --partition=main" in script
    done = slurm.run(*NST, "submit", "grid", *words, *slurm_words, "--wait")
    assert done.returncode == 1, done.stderr
    assert "torn/woodcut.png" in done.stdout
    assert "6 of 8 done, 0 running, 2 failed, 0 waiting" in done.stdout
    assert len(outputs(out)) == 6
    assert (out / "grid.png").is_file()


def test_a_job_that_waits_keeps_other_settings_away(
    slurm: Cluster, contents: Path, styles: Path, tmp_path: Path
):
    out = tmp_path / "out"
    words = (contents, styles, "-o", out, *QUICK, "--steps", 4)
    held = ("--partition", "main", "--sbatch", "hold", "--shards", 2, "--json")
    job = json.loads(slurm.run(*NST, "submit", "grid", *words, *held).stdout)["job"]
    refused = slurm.run(*NST, "grid", *words, "--style-weight", 7)
    assert refused.returncode == 2
    assert f"at work with other settings (job {job})" in refused.stderr
    # The same settings share the folder with it.
    assert slurm.run(*NST, "grid", *words, "--shard", "1/2").returncode == 0
    slurm.run("scontrol", "release", job)
    assert slurm.wait(job) == ["COMPLETED"] * 2, slurm.logs()
    assert len(outputs(out)) == 6
    assert {line["status"] for line in manifest(out)} == {"done"}
    # It is over, so that nothing stands in the way of other settings any more.
    other = slurm.run(*NST, "grid", *words, "--style-weight", 7)
    assert "holds images made with style_weight" in other.stderr
