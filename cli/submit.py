"""`nst-batch submit`: work for a Slurm cluster."""

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_lightning.errors import UserError, output_errors
from nst_lightning.grid.blends import PAIRS
from nst_lightning.grid.clips import SNAPSHOTS
from nst_lightning.grid.models import USUAL_MESH
from nst_lightning.grid.pairs import Case, Grid, Pair
from nst_lightning.layout import JOBS, is_mesh
from nst_lightning.settings import BatchSettings
from nst_lightning.settings.sizes import is_whole_number

from .flags import BlendStyles, DryRun, Json, Out, Overwrite, StyleFlags
from .grid import Contents, PairsFile, Styles, choose_pairs
from .mesh import Models, ViewSize, read_mesh_sides, read_settings
from .options import EPILOG, PageCommand, PageGroup, settings_options
from .sides import read_sides
from .video import Clips, is_one_film, read_film_sides, tell_gaps
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


@dataclass(frozen=True)
class SlurmFlags:
    """What a cluster is asked for."""

    partition: Annotated[str | None, slurm("--partition", "NAME", "Partition.")] = None
    time_limit: Annotated[
        str, slurm("--time", "H:M:S", "Time limit of a task; after it, it goes on in a new one.")
    ] = "1:00:00"
    gpus_per_node: Annotated[int | None, slurm("--gpus-per-node", "N", "GPUs of a task.")] = None
    cpus_per_task: Annotated[int | None, slurm("--cpus-per-task", "N", "CPUs of a task.")] = None
    memory: Annotated[str | None, slurm("--mem", "SIZE", "Memory of a task, such as 16G.")] = None
    account: Annotated[str | None, slurm("--account", "NAME", "Account that pays.")] = None
    sbatch: Annotated[
        list[str] | None,
        slurm("--sbatch", "KEY=VALUE", "Any other option of sbatch, such as qos=high."),
    ] = None
    setup: Annotated[
        list[str] | None,
        slurm("--setup", "LINE", "Line of shell before the work, such as 'module load cuda'."),
    ] = None
    shards: Annotated[
        str,
        slurm("--shards", "N", "Tasks to divide the grid into; auto: as many as may run at once."),
    ] = "auto"
    array_parallelism: Annotated[
        int, slurm("--array-parallelism", "N", "Tasks that may run at once.", min=1)
    ] = 32
    wait: Annotated[
        bool, slurm("--wait", None, "Stay until the job is over, and show how far.")
    ] = False

    def parameters(self) -> dict[str, Any]:
        """Returns what submitit is given."""
        from nst_lightning.run.job_array import minutes

        given = {
            "job_name": "nst-batch", "wckey": None, "stderr_to_stdout": True,
            "partition": self.partition, "time": minutes(self.time_limit),
            "gpus_per_node": self.gpus_per_node, "cpus_per_task": self.cpus_per_task,
            "mem": self.memory, "account": self.account, "setup": self.setup,
            "array_parallelism": self.array_parallelism, "signal_delay_s": SIGNAL_SECONDS,
            "additional_parameters": {"requeue": True, **dict(map(key_value, self.sbatch or []))},
        }  # fmt: skip
        return {k: v for k, v in given.items() if v is not None or k == "wckey"}


@app.command(cls=PageCommand, epilog=EPILOG)
@settings_options()
def grid(
    contents: Contents,
    styles: Styles,
    settings: BatchSettings,
    beside: StyleFlags,
    cluster: SlurmFlags,
    out: Out = Path("out"),
    pairs_file: PairsFile = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Submit `nst-batch grid` as a job array, one task per shard; what is finished is kept.

    With --dry-run, print the sbatch script.
    """
    sides = read_sides(contents, styles, settings, out, beside)
    pairs = choose_pairs(*sides, settings, pairs_file)
    options = {
        "--pairs": pairs_file, "--mask-dir": beside.mask_dir, "--blend-styles": beside.blend_styles,
    }  # fmt: skip
    named = Named("grid", contents, styles, options)
    submit_grid(named, pairs, settings, out, cluster, dry_run, overwrite, as_json)


@app.command(cls=PageCommand, epilog=EPILOG)
@settings_options(USUAL_MESH)
def mesh(
    models: Models,
    styles: Styles,
    given: Mapping[str, Any],
    cluster: SlurmFlags,
    out: Out = Path("out"),
    view_size: ViewSize = None,
    blend_styles: BlendStyles = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Submit `nst-batch mesh` as a job array, one task per shard; what is finished is kept.

    With --dry-run, print the sbatch script.
    """
    settings = read_settings(given, view_size)
    if is_mesh(out):
        raise UserError(f"{out}: is the name of one mesh; name an output folder with --out.")
    sides = read_mesh_sides(models, styles, settings, out, blend_styles)
    pairs = Grid(*sides, settings.suffix)
    named = Named("mesh", models, styles, {"--blend-styles": blend_styles})
    submit_grid(named, pairs, settings, out, cluster, dry_run, overwrite, as_json)


@app.command(cls=PageCommand, epilog=EPILOG)
@settings_options(apart=SNAPSHOTS)
def video(
    clips: Clips,
    styles: Styles,
    settings: BatchSettings,
    beside: StyleFlags,
    cluster: SlurmFlags,
    out: Out = Path("out"),
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Submit `nst-batch video` as a job array, whose tasks share the shots of all films.

    With --dry-run, print the sbatch script.
    """
    if is_one_film(out):
        raise UserError(f"{out}: is the name of one film; name an output folder with --out.")
    sides = read_film_sides(clips, styles, settings, out, beside)
    tell_gaps(sides[0], as_json)
    pairs = Grid(*sides, settings.container)
    options = {"--mask-dir": beside.mask_dir, "--blend-styles": beside.blend_styles}
    named = Named("video", clips, styles, options)
    submit_grid(named, pairs, settings, out, cluster, dry_run, overwrite, as_json)


@dataclass(frozen=True)
class Named:
    """What the command of a task names."""

    command: str
    rows: Path
    columns: Path
    options: Mapping[str, Path | str | None]


def submit_grid(
    named: Named,
    pairs: Sequence[Pair],
    settings: BatchSettings,
    out: Path,
    cluster: SlurmFlags,
    dry_run: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Submits the pairs of a grid as a job array.

    Raises:
        typer.Exit: with 1, where it was waited for and pairs failed or are still to be made.
        UserError: something is in the way, or cannot work.
    """
    from nst_lightning.run.claim import claim, settings_digest
    from nst_lightning.run.film_plan import segments_of
    from nst_lightning.run.job_array import executor, script, submit
    from nst_lightning.store.expected import write_expected
    from nst_lightning.store.heartbeat import remove_heartbeat, this_process, write_heartbeat
    from nst_lightning.store.ledger import Ledger
    from nst_lightning.store.output import check_folder, check_settings

    parts = sum(
        len(segments_of(one.content, settings)) if one.content.film and not one.problem else 1
        for one in pairs
    )
    tasks = count_tasks(cluster.shards, parts, cluster.array_parallelism)
    made = executor(out, cluster.parameters())
    if dry_run:
        typer.echo(script(made, tasks))
        return
    check_folder(out, [named.rows, named.columns])
    cases = [Case(settings, pairs)]
    own = this_process(digest=settings_digest(cases))
    try:
        with output_errors(out):
            write_heartbeat(out, own)
            shared = claim(out, own)
        check_settings(out, settings, overwrite=overwrite)
        with output_errors(out):
            words = grid_words(named, settings, out, overwrite)
            if overwrite:  # which of them are done with these settings, each task finds out
                Ledger(out).withdraw([pair.file for pair in pairs])
            write_expected(out, cases, shared=shared)
        words += path_options(named.options)
        commands = [[*words, "--shard", f"{index}/{tasks}"] for index in range(1, tasks + 1)]
        job = submit(made, out, commands)
        with suppress(OSError):  # the tasks claim the folder themselves when they begin
            write_heartbeat(out, own.model_copy(update={"job": job, "submitted": True}))
    finally:
        remove_heartbeat(out, own)
    if as_json and not cluster.wait:
        typer.echo(json.dumps({"job": job, "tasks": tasks, "out": str(out)}))
    else:
        typer.echo(
            f"Submitted job {job}: {count(tasks, 'task')} for {count(len(pairs), 'pair')}. "
            f"Watch it with `nst-batch status {out} --watch`, end it with `scancel {job}`.",
            err=as_json,
        )
    if cluster.wait:
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


def grid_words(named: Named, settings: BatchSettings, out: Path, overwrite: bool) -> list[str]:
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
    words = [sys.executable, "-m", "nst_lightning", named.command]
    words += [str(named.rows.resolve()), str(named.columns.resolve())]
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
