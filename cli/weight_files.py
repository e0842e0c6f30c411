"""`nst-batch weights`: lists, pulls, checks and exports the sources of weights.

torch is imported inside the commands, so that `--help` answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from .flags import Network, WeightsInput
from .options import PageCommand, PageGroup

app = typer.Typer(
    cls=PageGroup,
    help="The network's weights: where they come from, and what is on this machine.",
    no_args_is_help=True,
)


@app.command("list", cls=PageCommand)
def list_sources() -> None:
    """Each source: what it is, whether it is in the cache, its size and licence."""
    from nst_lightning.vgg.weights import cache_folder, verify, weight_sources

    cached = verify(check=False)
    typer.echo(f"cache folder: {cache_folder()}")
    for source in weight_sources():
        typer.echo(f"\n{source.name}: {source.what}")
        typer.echo(f"  networks: {', '.join(source.networks)}")
        typer.echo(f"  download: {source.download}")
        for file in cached:
            if file.source == source.name:
                here = "not pulled yet" if file.state == "absent" else _place(file.path, file.size)
                typer.echo(f"  {file.network}: {here}")
        typer.echo(f"  licence: {source.licence}")
    typer.echo("\nPATH: a .safetensors, .pth or .pt state dict of your own")


@app.command("pull", cls=PageCommand)
def pull_source(
    source: Annotated[str, typer.Argument(help="normalized, caffe or imagenet.")] = "normalized",
    network: Network = "vgg19",
) -> None:
    """Fetch a source's weights into the cache, unless they are there and intact."""
    from nst_lightning.vgg.weights import pull

    path = pull(source, network)
    typer.echo(f"{source} ({network}): {_place(path, path.stat().st_size)}")


@app.command("verify", cls=PageCommand)
def verify_cache() -> None:
    """Check every cached file; exit code 1 when one is damaged."""
    from nst_lightning.vgg.weights import cache_folder, verify

    files = [file for file in verify() if file.state != "absent"]
    if not files:
        typer.echo(f"nothing is cached yet in {cache_folder()}")
    for file in files:
        typer.echo(f"{file.state}: {file.source} ({file.network}), {_place(file.path, file.size)}")
        if file.state == "damaged":
            typer.echo(
                f"  repair it with: nst-batch weights pull {file.source} --network {file.network}"
            )
    if any(file.state == "damaged" for file in files):
        raise typer.Exit(1)


@app.command("export", cls=PageCommand)
def export_weights(
    path: Annotated[Path, typer.Argument(help="The file to write, ending in .safetensors.")],
    source: Annotated[
        str, typer.Option("--source", help="normalized, caffe, imagenet, random or a path.")
    ] = "normalized",
    network: Network = "vgg19",
    dtype: Annotated[
        str, typer.Option("--dtype", help="float32, or float16 for half the size.")
    ] = "float32",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file when it is there.")
    ] = False,
    weights_input: WeightsInput = "auto",
) -> None:
    """Write a network's weights as one safetensors file, for `--weights PATH`."""
    from nst_lightning.vgg.weights import export

    written = export(source, network, path, dtype, overwrite, weights_input)
    typer.echo(f"{source} ({network}, {dtype}): {_place(written, written.stat().st_size)}")


def _place(path: Path, size: int) -> str:
    return f"{path} ({size / 1e6:.1f} MB)"
