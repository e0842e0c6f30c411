"""How a transfer's images are taken through the network."""

from nst_lightning.errors import UserError
from nst_lightning.losses.style import style_kind
from nst_lightning.settings import TransferSettings
from nst_lightning.settings.sizes import GRID
from nst_lightning.vgg.network import Walk


def make_walk(settings: TransferSettings, tile: int | None, recompute: bool = False) -> Walk:
    """Returns the walk with tiles of at most so many pixels a side; None: the whole image.

    Raises:
        UserError: no such tiles, or a loss that needs to see the whole.
    """
    if tile is not None:
        if tile < GRID or tile % GRID:
            raise UserError(f"tile {tile}: should be a multiple of {GRID}.")
        if settings.whole_only:
            raise UserError(f"tile {tile}: {settings.whole_only}")
    return Walk(tile, recompute, style_kind(settings, 1).reach)
