"""What became of a pair."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nst_lightning.drawing.loss_history import Row
from nst_lightning.errors import UserError
from nst_lightning.run.mesh_views import ViewedMesh


@dataclass(frozen=True)
class Stylised:
    """The image of a pair, and how it was made."""

    image: Tensor
    """(3, H, W) in [0, 1], on the CPU; of a mesh, its texels."""
    alpha: Tensor | None
    """(1, 1, H, W) in [0, 1], of a content that has transparency."""
    losses: dict[str, float | None]
    """The weighted loss terms of what the file holds; None stands for no finite number."""
    unweighted: dict[str, float | None]
    history: list[Row]
    """The losses of each step, where they are asked for."""
    frames: list[Tensor]
    """Of a film, where one is asked for: (3, H, W) of 0 … 255 each."""
    diverged_at: int
    """The step at which the loss was no longer finite; 0 where all went well."""
    float32_from: int | None
    resumed: tuple[int, ...]
    """The steps after which it was interrupted."""
    steps: int
    seconds: float
    curvature: float | None = None
    """The inverse of it at the end, as far as L-BFGS knows; see `BatchedLBFGS`."""
    viewed: ViewedMesh | None = None
    """The mesh that the image is the texels of."""

    def shown(self) -> Tensor:
        """Returns what there is to look at, (3, H, W): the image, or the views of a mesh."""
        if self.viewed is None:
            return self.image
        return self.viewed.rendering.see(self.image[None].float())[0]


@dataclass(frozen=True)
class Failure:
    """Why a pair has no image."""

    reason: str


Outcome = Stylised | Failure


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device ran out of memory; on the CPU PyTorch says so in words only."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)
    )


def explain_divergence(made: Stylised) -> str:
    """Returns why an image that diverged is none, for the user."""
    return f"the loss was no longer a finite number at step {made.diverged_at}; try smaller weights"


def explain(error: Exception) -> str:
    """Returns an exception as one line for the user."""
    if is_out_of_memory(error):
        return (
            "there is not enough memory for it; choose a smaller --size, --tile 512, or "
            "--precision bf16-mixed"
        )
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
