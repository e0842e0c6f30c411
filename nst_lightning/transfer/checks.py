"""What is seen before any work: that inputs are images, and checkpoints this module's own."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.imaging.in_memory import NEAR
from nst_lightning.imaging.mask import Mask
from nst_lightning.transfer.targets import Style, check_image


def check_inputs(content: Tensor, styles: Sequence[Style], mask: Mask | None) -> None:
    """Sees that a content and its styles can be worked on.

    Raises:
        UserError: they cannot.
    """
    check_image(content, "content")
    if not isinstance(styles, Sequence) or not all(isinstance(one, Style) for one in styles):
        raise UserError("style should be a tensor, or a list of Style.")
    if not any(one.share > 0 for one in styles):
        raise UserError("there is no style with a share above 0: give at least one.")
    if mask is None and any(one.region for one in styles):
        raise UserError("a style for a region needs the regions of the content: pass mask.")
    for image, what in ((content, "content"), *((one.image, "a style") for one in styles)):
        if not image.is_meta and not bool(((image >= -NEAR) & (image <= 1 + NEAR)).all()):
            raise UserError(f"{what} holds values that are not in [0, 1], as load_image returns.")


def check_checkpoint(checkpoint: Any) -> None:
    """Sees that something was saved by a `StyleTransfer`.

    Raises:
        UserError: it was not.
    """
    parts = {"state_dict", "images", "float32_from"}
    if not isinstance(checkpoint, dict) or not parts <= checkpoint.keys():
        raise UserError(
            "this is no checkpoint of a StyleTransfer: name one that its Trainer wrote."
        )
