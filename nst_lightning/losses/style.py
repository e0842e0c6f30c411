"""Finds a style loss by its name.

The loss called `some-name` is the file `some_name.py` beside this one, whose `make_style_kind` has
the arguments of `style_kind` below; no list of names is kept here.
"""

from importlib import import_module

from nst_lightning.losses.style_kind import StyleKind
from nst_lightning.settings import TransferSettings


def style_kind(settings: TransferSettings, pixels: int) -> StyleKind:
    """Returns the way to compare styles that the settings name.

    Args:
        settings: `style_loss`, and what that loss itself reads, as `gram` for the loss `gram`.
        pixels: H·W of the image that is optimised.
    """
    name = settings.style_loss.replace("-", "_")
    kind: StyleKind = import_module(f"nst_lightning.losses.{name}").make_style_kind(
        settings, pixels
    )
    return kind
