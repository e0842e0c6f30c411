"""Finds on the CPU what would fail, or wait, on a GPU: everything on PyTorch's `meta` device.

Tensors there have shapes and no numbers. By themselves, convolutions, products, sums in place and
indices take a tensor of the CPU beside one of `meta` without a word, where a GPU refuses.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nst_lightning.settings.layers import channels, conv_names
from nst_lightning.vgg.weights import Weights

META = torch.device("meta")
CPU = torch.device("cpu")

Exempt = Literal["upload", "download", "number", "positions", "check"]
"""What is refused unless it is named: tensors brought to the device or fetched from it; a number
(`item`, `bool`), the positions of what is true (`nonzero`, a mask as an index) and the check that a
matrix has an inverse or eigenvalues, all of which wait for the device."""

CHECKS = ("_linalg_check_errors", "_linalg_eigh", "_linalg_svd", "linalg_eig")
"""The two former look at what cusolver returned; these are what linear algebra is made of."""


class RefusedError(Exception):
    """An operation that a GPU would refuse, or that nobody said may wait for it."""


class OneDevice(TorchDispatchMode):
    """Refuses operations over two devices, and what waits for the device.

    A scalar tensor of the CPU may take part in an operation element by element. What is exempt is
    answered by a stand-in: ones for numbers, zeros for what is fetched, all positions for a mask.

    Args:
        exempt: what is allowed.
    """

    def __init__(self, *exempt: Exempt) -> None:
        super().__init__()
        self.exempt: tuple[Exempt, ...] = exempt

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, so that torch need not be told to keep from it each time."""
        return False

    @contextmanager
    def allowing(self, *exempt: Exempt) -> Iterator[None]:
        """Allows more for a while."""
        before, self.exempt = self.exempt, (*self.exempt, *exempt)
        try:
            yield
        finally:
            self.exempt = before

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs an operation that is allowed."""
        kwargs = dict(kwargs or {})
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        name = func.overloadpacket.__name__
        away = any(tensor.device != CPU for tensor in tensors)
        if name in ("_to_copy", "copy_"):
            return self._copy(func, args, kwargs)
        if away and name in CHECKS:
            self._ask("check", name)
        elif away and name == "index":
            args = (args[0], self._positions(args[1]))
        elif away and torch.Tag.data_dependent_output in func.tags:
            self._ask("number", name)
            return torch.ones((), dtype=args[0].dtype).item()
        elif away and torch.Tag.dynamic_output_shape in func.tags:
            raise RefusedError(f"{name} waits for the device")
        scalars = torch.Tag.pointwise in func.tags
        devices = {t.device for t in tensors if not (scalars and t.ndim == 0 and t.device == CPU)}
        if len(devices) > 1:
            raise RefusedError(f"{name} over {sorted(map(str, devices))}")
        return func(*args, **kwargs)

    def _ask(self, what: Exempt, name: str) -> None:
        if what not in self.exempt:
            raise RefusedError(f"{name}: {what} was not said to be allowed")

    def _copy(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Copies between devices, where that is allowed; a scalar may always be brought there."""
        if func.overloadpacket.__name__ == "copy_":
            goal, source = args[0].device, args[1]
        else:
            goal, source = torch.device(kwargs.get("device") or args[0].device), args[0]
        if goal != CPU and source.device == CPU and source.ndim > 0:
            self._ask("upload", "copy")
        if goal == CPU and source.device != CPU:
            self._ask("download", "copy")
            zeros = torch.zeros(source.shape, dtype=source.dtype)
            return func(zeros, *args[1:], **kwargs) if source is args[0] else args[0].zero_()
        return func(*args, **kwargs)

    def _positions(self, indices: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Returns indices with all positions in the place of masks."""
        found: list[Tensor | None] = []
        for index in indices:
            if index is not None and index.dtype in (torch.bool, torch.uint8):
                self._ask("positions", "index")
                everywhere = torch.ones(index.shape).nonzero().to(index.device)
                found.extend(everywhere.unbind(dim=1))
            else:
                found.append(index)
        return found


def switch_off_autocast(patch: pytest.MonkeyPatch, precision: torch.dtype | None = None) -> None:
    """Switches autocast off, which knows no `meta` device.

    Args:
        patch: undoes it.
        precision: what a Trainer's autocast would be said to have, where somebody asks.
    """

    def no_autocast(*_: Any, **__: Any) -> Any:
        return nullcontext()

    answers: dict[str, Callable[..., Any]] = {
        "autocast": no_autocast,
        "is_autocast_enabled": lambda device: precision is not None,
        "get_autocast_dtype": lambda device: precision,
    }
    for name, answer in answers.items():
        patch.setattr(torch, name, answer)


def blank_weights(network: str) -> Weights:
    """Makes weights of zeros for `vgg19` or `vgg16`, on the CPU, in no memory."""
    zero, before = torch.zeros(()), 3
    tensors = {f"input.{kind}": zero.expand(3) for kind in ("mean", "std")}
    for conv in conv_names(network):
        after = channels(conv)
        tensors[f"{conv}.weight"] = zero.expand(after, before, 3, 3)
        tensors[f"{conv}.bias"] = zero.expand(after)
        before = after
    return Weights(tensors, "none", "random")
