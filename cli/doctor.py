"""`nst-batch doctor`: what this machine has."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import typer

PACKAGES = ("nst-lightning", "torch", "torchvision", "lightning", "pillow", "typer", "pydantic")


def doctor() -> None:
    """Print versions, devices, the cache folder and the weights in it."""
    import torch

    from nst_lightning.run.devices import choose_device, resolve
    from nst_lightning.settings import build
    from nst_lightning.vgg.weights import cache_folder, verify

    typer.echo(f"python        {platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "not installed"
        typer.echo(f"{name:<14}{found}")
    threads = torch.get_num_threads()
    cpu = torch.backends.cpu.get_cpu_capability()
    typer.echo(f"cpu           {os.cpu_count()} cores, {threads} threads, {cpu}")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        typer.echo(
            f"gpu {index}         {properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        )
    if torch.backends.mps.is_available():
        typer.echo("mps           available")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        typer.echo("gpu           none")
    device = choose_device("auto")
    typer.echo(f"auto          {device.type}, {resolve(build({}), device).precision}")
    typer.echo(f"cache         {cache_folder()}")
    for file in verify():
        typer.echo(f"weights       {file.source} {file.network}: {file.state}")
