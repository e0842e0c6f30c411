"""One image in several processes: each holds a band of its rows, and they compute together."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.windows import Window

ROWS = 32
"""Bands meet on multiples of so many rows, so that five poolings leave whole positions."""


@dataclass(frozen=True)
class Band:
    """The rows of an image that one process of a torch.distributed group holds.

    Every method that sends something must be called by all processes of the group.

    rank: of the process.
    size: the number of processes.
    whole: (height, width) of the image.
    """

    rank: int
    size: int
    whole: tuple[int, int]

    def first_row(self, rank: int) -> int:
        """Returns where the band of a process begins; for `size`, where the image ends."""
        pieces = -(-self.whole[0] // ROWS)
        return min(self.whole[0], ROWS * (pieces * rank // self.size))

    def at(self, depth: int, rank: int | None = None) -> Window:
        """Returns the band of a process, by default this one, after so many poolings."""
        rank = self.rank if rank is None else rank
        height, width = (side >> depth for side in self.whole)
        top, bottom = self.first_row(rank) >> depth, self.first_row(rank + 1) >> depth
        return Window(top, 0, min(bottom, height), width, (height, width))

    def sum(self, x: Tensor) -> Tensor:
        """Returns the sum over all processes."""
        return self._reduced(x, dist.ReduceOp.SUM)

    def largest(self, x: Tensor) -> Tensor:
        """Returns the largest of all processes, value by value."""
        return self._reduced(x, dist.ReduceOp.MAX)

    def _reduced(self, x: Tensor, operation: Any) -> Tensor:
        shared = x.to(group_device(), memory_format=torch.contiguous_format, copy=True)
        dist.all_reduce(shared, operation)
        return shared.to(x.device)

    def with_neighbours(self, x: Tensor, depth: int, rows: int) -> tuple[Tensor, Window]:
        """Adds rows of the bands above and below to what this process holds.

        Args:
            x: (B, C, h, w), of the band after `depth` poolings.
            depth: how many.
            rows: how many to add on each side, where the image has them.

        Returns:
            (B, C, h', w) in channels_last, and the window that it is.

        Raises:
            UserError: a band has fewer rows than that.
        """
        own = self.at(depth)
        if any(self.at(depth, rank).shape[0] < rows for rank in range(self.size)):
            raise UserError(
                f"an image of {self.whole[0]} rows is too low to be split among {self.size} "
                "devices: choose fewer, or a larger --size."
            )
        by_row = x.permute(0, 2, 3, 1).contiguous()
        parts, work = [by_row], []
        if self.rank > 0:
            parts.insert(0, torch.empty_like(by_row[:, :rows]))
            work += self._swap(by_row[:, :rows], parts[0], self.rank - 1)
        if self.rank < self.size - 1:
            parts.append(torch.empty_like(by_row[:, -rows:]))
            work += self._swap(by_row[:, -rows:], parts[-1], self.rank + 1)
        for one in dist.batch_isend_irecv(work) if work else ():
            one.wait()
        held = Window(
            max(0, own.top - rows), 0, min(own.whole[0], own.bottom + rows), own.right, own.whole
        )
        return torch.cat(parts, dim=1).permute(0, 3, 1, 2), held

    def _swap(self, sent: Tensor, received: Tensor, other: int) -> list[dist.P2POp]:
        """Returns what sends rows to another process and receives its own, as mere bytes."""
        mine = dist.P2POp(dist.isend, sent.contiguous().view(torch.uint8), other)
        return [mine, dist.P2POp(dist.irecv, received.view(torch.uint8), other)]

    def gather(self, x: Tensor) -> Tensor:
        """Returns the whole image of the bands (B, C, h, W) of all processes."""
        batch, channels = x.shape[:2]
        own = x.to(group_device(), memory_format=torch.contiguous_format)
        whole = x.new_empty(batch, channels, *self.whole)
        for rank in range(self.size):
            window = self.at(0, rank)
            part = own if rank == self.rank else own.new_empty(batch, channels, *window.shape)
            dist.broadcast(part, rank)
            window.cut(whole).copy_(part)
        return whole


def group_device() -> torch.device:
    """Returns where tensors must lie that the processes of the group exchange."""
    nccl = dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")
