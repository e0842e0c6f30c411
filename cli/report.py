"""`nst-batch report`: the gallery of a results folder."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from nst_lightning.errors import OutputError

from .flags import Json, Quiet
from .wording import count


def report(
    out: Annotated[Path, typer.Argument(help="Results folder, the --out of a run.")],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write OUT/index.html, a gallery that opens from disk without a network.

    Its thumbnails are in OUT/gallery, and the tiles of images above 4,096 px, each of which gets a
    page to look closer. Run it again after more images were made.
    """
    from rich.console import Console
    from rich.progress import Progress

    from nst_lightning.layout import PAGE
    from nst_lightning.report.gallery import write_gallery

    hidden = quiet or as_json or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task("thumbnails", total=None)
        try:
            page, counts = write_gallery(
                out, lambda done, of: progress.update(task, completed=done, total=of)
            )
        except OSError as error:
            raise OutputError.at(out / PAGE, error) from None
    if as_json:
        typer.echo(json.dumps({"page": str(page), **counts}))
    elif not quiet:
        more = "".join(f", {n} {state}" for state, n in counts.items() if n and state != "done")
        typer.echo(f"{count(counts['done'], 'result')}{more}: open {page} in a browser")
