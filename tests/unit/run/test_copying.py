"""Copies to a GPU, with a stand-in for the GPU's tensors."""

from typing import Any

import torch

from nst_lightning.run.copying import to_device

CUDA = torch.device("cuda")


class Noted:
    """A tensor that notes what is asked of it."""

    def __init__(self, device: str, asked: list[Any]) -> None:
        self.device = torch.device(device)
        self.asked = asked

    def pin_memory(self) -> "Noted":
        self.asked.append("pin_memory")
        return self

    def to(self, *args: Any, **kwargs: Any) -> "Noted":
        self.asked.append((args, kwargs))
        return self


def test_on_the_cpu_nothing_is_copied():
    tensor = torch.rand(2, 3)
    assert to_device(tensor, torch.device("cpu"), torch.float32) is tensor
    assert to_device(tensor, torch.device("cpu"), torch.float64).dtype == torch.float64


def test_to_cuda_from_page_locked_memory_and_without_a_wait():
    asked: list[Any] = []
    to_device(Noted("cpu", asked), CUDA, torch.float32)  # type: ignore[arg-type]
    assert asked == ["pin_memory", ((CUDA, torch.float32), {"non_blocking": True})]


def test_what_is_on_cuda_is_not_pinned():
    asked: list[Any] = []
    to_device(Noted("cuda", asked), CUDA, torch.float32)  # type: ignore[arg-type]
    assert asked == [((CUDA, torch.float32), {})]


def test_to_other_devices_as_ever():
    meta = torch.device("meta")
    assert to_device(torch.rand(2), meta, torch.float32).device == meta
