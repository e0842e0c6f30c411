"""What an image is made from, as a checkpoint holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nst_lightning.imaging.mask import Mask
from nst_lightning.transfer.targets import Style
from nst_lightning.video.temporal_target import Temporal


@dataclass(frozen=True)
class Originals:
    """The images that targets are made from."""

    content: Tensor
    """(B, 3, H, W) in [0, 1]."""
    styles: Sequence[Style]
    """At least one."""
    mask: Mask | None
    """The regions of the content, of any size."""
    origin: Tensor | None
    """Where the losses are 1 with `weighting` start, (B, 3, H, W) in [0, 1]."""
    temporal: Temporal | None = None
    """What the frames before say of the images."""

    def data(self) -> dict[str, Any]:
        """Returns them as plain values and tensors, which load with `weights_only=True`."""
        styles = [{**vars(style), "mask": mask_data(style.mask)} for style in self.styles]
        temporal = None if self.temporal is None else vars(self.temporal)
        return {
            **vars(self), "styles": styles, "mask": mask_data(self.mask), "temporal": temporal
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Originals":
        """Reads what `data` returned."""
        styles = [Style(**{**style, "mask": mask_of(style["mask"])}) for style in data["styles"]]
        known = {**data, "styles": styles, "mask": mask_of(data["mask"])}
        if known.get("temporal") is not None:
            known["temporal"] = Temporal(**known["temporal"])
        return cls(**known)


def mask_data(mask: Mask | None) -> dict[str, Any] | None:
    """Returns a mask as plain values and tensors."""
    return None if mask is None else {**vars(mask), "colours": list(mask.colours)}


def mask_of(data: Mapping[str, Any] | None) -> Mask | None:
    """Reads what `mask_data` returned."""
    return None if data is None else Mask(tuple(data["colours"]), data["inside"])
