"""Writes a BigTIFF above 4 GiB and reads it back region by region; prints time and memory.

Run it as `python -m tests.benchmarks.big_tiff FILE write`, then `… read`: 4.4 GB of free disk. Each
is a process of its own, so that its peak is its own. The image is noise of 16 bits that is made
where it is looked at, so that neither does it take memory nor does it become smaller when packed.
"""

import resource
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from nst_lightning.imaging.levels import to_levels
from nst_lightning.imaging.opening import opened
from nst_lightning.imaging.tiff_pieces import find_pieces
from nst_lightning.imaging.writing import write_image

HEIGHT, WIDTH = 27_000, 26_900
REGION = 2048
"""Side of a region, in pixels."""


def noise() -> Tensor:
    """Returns an image of (3, HEIGHT, WIDTH), whose rows are pieces of one line that overlap.

    No two rows of a tile share a pixel.
    """
    ahead, apart = 512, 1_000_003
    line = torch.rand(
        2 * apart + HEIGHT * ahead + WIDTH, generator=torch.Generator().manual_seed(0)
    )
    return line.as_strided((3, HEIGHT, WIDTH), (apart, ahead, 1))


def write(path: Path) -> None:
    """Writes it."""
    write_image(path, noise(), format="tiff", bits=16)


def read(path: Path) -> None:
    """Reads every region and compares it with what was written, in the upper 8 bits."""
    expected, pixels = noise(), HEIGHT * WIDTH
    with opened(path, pixels) as image:
        pieces = find_pieces(image, pixels)
        assert pieces is not None
        for top in range(0, HEIGHT, REGION):
            for left in range(0, WIDTH, REGION):
                bottom, right = min(top + REGION, HEIGHT), min(left + REGION, WIDTH)
                region = pieces.region(left, top, right, bottom)
                found = torch.frombuffer(bytearray(region.tobytes()), dtype=torch.uint8)
                part = to_levels(expected[:, top:bottom, left:right], 16) >> 8
                assert torch.equal(found.view(bottom - top, right - left, 3).permute(2, 0, 1), part)


def main(path: Path, what: str) -> None:
    """Writes or reads, and prints what it took."""
    torch.set_num_threads(2)
    before, begin = peak(), time.perf_counter()
    {"write": write, "read": read}[what](path)
    seconds = time.perf_counter() - begin
    print(f"{what}: {path.stat().st_size} bytes, {seconds:.0f} s, {peak():.0f} MiB", end=" ")
    print(f"(before: {before:.0f})")


def peak() -> float:
    """Returns the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
