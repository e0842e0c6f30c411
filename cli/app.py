"""The Typer app and its groups of commands."""

from typing import Annotated

import typer

from .bench import bench
from .bench_gpu import bench_gpu
from .doctor import doctor
from .evaluate import evaluate
from .folder import archive, clean
from .grid import grid
from .mesh import mesh
from .options import EPILOG, PageCommand, PageGroup
from .report import report
from .run import run
from .show_presets import presets
from .status import status
from .studies import compare_init, reconstruct, sweep, texture
from .submit import app as submit
from .video import video
from .weight_files import app as weights

app = typer.Typer(
    name="nst-batch",
    cls=PageGroup,
    help="Neural style transfer over folders of photographs and paintings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(asked: bool) -> None:
    """Print the version and leave."""
    if asked:
        from nst_lightning import __version__

        typer.echo(f"nst-batch {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Neural style transfer over folders of photographs and paintings."""


app.command(cls=PageCommand, epilog=EPILOG)(grid)
app.command(cls=PageCommand, epilog=EPILOG)(run)
app.command(cls=PageCommand, epilog=EPILOG)(mesh)
app.command(cls=PageCommand, epilog=EPILOG)(video)
app.command(cls=PageCommand, epilog=EPILOG)(reconstruct)
app.command(cls=PageCommand, epilog=EPILOG)(texture)
app.command("compare-init", cls=PageCommand, epilog=EPILOG)(compare_init)
app.command(cls=PageCommand, epilog=EPILOG)(sweep)
app.command(cls=PageCommand)(archive)
app.command(cls=PageCommand)(clean)
app.command(cls=PageCommand)(report)
app.command(cls=PageCommand)(evaluate)
app.command(cls=PageCommand)(bench)
app.command("bench-gpu", cls=PageCommand)(bench_gpu)
app.command(cls=PageCommand)(presets)
app.command(cls=PageCommand)(doctor)
app.command(cls=PageCommand)(status)
app.add_typer(submit, name="submit")
app.add_typer(weights, name="weights")
