"""A cache of bounded size for what many pairs share."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import is_dataclass
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


class TensorCache:
    """Keeps what was made, up to a number of bytes; the least recently used goes first.

    Args:
        limit: bytes of tensors kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self.kept

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Returns what `key` stands for, which is made only where it is not kept."""
        if key not in self.kept:
            value = make()
            self.kept[key] = (size_of(value), value)
        self.kept.move_to_end(key)
        found: T = self.kept[key][1]
        while len(self.kept) > 1 and sum(size for size, _ in self.kept.values()) > self.limit:
            self.kept.popitem(last=False)
        return found

    def forget(self, part: Hashable) -> None:
        """Drops what was made of something that is a part of its key."""
        for key in [key for key in self.kept if isinstance(key, tuple) and part in key]:
            del self.kept[key]


def size_of(value: Any) -> int:
    """Returns the bytes of all tensors in nested tuples, dicts and dataclasses."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if is_dataclass(value):
        return size_of(vars(value))
    if isinstance(value, dict):
        return sum(size_of(part) for part in value.values())
    if isinstance(value, (tuple, list)):
        return sum(size_of(part) for part in value)
    return 0
