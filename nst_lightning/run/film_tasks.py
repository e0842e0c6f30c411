"""What is left to make of films, in parts for workers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nst_lightning.run.film_plan import Segment, segments_of, work_of
from nst_lightning.run.film_result import left_to_make
from nst_lightning.run.task import CaseSettings, Task
from nst_lightning.store.job import Job


def film_tasks(
    jobs: Sequence[Job], case: CaseSettings, out: Path, share: tuple[int, int] = (0, 1)
) -> list[Task]:
    """Returns the tasks of pairs whose contents are films: a segment each, and of a film whose
    frames are all there, to put it together.

    Args:
        jobs: the pairs that are not finished.
        case: their settings.
        out: the output folder.
        share: of several runs, which one this is, from 0, and how many; each has other segments.
    """
    every = [
        (job, segment) for job in jobs for segment in segments_of(job.pair.content, case.resolved)
    ]
    mine = every[share[0] :: share[1]]
    left = {job.pair.file: left_to_make(out, job, case) for job in jobs}
    tasks = [task_of(case, job, segment) for job, segment in mine if segment in left[job.pair.file]]
    return tasks + [Task(case, [job], 0.0) for job in jobs if not left[job.pair.file]]


def task_of(case: CaseSettings, job: Job, segment: Segment) -> Task:
    """Returns the task of a segment; it costs as many steps as it takes."""
    return Task(case, [job], float(work_of(segment, case.resolved)), segment=segment)


def following(task: Task, out: Path) -> list[Task]:
    """Returns what can be done now that a task is done: a film whose last frames were made can be
    put together."""
    if task.segment is None:
        return []
    (job,) = task.jobs
    done = not left_to_make(out, job, task.settings)
    return [replace(task, segment=None, cost=0.0, tries=0)] if done else []
