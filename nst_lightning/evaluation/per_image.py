"""A metric that keeps one value per image."""

from abc import abstractmethod
from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat


class PerImage(Metric):
    """Collects the values of all images it is shown, in order; `compute` returns them, (N,),
    or a scalar for a single one, as torchmetrics has it.

    A metric of its kind says in `measure` what the value of each image of a batch is. Nothing is
    averaged, so that results can be compared one by one.
    """

    is_differentiable = False
    full_state_update = False
    values: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("values", default=[], dist_reduce_fx="cat")

    @abstractmethod
    def measure(self, *inputs: Tensor) -> Tensor:
        """The value of each image of a batch, (B,)."""

    def update(self, *inputs: Tensor) -> None:
        """Take in a batch."""
        self.values.append(self.measure(*inputs))

    def compute(self) -> Tensor:
        """The values so far, (N,)."""
        return dim_zero_cat(self.values)
