"""The items that a Trainer counts steps by."""

from collections.abc import Iterator
from typing import Any


class Steps:
    """As many items as there are steps. A fit that goes on from a checkpoint may begin with any of
    them, for they are all alike, and so there is no state to keep: Lightning asks for one."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes nothing."""
