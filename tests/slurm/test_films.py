"""Films on a real Slurm cluster: their shots shared by tasks, a task stopped between two frames."""

from pathlib import Path

import pytest

from nst_lightning.layout import FRAMES
from tests.clips import make_film, packets, pan

from .conftest import NST, QUICK, Cluster, manifest, nst

pytestmark = pytest.mark.slurm

STEPS = ("--steps", 6, "--frame-steps", 3)


def made_frames(out: Path) -> dict[Path, int]:
    """The frames that are there, each with when it was written."""
    return {path: path.stat().st_mtime_ns for path in (out / FRAMES).glob("*/0*/*.png")}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two films: one of two shots, one of twenty frames."""
    dark, bright = (pan(3, step=1, seed=seed) for seed in (0, 9))
    shots = [*(frame // 3 for frame in dark), *(255 - frame // 3 for frame in bright)]
    folder = tmp_path / "clips"
    folder.mkdir()
    make_film(folder / "cut.mp4", shots, sound="aac")
    make_film(folder / "pan.mp4", pan(20, step=1))
    return folder


def test_tasks_of_an_array_share_the_shots_of_films(
    slurm: Cluster, clips: Path, styles: Path, tmp_path: Path
):
    (clips / "pan.mp4").unlink()
    out, alone = tmp_path / "out", tmp_path / "alone"
    words = ("video", clips, styles, *QUICK, *STEPS)
    slurm_words = ("--partition", "main", "--time", "10")
    submitted = slurm.run(*NST, "submit", *words, "-o", out, *slurm_words, "--wait")
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr + slurm.logs()
    assert "4 tasks for 2 pairs" in submitted.stdout
    assert "2 of 2 done, 0 running, 0 failed, 0 waiting" in submitted.stdout
    assert {line["status"] for line in manifest(out)} == {"done"}
    assert (out / "grid.png").is_file()
    assert not (out / FRAMES).exists()
    assert slurm.run(*NST, *words, "-o", alone).returncode == 0
    names = {path.relative_to(out) for path in out.glob("cut/*.mp4")}
    assert len(names) == 2
    assert all(packets(out / name) == packets(alone / name) for name in names)


def test_a_preempted_job_goes_on_at_the_frame(
    slurm: Cluster, clips: Path, styles: Path, tmp_path: Path
):
    out, alone = tmp_path / "out", tmp_path / "alone"
    words = ("video", clips / "pan.mp4", styles / "woodcut.png", *QUICK, "--steps", 20)
    words += ("--frame-steps", 15)
    options = ("-n1", "--exclusive", "--signal=USR1@30")
    job = slurm.batch([f"srun {nst(*words, '-o', out)}"], *options)
    slurm.until(lambda: len(made_frames(out)) > 3, 90, job)
    assert slurm.run("srun", "-p", "urgent", "-N2", "--exclusive", "sleep", "1").returncode == 0
    before = made_frames(out)
    assert 3 < len(before) < 20
    slurm.until(lambda: len(made_frames(out)) > len(before), 90, job)
    after = made_frames(out)
    assert {path: after[path] for path in before} == before
    assert slurm.wait(job) == ["COMPLETED"], slurm.logs()
    (line,) = manifest(out)
    assert line["by"]["restarts"] >= 1
    assert line["frames"] == 20
    assert slurm.run(*NST, *words, "-o", alone).returncode == 0
    assert packets(out / "pan" / "woodcut.mp4") == packets(alone / "pan" / "woodcut.mp4")
