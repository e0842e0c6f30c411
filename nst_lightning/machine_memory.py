"""How much memory this machine has."""

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/memory.max")
"""What a container may take, or `max` (Linux, control groups version 2)."""


def machine_bytes() -> float:
    """Returns the memory that this machine has, or this container may take; infinite where the
    system does not say."""
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf
    with suppress(OSError, ValueError):
        return min(pages, int(CGROUP.read_text()))
    return pages
