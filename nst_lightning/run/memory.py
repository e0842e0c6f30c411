"""The memory of freed tensors."""

import ctypes
import platform

# malloc.h of the GNU C library.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD = 64 << 20

LARGEST_KEPT = 1 << 21
"""Pixels of an image up to which memory is kept: it costs a third more memory (1024 × 1024: 2.9
instead of 2.1 GB a step), and beyond this memory is dearer than time."""


def keep_freed_memory() -> bool:
    """Lets this process use freed memory again instead of handing it back to the system.

    The GNU C library gives every tensor above 32 MB fresh pages and returns them at once. At 512 px
    that is 67,000 page faults a step: float32 steps took 1.3 times as long. The process then stays
    as large as its largest step.

    Returns:
        Whether this system has such a switch.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    done = [
        mallopt(M_MMAP_MAX, 0),
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1),
        mallopt(M_TOP_PAD, TOP_PAD),
    ]
    return all(done)
