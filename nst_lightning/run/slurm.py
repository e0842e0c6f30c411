"""This process's place in a Slurm job, and what Slurm is asked. Imports no torch."""

import os
import re
import subprocess
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nst_lightning.layout import TASKS
from nst_lightning.run.visible_gpus import VARIABLE, visible_gpus

MAX_RESTARTS = 100
"""A job that was restarted so often asks for no further requeue."""

KEPT = {"SLURM_CONF", "SLURM_JOB_ID"}
"""Slurm's variables that stay; the others make Lightning take over or wait for other tasks."""

OTHERS_SECONDS = 20.0
"""The time that a task waits for the others of its job before it has the job requeued."""

ASK_SECONDS = 30.0
"""Slurm's own commands answer within this or not at all."""


@dataclass(frozen=True)
class Place:
    """A process among those of a Slurm job; outside of Slurm, the only one."""

    rank: int = 0
    size: int = 1
    job: str = ""
    """`12`, or `12_3` for a task of an array; empty outside of Slurm."""
    restarts: int = 0
    """How often the job was requeued."""
    node: str = ""
    gpus: str = ""
    """The GPUs that it sees, as in CUDA_VISIBLE_DEVICES."""

    @property
    def name(self) -> str:
        """The name of this process's files: unique among all jobs and their restarts."""
        return f"{self.job}.{self.restarts}.{self.rank}"


@cache
def place() -> Place:
    """Returns this process's place; see `take_place`. Call it before Lightning is imported."""
    return take_place(os.environ)


def take_place(environment: MutableMapping[str, str]) -> Place:
    """Reads Slurm's variables once, and takes them out of the environment.

    Only a task that srun started has a rank: a batch script sees the number of tasks as well, but
    is one process. With several tasks on a node that all see its GPUs, each keeps its own in
    CUDA_VISIBLE_DEVICES; threads are those of Slurm's CPUs, unless OMP_NUM_THREADS says otherwise.

    Args:
        environment: as of `os.environ`.
    """
    if "SLURM_JOB_ID" not in environment:
        return Place()
    values = {name: environment[name] for name in environment if name.startswith("SLURM")}
    in_step = "SLURM_STEP_NUM_TASKS" in values
    per_node = tasks_per_node(values.get("SLURM_STEP_TASKS_PER_NODE", "1") if in_step else "1")
    here = per_node[int(values.get("SLURM_NODEID", 0))] if in_step else 1
    local = int(values.get("SLURM_LOCALID", 0)) if in_step else 0
    keep_own_devices(environment, local, here)
    cpus = values.get("SLURM_CPUS_PER_TASK")
    on_node = re.match(r"\d+", values.get("SLURM_CPUS_ON_NODE", ""))
    if cpus or on_node:
        threads = int(cpus) if cpus else int(on_node[0]) // here  # type: ignore[index]
        environment.setdefault("OMP_NUM_THREADS", str(max(1, threads)))
    for name in values.keys() - KEPT:
        del environment[name]
    array = values.get("SLURM_ARRAY_JOB_ID")
    return Place(
        rank=int(values.get("SLURM_PROCID", 0)) if in_step else 0,
        size=int(values["SLURM_STEP_NUM_TASKS"]) if in_step else 1,
        job=f"{array}_{values['SLURM_ARRAY_TASK_ID']}" if array else values["SLURM_JOB_ID"],
        restarts=int(values.get("SLURM_RESTART_COUNT", 0)),
        node=values.get("SLURMD_NODENAME", ""),
        gpus=environment.get(VARIABLE, ""),
    )


def tasks_per_node(text: str) -> list[int]:
    """Parses Slurm's `2(x3),1` into [2, 2, 2, 1]."""
    counts = []
    for count, _, times in re.findall(r"(\d+)(\(x(\d+)\))?", text):
        counts += [int(count)] * int(times or 1)
    return counts


def keep_own_devices(environment: MutableMapping[str, str], local: int, here: int) -> None:
    """Keeps those of the node's GPUs that are the `local`-th of `here` tasks'.

    Tasks that were given GPUs of their own (--gpus-per-task, --tres-per-task) keep what they see,
    and so do those that see none.
    """
    of_its_own = "SLURM_GPUS_PER_TASK" in environment
    if here == 1 or of_its_own or "gpu" in environment.get("SLURM_TRES_PER_TASK", ""):
        return
    gpus = visible_gpus(environment)
    if gpus is None:
        there = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
        gpus = [str(index) for index in range(there)]
    if gpus:
        own = gpus[local::here] or [gpus[local % len(gpus)]]
        environment[VARIABLE] = ",".join(own)


def ask(*words: str) -> str:
    """Returns what one of Slurm's commands prints.

    Raises:
        OSError: there is no such command, it failed, or it did not answer.
    """
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{words[0]} does not answer") from None
    if done.returncode:
        raise OSError(" ".join(done.stderr.split()) or f"{words[0]} failed")
    return done.stdout


def job_states(jobs: list[str]) -> dict[str, str]:
    """Returns the state (`RUNNING`, `PENDING`, …) of the jobs that Slurm still knows of.

    Args:
        jobs: ids; that of an array stands for all its tasks, which are answered as `12_3`.

    Raises:
        OSError: Slurm does not answer.
    """
    states: dict[str, str] = {}
    for job in jobs:  # one at a time: an id that Slurm has forgotten would fail the whole question
        try:
            said = ask("squeue", "-h", "--array", "--states=all", "--format=%i %T", "--jobs", job)
        except OSError as error:
            if "Invalid job id" not in str(error):
                raise
            continue
        states |= dict(line.split() for line in said.splitlines() if line.strip())
    return states


def requeue(out: Path, here: Place) -> str:
    """Asks Slurm to run this job again, once for all of its tasks.

    The first task that comes asks, as soon as the others have saved what they were at.

    Args:
        out: the output folder.
        here: this task's place.

    Returns:
        A sentence that says what became of it.
    """
    if here.restarts >= MAX_RESTARTS:
        return f"Job {here.job} was restarted {here.restarts} times: submit it again to go on."
    tasks = out / TASKS
    try:
        tasks.mkdir(parents=True, exist_ok=True)
        (tasks / f"{here.job}.{here.restarts}.requeue").touch(exist_ok=False)
    except FileExistsError:
        return f"Another task asks Slurm to run job {here.job} again."
    except OSError as error:
        return f"Slurm was not asked to run job {here.job} again ({error})."
    until = time.monotonic() + OTHERS_SECONDS
    while any(tasks.glob(f"{here.job}.{here.restarts}.*.json")) and time.monotonic() < until:
        time.sleep(0.2)
    try:
        ask("scontrol", "requeue", here.job)
    except OSError as error:
        return f"Slurm does not run job {here.job} again ({error}): submit it again to go on."
    return f"Slurm runs job {here.job} again, which goes on from here."
