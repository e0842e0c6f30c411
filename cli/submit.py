"""`nst-batch submit`: work for a Slurm cluster."""

import json
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.errors import UserError, output_errors
from nst_lightning.grid.blends import PAIRS
from nst_lightning.grid.pairs import Case
from nst_lightning.layout import JOBS
from nst_lightning.settings import BatchSettings
from nst_lightning.settings.sizes import is_whole_number

from .flags import DryRun, Json, Out, Overwrite, StyleFlags
from .grid import Contents, PairsFile, Styles, choose_pairs
from .options import EPILOG, PageCommand, PageGroup, settings_options
from .sides import read_sides
from .wording import count, duration

app = typer.Typer(cls=PageGroup, help="Submit work to a Slurm cluster.", no_args_is_help=True)

LOOK_SECONDS = 2.0
"""Between two questions to Slurm, with --wait."""

SIGNAL_SECONDS = 120
"""Before its time is up, a task is told so, saves its state and has itself requeued."""


def slurm(flag: str, metavar: str | None, text: str, **more: Any) -> Any:
    """Returns an option that concerns Slurm."""
    return typer.Option(flag, metavar=metavar, help=text, rich_help_panel="Slurm", **more)


@app.callback()
def group() -> None:
    """Submit work to a Slurm cluster."""


@app.command(cls=PageCommand, epilog=EPILOG)
@settings_options()
def grid(
    contents: Contents,
    styles: Styles,
    settings: BatchSettings,
    beside: StyleFlags,
    out: Out = Path("out"),
    pairs_file: PairsFile = None,
    partition: Annotated[str | None, slurm("--partition", "NAME", "Partition.")] = None,
    time_limit: Annotated[
        str, slurm("--time", "H:M:S", "Time limit of a task; after it, it goes on in a new one.")
    ] = "1:00:00",
    gpus_per_node: Annotated[int | None, slurm("--gpus-per-node", "N", "GPUs of a task.")] = None,
    cpus_per_task: Annotated[int | None, slurm("--cpus-per-task", "N", "CPUs of a task.")] = None,
    memory: Annotated[str | None, slurm("--mem", "SIZE", "Memory of a task, such as 16G.")] = None,
    account: Annotated[str | None, slurm("--account", "NAME", "Account that pays.")] = None,
    sbatch: Annotated[
        list[str] | None,
        slurm("--sbatch", "KEY=VALUE", "Any other option of sbatch, such as qos=high."),
    ] = None,
    setup: Annotated[
        list[str] | None,
        slurm("--setup", "LINE", "Line of shell before the work, such as 'module load cuda'."),
    ] = None,
    shards: Annotated[
        str,
        slurm("--shards", "N", "Tasks to divide the grid into; auto: as many as may run at once."),
    ] = "auto",
    array_parallelism: Annotated[
        int, slurm("--array-parallelism", "N", "Tasks that may run at once.", min=1)
    ] = 32,
    wait: Annotated[
        bool, slurm("--wait", None, "Stay until the job is over, and show how far.")
    ] = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Submit `nst-batch grid` as a job array, one task per shard; what is finished is kept.

    With --dry-run, print the sbatch script.
    """
    from nst_lightning.run.claim import claim, settings_digest
    from nst_lightning.run.job_array import executor, minutes, script, submit
    from nst_lightning.store.expected import write_expected
    from nst_lightning.store.heartbeat import remove_heartbeat, this_process, write_heartbeat
    from nst_lightning.store.ledger import Ledger
    from nst_lightning.store.output import check_folder, check_settings

    sides = read_sides(contents, styles, settings, out, beside)
    pairs = choose_pairs(*sides, settings, pairs_file)
    tasks = count_tasks(shards, len(pairs), array_parallelism)
    parameters = {
        "job_name": "nst-batch", "wckey": None, "stderr_to_stdout": True,
        "partition": partition, "time": minutes(time_limit), "gpus_per_node": gpus_per_node,
        "cpus_per_task": cpus_per_task, "mem": memory, "account": account,
        "setup": setup, "array_parallelism": array_parallelism, "signal_delay_s": SIGNAL_SECONDS,
        "additional_parameters": {"requeue": True, **dict(map(key_value, sbatch or []))},
    }  # fmt: skip
    made = executor(out, {k: v for k, v in parameters.items() if v is not None or k == "wckey"})
    if dry_run:
        typer.echo(script(made, tasks))
        return
    check_folder(out, [contents, styles])
    cases = [Case(settings, pairs)]
    own = this_process(digest=settings_digest(cases))
    try:
        with output_errors(out):
            write_heartbeat(out, own)
            shared = claim(out, own)
        check_settings(out, settings, overwrite=overwrite)
        with output_errors(out):
            words = grid_words(contents, styles, settings, out, overwrite)
            if overwrite:  # which of them are done with these settings, each task finds out
                Ledger(out).withdraw([pair.file for pair in pairs])
            write_expected(out, cases, shared=shared)
        words += path_options({
            "--pairs": pairs_file, "--mask-dir": beside.mask_dir,
            "--blend-styles": beside.blend_styles,
        })  # fmt: skip
        commands = [[*words, "--shard", f"{index}/{tasks}"] for index in range(1, tasks + 1)]
        job = submit(made, out, commands)
        with suppress(OSError):  # the tasks claim the folder themselves when they begin
            write_heartbeat(out, own.model_copy(update={"job": job, "submitted": True}))
    finally:
        remove_heartbeat(out, own)
    if as_json and not wait:
        typer.echo(json.dumps({"job": job, "tasks": tasks, "out": str(out)}))
    else:
        typer.echo(
            f"Submitted job {job}: {count(tasks, 'task')} for {count(len(pairs), 'image')}. "
            f"Watch it with `nst-batch status {out} --watch`, end it with `scancel {job}`.",
            err=as_json,
        )
    if wait:
        follow(out, job, as_json)


def count_tasks(shards: str, pairs: int, at_once: int) -> int:
    """How many tasks a grid is divided into.

    Raises:
        UserError: neither `auto` nor a number above 0.
    """
    if shards == "auto":
        return min(pairs, at_once)
    if not is_whole_number(shards) or int(shards) < 1:
        raise UserError(f"--shards should be auto or a number above 0, not {shards!r}.")
    return min(pairs, int(shards))


def key_value(text: str) -> tuple[str, Any]:
    """`qos=high` → (qos, high); `exclusive` → (exclusive, True)."""
    key, equals, value = text.removeprefix("--").partition("=")
    return key, value if equals else True


def grid_words(
    contents: Path,
    styles: Path,
    settings: BatchSettings,
    out: Path,
    overwrite: bool,
) -> list[str]:
    """The command of a task but for its shard, with the complete settings in a file."""
    from nst_lightning.files import write_text
    from nst_lightning.layout import SUBMITTED_SETTINGS
    from nst_lightning.settings import dump_yaml

    # A task starts elsewhere: what names a file here must name it there.
    paths = {
        name: str(Path(value).resolve())
        for name in ("init", "weights")
        if Path(value := getattr(settings, name)).is_file()
    }
    file = out.resolve() / SUBMITTED_SETTINGS
    write_text(file, dump_yaml(settings.model_copy(update=paths)))
    words = [sys.executable, "-m", "nst_lightning", "grid"]
    words += [str(contents.resolve()), str(styles.resolve())]
    words += ["--config", str(file), "--out", str(out.resolve())]
    return words + (["--overwrite"] if overwrite else [])


def path_options(given: Mapping[str, Path | str | None]) -> list[str]:
    """Options as words, what names a file or a folder here with its whole path."""
    return [
        word
        for option, value in given.items()
        if value is not None
        for word in (option, str(value) if value == PAIRS else str(Path(value).resolve()))
    ]


def follow(out: Path, job: str, as_json: bool) -> None:
    """Show how far a job is until it is over.

    Raises:
        typer.Exit: with 1, where pairs failed or are still to be made.
    """
    from rich.console import Console
    from rich.progress import Progress

    from nst_lightning.run.folder_status import as_data, read_status
    from nst_lightning.run.liveness import ACTIVE
    from nst_lightning.run.slurm import job_states

    from .status import in_a_line, lines

    hidden = not sys.stderr.isatty()
    said = ""
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(f"job {job}", total=None)
        while True:
            try:
                over = not ACTIVE.intersection(job_states([job]).values())
            except OSError:  # it answers again some time
                over = False
            found = read_status(out)
            left = "" if found.seconds_left is None else f", {duration(found.seconds_left)} left"
            name = f"job {job}: {len(found.running)} running{left}"
            made = len(found.done) + len(found.failed)
            progress.update(task, description=name, completed=made, total=found.total)
            if hidden and in_a_line(found) != said:
                said = in_a_line(found)
                typer.echo(said, err=True)
            if over:
                break
            time.sleep(LOOK_SECONDS)
    if as_json:
        typer.echo(json.dumps({"job": job, **as_data(found)}))
    else:
        for line in lines(found, shutil.get_terminal_size().lines):
            typer.echo(line)
    if found.failed or found.waiting or found.running:
        if found.waiting or found.running:
            typer.echo(
                f"Job {job} ended before all was made; its messages are in {out / JOBS}. "
                "Submit it again to go on.",
                err=True,
            )
        raise typer.Exit(1)
