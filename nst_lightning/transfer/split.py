"""Lightning's way to optimise one image on several devices."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from nst_lightning.band import Band


class SplitStrategy(DDPStrategy):
    """Starts one process a device, as DDP does, for a `StyleTransfer` that shares its image out.

    `L.Trainer(devices=4, strategy=SplitStrategy()).fit(model)`: each process holds a band of the
    image's rows, and they take the steps that one would. The module itself sends what there is to
    send, so that it is not wrapped, which would average gradients of different rows.
    """

    def configure_ddp(self) -> None:
        """Leaves the module as it is."""

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """Returns that every process makes all steps."""
        return {"num_replicas": 1, "rank": 0}


STATE = ("image", "average")
"""The images among the tensors that a module's checkpoint holds."""

LISTS = ("displacement", "gradient", "basis")
"""The tensors of L-BFGS that hold images as lists of values, the last dimension."""


def gather_state(checkpoint: dict[str, Any], band: Band) -> None:
    """Replaces the bands of images in a checkpoint by the whole images, so that it can go on with
    any number of devices."""
    _change(checkpoint, band.gather, lambda x: _as_lists(band.gather(_as_rows(x, band)), x))


def cut_state(checkpoint: dict[str, Any], band: Band) -> None:
    """Replaces the images in a checkpoint by what this process holds of them."""
    own = band.at(0)
    whole = Band(0, 1, band.whole)

    def cut(x: Tensor) -> Tensor:
        return own.cut(x).clone()

    _change(checkpoint, cut, lambda x: _as_lists(cut(_as_rows(x, whole)), x))


def _change(
    checkpoint: dict[str, Any],
    image: Callable[[Tensor], Tensor],
    values: Callable[[Tensor], Tensor],
) -> None:
    """Replaces all images in a checkpoint, without changing what it is made of.

    Args:
        checkpoint: Lightning's.
        image: changes images (B, 3, h, w).
        values: changes what holds them as lists of values, (…, 3·h·w).
    """
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = state | {k: image(state[k]) for k in STATE if k in state}
    images = checkpoint["images"]
    checkpoint["images"] = images | {"last_good": image(images["last_good"])}

    def changed(name: str, value: Any) -> Any:
        if name in LISTS:
            return values(value)
        return image(value) if getattr(value, "ndim", 0) == 4 else value  # of Adam

    checkpoint["optimizer_states"] = [
        {
            **one,
            "state": {
                index: {name: changed(name, value) for name, value in kept.items()}
                for index, kept in one["state"].items()
            },
        }
        for one in checkpoint["optimizer_states"]
    ]


def _as_rows(x: Tensor, band: Band) -> Tensor:
    """Views lists of values (B, …, n) as images (B·…, 3, h, W)."""
    return x.reshape(-1, 3, *band.at(0).shape)


def _as_lists(images: Tensor, like: Tensor) -> Tensor:
    """Views images as lists of values, one for each that `like` has."""
    return images.reshape(*like.shape[:-1], -1)
