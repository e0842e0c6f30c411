"""Neural style transfer by optimisation (Gatys et al.) as a PyTorch Lightning module.

Importing the package is cheap: torch is imported when one of the names below is first used, so
that `nst-batch --help` answers at once.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from nst_lightning.api import stylize as stylize
    from nst_lightning.api import stylize_mesh as stylize_mesh
    from nst_lightning.api import stylize_video as stylize_video
    from nst_lightning.errors import UserError as UserError
    from nst_lightning.imaging.mask import read_mask as read_mask
    from nst_lightning.imaging.reading import load_image as load_image
    from nst_lightning.settings import TransferSettings as TransferSettings
    from nst_lightning.transfer.module import StyleTransfer as StyleTransfer
    from nst_lightning.transfer.module import build_network as build_network
    from nst_lightning.transfer.split import SplitStrategy as SplitStrategy
    from nst_lightning.transfer.targets import Style as Style

_CLONE = Path(__file__).resolve().parent.parent
if (_CLONE / "cli" / "app.py").is_file() and (_CLONE / "configs" / "presets").is_dir():
    # Imported from a clone: the command line and the configs stand beside this folder there,
    # not inside it as in an installed package.
    __path__.append(str(_CLONE))

_EXPORTS = {
    "SplitStrategy": "nst_lightning.transfer.split",
    "Style": "nst_lightning.transfer.targets",
    "StyleTransfer": "nst_lightning.transfer.module",
    "TransferSettings": "nst_lightning.settings",
    "UserError": "nst_lightning.errors",
    "build_network": "nst_lightning.transfer.module",
    "load_image": "nst_lightning.imaging.reading",
    "read_mask": "nst_lightning.imaging.mask",
    "stylize": "nst_lightning.api",
    "stylize_mesh": "nst_lightning.api",
    "stylize_video": "nst_lightning.api",
}
__all__ = [
    "SplitStrategy",
    "Style",
    "StyleTransfer",
    "TransferSettings",
    "UserError",
    "__version__",
    "build_network",
    "load_image",
    "read_mask",
    "stylize",
    "stylize_mesh",
    "stylize_video",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("nst-lightning")
        except PackageNotFoundError:  # a clone that was never installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
