"""Workers on GPUs that are not here: which there are, which are chosen, what each worker finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from nst_lightning.cli.app import app
from nst_lightning.errors import UserError
from nst_lightning.run import devices as module
from nst_lightning.run import runner
from nst_lightning.run.cost import step_bytes
from nst_lightning.run.devices import batch_size, choose_device, choose_devices
from nst_lightning.run.pool import environments
from nst_lightning.run.slurm import take_place
from nst_lightning.run.task import Task
from nst_lightning.run.visible_gpus import visible_gpus
from nst_lightning.settings import build

A, B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-1f"
M, N = "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-GPU-8932f937/1/0"

Gpus = Callable[[str | None, int], None]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Gpus:
    """Pretends that CUDA shows so many GPUs, with such a CUDA_VISIBLE_DEVICES."""

    def pretend(shown: str | None, count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if shown is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)

    return pretend


@pytest.mark.parametrize(
    ("shown", "names"),
    [
        (None, None),
        ("", []),
        (" ", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0", ["0"]),
        ("2, 5,7", ["2", "5", "7"]),
        ("2,-1,7", ["2"]),
        ("2,,7", ["2"]),
        ("2,", ["2"]),
        (f"{A},{B}", [A, B]),
        (f"{M}, {N}", [M, N]),
    ],
)
def test_the_names_end_where_cuda_stops_reading(shown: str | None, names: list[str] | None):
    assert visible_gpus({} if shown is None else {"CUDA_VISIBLE_DEVICES": shown}) == names


@pytest.mark.parametrize(
    ("shown", "count", "asked", "found"),
    [
        (None, 4, "auto", ["0", "1", "2", "3"]),
        (None, 4, 2, ["0", "1"]),
        (None, 4, "3,1", ["3", "1"]),
        ("2,5,7", 3, "auto", ["2", "5", "7"]),
        ("2, 5 ,7", 3, "0,2", ["2", "7"]),
        ("2,5,-1,7", 2, "auto", ["2", "5"]),
        (f"{A},{B}", 2, "auto", [A, B]),
        (f"{A},{B}", 2, "1,", [B]),
        (M, 1, "auto", [M]),
        (f"{M},{N}", 1, "auto", [M, N]),  # CUDA shows a process its first instance alone
        (f"{M},{N}", 1, "1,", [N]),
    ],
)
def test_each_worker_sees_its_own_gpu_and_its_share_of_the_threads(
    gpus: Gpus, shown: str | None, count: int, asked: str | int, found: list[str]
):
    gpus(shown, count)
    chosen = choose_devices(build({"devices": asked}))
    threads = {"OMP_NUM_THREADS": str(8 // len(found))}
    expected = [threads | {"CUDA_VISIBLE_DEVICES": name} for name in found]
    assert environments("cuda", chosen, 8) == expected


def test_workers_on_the_cpu_share_its_threads_and_are_told_nothing_of_gpus(gpus: Gpus):
    gpus("", 0)
    chosen = choose_devices(build({"devices": 3}))
    assert environments("cpu", chosen, 2) == [{"OMP_NUM_THREADS": "1"}] * 3
    assert choose_devices(build({})) == [0]


@pytest.mark.parametrize(
    ("shown", "count", "asked", "sentence"),
    [
        (None, 2, 3, "devices 3: there are 2 GPUs to choose from"),
        ("4,5", 2, "4,5", "devices [4, 5]: there are 2 GPUs to choose from, counted from 0."),
        (A, 1, "0,1", "devices [0, 1]: there is 1 GPU to choose from"),
        (f"{M},{N}", 1, "0,2", "there are 2 GPUs"),
        (None, 2, [0, -1], "there are 2 GPUs"),
        (None, 2, "1,1", "name each GPU once"),
        ("", 0, "0,1", "there are no GPUs to choose from; name a number of workers"),
    ],
)
def test_gpus_that_are_not_there(
    gpus: Gpus, shown: str | None, count: int, asked: Any, sentence: str
):
    gpus(shown, count)
    with pytest.raises(UserError) as raised:
        choose_devices(build({"devices": asked}))
    assert sentence in str(raised.value)


def test_a_variable_that_hides_all_gpus_is_named(gpus: Gpus):
    gpus("NoDevFiles", 0)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(UserError, match="'gpu' that CUDA_VISIBLE_DEVICES='NoDevFiles' shows"):
        choose_device("gpu")
    gpus(None, 0)
    with pytest.raises(UserError, match="no accelerator 'gpu': choose"):
        choose_device("gpu")


def grid_of_four(folder: Path) -> list[str]:
    """The words of a grid of four pairs of small images in this folder."""
    for side in ("contents", "styles"):
        (folder / side).mkdir()
        for name in "ab":
            Image.effect_noise((32, 32), 60).convert("RGB").save(folder / side / f"{name}.png")
    sides = [str(folder / "contents"), str(folder / "styles")]
    return ["grid", *sides, "-o", str(folder / "out"), "--weights", "random", "--size", "32"]


@pytest.mark.parametrize("asked", ["3", "0,2", "1,1", "-1", "GPU-1"])
def test_the_command_ends_with_one_sentence_and_exit_code_2(gpus: Gpus, tmp_path: Path, asked: str):
    gpus("4,5", 2)
    ended = CliRunner().invoke(app, [*grid_of_four(tmp_path), "--devices", asked])
    assert isinstance(ended.exception, UserError)
    assert ended.exception.exit_code == 2
    assert len(str(ended.exception).splitlines()) == 1
    assert "devices" in str(ended.exception)
    assert not list(tmp_path.glob("out/*/*.png"))


def test_the_command_hands_each_worker_its_gpu(
    gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    handed: list[list[dict[str, str]]] = []

    class Recorder:
        def __init__(self, each: list[dict[str, str]], *rest: object) -> None:
            handed.append(each)

        def run(self, tasks: list[Task]) -> None:
            assert sum(len(task.jobs) for task in tasks) == 4

    monkeypatch.setattr(runner, "Pool", Recorder)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    gpus(f"{A},{B},3", 3)
    words = [*grid_of_four(tmp_path), "--devices", "0,2", "--batch-size", "1"]
    CliRunner().invoke(app, words)
    four = {"OMP_NUM_THREADS": "4"}
    assert handed == [
        [four | {"CUDA_VISIBLE_DEVICES": A}, four | {"CUDA_VISIBLE_DEVICES": "3"}],
    ]


class InThisProcess:
    """Stands in for an executor of another process."""

    asked = 0

    def __init__(self, *_: object) -> None:
        InThisProcess.asked += 1

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function: Callable[..., int], *arguments: Any) -> "InThisProcess":
        self.value = function(*arguments)
        return self

    def result(self) -> int:
        return self.value


def test_a_batch_fits_the_fullest_of_the_gpus_that_are_chosen(
    gpus: Gpus, monkeypatch: pytest.MonkeyPatch
):
    settings = build({"precision": "bf16-mixed"})
    one = step_bytes(settings, 512, 512) / module.FILL
    free = [2.5 * one, 9.5 * one, 5.5 * one]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (int(free[index]), 0))
    monkeypatch.setattr(module, "ProcessPoolExecutor", InThisProcess)
    module._free_bytes_elsewhere.cache_clear()

    def size(asked: str | int) -> int:
        chosen = build({"precision": "bf16-mixed", "devices": asked})
        return batch_size(chosen, torch.device("cuda"), 512, 512)

    gpus("4,5,6", 3)
    assert size(1) == size("0,") == 2
    assert InThisProcess.asked == 0  # a run's only process may take hold of the GPU
    assert [size(asked) for asked in ("1,", "2,", "1,2", "1,2", 3)] == [9, 5, 5, 5, 2]
    assert InThisProcess.asked == 4  # once for each choice
    gpus(f"{M},{N}", 1)
    assert size("1,") == 9  # known already
    module._free_bytes_elsewhere.cache_clear()
    assert size("1,") == 2  # the second instance is not visible: the first speaks for it
    module._free_bytes_elsewhere.cache_clear()


SRUN = {
    "SLURM_JOB_ID": "12",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2",
    "SLURM_NODEID": "0",
    "SLURM_LOCALID": "1",
}


@pytest.mark.parametrize(
    ("environment", "kept"),
    [
        ({"CUDA_VISIBLE_DEVICES": "2, 5"}, "5"),
        ({"CUDA_VISIBLE_DEVICES": f"{A},{B}"}, B),
        ({"CUDA_VISIBLE_DEVICES": f"{M},{N}"}, N),
        ({"CUDA_VISIBLE_DEVICES": "0,1,-1"}, "1"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, "NoDevFiles"),
        ({"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_TRES_PER_TASK": "cpu:4,gres/gpu:2"}, "0,1"),
        ({"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_TRES_PER_TASK": "cpu:4"}, "1"),
        ({}, "1"),
    ],
)
def test_a_task_of_srun_keeps_its_share_of_what_is_shown_and_takes_no_gpu_that_is_hidden(
    environment: dict[str, str], kept: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(["0000:07:00.0", "0000:0b:00.0"]))
    assert take_place(there := SRUN | environment).gpus == kept
    assert there["CUDA_VISIBLE_DEVICES"] == kept
