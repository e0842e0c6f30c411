"""The mode that stands for a GPU refuses what a GPU would refuse, and what waits for it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lightning.transfer import keep_colours
from nst_lightning.transfer.keep_colours import match_linear
from tests.one_device import META, Exempt, OneDevice, RefusedError


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype, device=META)


OVER_TWO_DEVICES: dict[str, Callable[[], Any]] = {
    "sum": lambda: meta(3, 3) + torch.eye(3),
    "sum in place": lambda: meta(3, 3).add_(torch.eye(3)),
    "product": lambda: meta(3, 3) @ torch.eye(3),
    "products of a batch": lambda: torch.bmm(meta(2, 3, 3), torch.zeros(2, 3, 3)),
    "weight of a convolution": lambda: F.conv2d(meta(1, 2, 8, 8), torch.zeros(2, 2, 3, 3)),
    "bias of a convolution": lambda: F.conv2d(
        meta(1, 2, 8, 8), meta(2, 2, 3, 3), torch.zeros(2)
    ),
    "index": lambda: meta(5)[torch.arange(3)],
    "index to write to": lambda: meta(5).index_put_((torch.arange(3),), meta(3)),
    "list of tensors": lambda: torch.cat([meta(3), torch.zeros(3)]),
    "scalar in a list": lambda: torch.stack([meta(), torch.zeros(())]),
    "keyword": lambda: torch.add(torch.zeros(3), torch.zeros(3), out=meta(3)),
    "scalar of the device beside the CPU": lambda: meta() * torch.zeros(3),
    "condition": lambda: torch.where(meta(3) > 0, torch.zeros(3), 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", OVER_TWO_DEVICES)
def test_two_devices_are_refused(name: str):
    with pytest.raises(RefusedError, match="cpu"), OneDevice():
        OVER_TWO_DEVICES[name]()


def test_without_the_mode_most_pass_unnoticed():
    unnoticed = []
    for name, operation in OVER_TWO_DEVICES.items():
        try:
            operation()
            unnoticed.append(name)
        except (RuntimeError, ValueError):
            pass
    assert {"sum in place", "product", "weight of a convolution", "index"} <= set(unnoticed)


WAITS: dict[str, tuple[Exempt, Callable[[], Any]]] = {
    "item": ("number", lambda: meta(3)[0].item()),
    "float": ("number", lambda: float(meta(3).max())),
    "bool": ("number", lambda: bool((meta(3) > 0).any())),
    "equal": ("number", lambda: torch.equal(meta(3), meta(3))),
    "mask": ("positions", lambda: meta(4, 3)[meta(4) > 0]),
    "tolist": ("download", lambda: meta(3).tolist()),
    "cpu": ("download", lambda: meta(3).cpu()),
    "copy to the CPU": ("download", lambda: torch.zeros(3).copy_(meta(3))),
    "copy to the device": ("upload", lambda: torch.zeros(3).to(META)),
    "inverse": ("check", lambda: torch.linalg.inv(meta(3, 3))),
    "root": ("check", lambda: torch.linalg.cholesky(meta(3, 3))),
    "eigenvalues": ("check", lambda: torch.linalg.eigvalsh(meta(3, 3))),
}


@pytest.mark.parametrize("name", WAITS)
def test_waits_are_refused_where_they_are_not_named(name: str):
    exempt, operation = WAITS[name]
    others: list[Exempt] = [each for each, _ in WAITS.values() if each != exempt]
    with pytest.raises(RefusedError), OneDevice(*others):
        operation()
    with OneDevice() as mode, mode.allowing(exempt):
        operation()
    assert mode.exempt == ()


@pytest.mark.parametrize("operation", [torch.nonzero, torch.unique, torch.bincount])
def test_shapes_that_depend_on_numbers_are_refused(operation: Callable[[Tensor], Tensor]):
    with pytest.raises(RefusedError, match="waits"), OneDevice():
        operation(meta(3, dtype=torch.int64))


def test_stand_ins():
    with OneDevice("number", "download", "positions"):
        assert float(meta(3).max()) == 1.0
        assert bool(meta(3).isnan().any()) is True
        assert meta(2, 2).tolist() == [[0, 0], [0, 0]]
        assert meta(5, 2)[meta(5) > 0].shape == (5, 2)
        assert meta(5, 2, 4)[meta(5, 2) > 0].shape == (10, 4)


def test_what_a_gpu_takes_is_taken():
    with OneDevice():
        scalar = torch.tensor(2.0)
        assert torch.lerp(meta(3), meta(3) * scalar, scalar).device == META
        assert meta(5)[meta(3, dtype=torch.int64)].shape == (3,)
        assert scalar.to(META).device == META
        # The CPU by itself may be asked for anything.
        assert torch.arange(3)[torch.arange(3) > 0].tolist() == [1, 2]
        assert torch.linalg.inv(torch.eye(2)).equal(torch.eye(2))
        leaf = meta(1, 2, 8, 8).requires_grad_(True)
        F.conv2d(leaf, meta(2, 2, 3, 3)).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.device == META


def test_a_gradient_is_watched_too():
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, *upstream: Tensor) -> Tensor:
            return upstream[0] @ torch.eye(3)

    leaf = meta(3, 3).requires_grad_(True)
    with pytest.raises(RefusedError), OneDevice():
        Doubled.apply(leaf).sum().backward()


def test_the_crash_of_matched_colours_would_have_been_found(monkeypatch: pytest.MonkeyPatch):
    """As `colour_statistics` was: the identity lay on the CPU."""
    mended = keep_colours.colour_statistics

    def as_it_was(image: Tensor) -> tuple[Tensor, Tensor]:
        mean, covariance = mended(image)
        return mean, covariance + keep_colours.RIDGE * torch.eye(3, dtype=torch.float64)

    images = (meta(3, 5, 6), meta(3, 7, 4))
    with OneDevice("check"):
        assert match_linear(*images, "symmetric").device == META
    monkeypatch.setattr(keep_colours, "colour_statistics", as_it_was)
    with pytest.raises(RefusedError, match="add"), OneDevice("check"):
        match_linear(*images, "symmetric")
