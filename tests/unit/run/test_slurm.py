"""What a process learns from Slurm's variables, as srun and sbatch set them."""

import pytest

from nst_lightning.errors import UserError
from nst_lightning.run.job_array import minutes
from nst_lightning.run.slurm import Place, take_place, tasks_per_node

JOB = {
    "SLURM_JOB_ID": "12",
    "SLURM_CONF": "/etc/slurm.conf",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_CPUS_ON_NODE": "8",
    "SLURMD_NODENAME": "nst1",
    "PATH": "/bin",
}
STEP = {
    **JOB,
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "CUDA_VISIBLE_DEVICES": "0,1",
}


def test_outside_of_slurm_nothing_changes():
    environment = {"PATH": "/bin", "SLURM_CONF": "/etc/slurm.conf"}
    assert take_place(environment) == Place()
    assert environment == {"PATH": "/bin", "SLURM_CONF": "/etc/slurm.conf"}


def test_a_task_of_srun_has_its_rank_and_its_gpu():
    environment = dict(STEP)
    here = take_place(environment)
    assert (here.rank, here.size, here.job, here.node) == (3, 5, "12", "nst1")
    assert here.gpus == environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["OMP_NUM_THREADS"] == "4"
    left = {name for name in environment if name.startswith("SLURM")}
    assert left == {"SLURM_JOB_ID", "SLURM_CONF"}


def test_a_batch_script_is_one_process_whatever_its_number_of_tasks():
    environment = dict(JOB)
    here = take_place(environment)
    assert (here.rank, here.size) == (0, 1)
    assert "SLURM_NTASKS" not in environment


@pytest.mark.parametrize(
    ("shown", "local", "tasks", "own"),
    [
        ("0,1", "0", "2", "0"),
        ("0,1,2,3", "1", "2", "1,3"),
        ("0", "1", "2", "0"),  # bound by Slurm already
        ("2,3", "0", "1", "2,3"),
    ],
)
def test_the_gpus_of_a_node_are_divided(shown: str, local: str, tasks: str, own: str):
    node = {"SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_NODEID": "0", "SLURM_LOCALID": local}
    assert take_place({**STEP, **node, "CUDA_VISIBLE_DEVICES": shown}).gpus == own


def test_gpus_that_slurm_gave_to_a_task_stay_its_own():
    environment = {**STEP, "SLURM_GPUS_PER_TASK": "2"}
    assert take_place(environment).gpus == "0,1"


def test_threads_are_what_slurm_gives_unless_they_are_set():
    assert take_place(asked := {**STEP, "SLURM_CPUS_PER_TASK": "3"})
    assert asked["OMP_NUM_THREADS"] == "3"
    assert take_place(own := {**STEP, "OMP_NUM_THREADS": "7"})
    assert own["OMP_NUM_THREADS"] == "7"


def test_a_task_of_an_array_is_known_by_its_index_and_its_restarts():
    array = {"SLURM_ARRAY_JOB_ID": "20", "SLURM_ARRAY_TASK_ID": "3", "SLURM_RESTART_COUNT": "2"}
    here = take_place({**JOB, **array})
    assert (here.job, here.restarts, here.name) == ("20_3", 2, "20_3.2.0")


def test_tasks_per_node():
    assert tasks_per_node("2(x3),1") == [2, 2, 2, 1]
    assert tasks_per_node("4") == [4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("1:30", 2), ("2:00:00", 120), ("0:59:01", 60), ("1-12", 2160), ("1-0:30", 1470)],
)
def test_time_limits(text: str, expected: int):
    assert minutes(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "-5", "0", "²", "9" * 5000])
def test_time_limits_that_are_none(text: str):
    with pytest.raises(UserError):
        minutes(text)
