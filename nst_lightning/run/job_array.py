"""Submits a grid as a job array, written and submitted by submitit. Imports no torch."""

import io
import os
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_lightning.errors import UserError
from nst_lightning.layout import JOBS, SUBMITTED
from nst_lightning.settings.sizes import is_whole_number
from nst_lightning.store.heartbeat import JOB_ID

if TYPE_CHECKING:
    from submitit import SlurmExecutor


def become(command: Sequence[str]) -> None:
    """Goes on as another program, which then gets the job's signals itself.

    submitit would take them and raise in the middle of a step.
    """
    os.execv(command[0], list(command))


def executor(out: Path, parameters: dict[str, Any]) -> "SlurmExecutor":
    """Returns what submits to Slurm.

    Args:
        out: the output folder, on storage that all nodes share.
        parameters: submitit's names and values.

    Raises:
        UserError: submitit is not installed, this is no Slurm cluster, or it refuses a parameter.
    """
    try:
        from submitit import SlurmExecutor
    except ImportError:
        raise UserError(
            "submit needs submitit: pip install 'nst-lightning[slurm]', or write an sbatch file as "
            "docs/slurm.md shows."
        ) from None
    try:
        made = SlurmExecutor(out.resolve() / JOBS)
        made.update_parameters(**parameters)
    except RuntimeError:
        raise UserError("there is no srun: submit from a login node of a Slurm cluster.") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"submitit refuses this: {error}") from None
    return made


def script(made: "SlurmExecutor", tasks: int) -> str:
    """Returns the sbatch script of an array, as submitit will write it."""
    made.parameters["map_count"] = tasks
    try:
        return str(made._make_submission_file_text(made._submitit_command_str, "dry-run"))
    finally:
        del made.parameters["map_count"]


def submit(made: "SlurmExecutor", out: Path, commands: Sequence[Sequence[str]]) -> str:
    """Submits one task per command as an array.

    Returns:
        The id of the job.

    Raises:
        UserError: Slurm refuses it.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        with redirect_stderr(io.StringIO()):  # submitit repeats there what it raises
            job = made.map_array(become, commands)[0]
    except (FailedSubmissionError, FailedJobError, OSError) as error:
        said = re.findall(r"sbatch: error: (.*)", str(error)) or [" ".join(str(error).split())]
        raise UserError(f"Slurm refuses the job: {'; '.join(dict.fromkeys(said))}") from None
    identity = str(job.job_id).split("_")[0]
    with (out / SUBMITTED).open("a") as file:
        file.write(f"{identity}\n")
    return identity


def submitted(out: Path) -> list[str]:
    """Returns the ids of the jobs that were submitted for a folder, the last one last."""
    path = out / SUBMITTED
    said = path.read_text(errors="replace").split() if path.is_file() else []
    return [job for job in said if re.fullmatch(JOB_ID, job)]


def minutes(text: str) -> int:
    """Converts Slurm's time, `90`, `2:00:00` or `1-12:00:00`, to minutes, rounded up.

    Raises:
        UserError: it is not such a time.
    """
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    known = (not dash or is_whole_number(days)) and all(map(is_whole_number, parts))
    if not known or len(parts) > 3:
        raise UserError(f"--time should be minutes, H:MM:SS or D-HH:MM:SS, not {text!r}.")
    numbers = [int(part) for part in parts]
    if dash:  # D-HH, D-HH:MM, D-HH:MM:SS
        hours, mins, seconds = [*numbers, 0, 0][:3]
    elif len(numbers) == 3:
        hours, mins, seconds = numbers
    else:  # MM, MM:SS
        hours, (mins, seconds) = 0, [*numbers, 0][:2]
    total = int(days or 0) * 1440 + hours * 60 + mins + (seconds > 0)
    if total == 0:
        raise UserError("--time should be above 0.")
    return total
