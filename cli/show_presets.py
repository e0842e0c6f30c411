"""`nst-batch presets`: the presets and where their numbers come from."""

from typing import Annotated

import typer

from nst_lightning.settings.presets import preset_text, preset_texts


def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset, with its source.")] = None,
) -> None:
    """List the presets, or print one with the source of its numbers."""
    if name is not None:
        typer.echo(preset_text(name), nl=False)
        return
    texts = preset_texts()
    width = max(map(len, texts))
    for known, text in texts.items():
        typer.echo(f"{known:<{width}}  {text.splitlines()[0].lstrip('# ')}")
