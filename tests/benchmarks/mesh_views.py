"""What views of a mesh take: time of each part, and memory.

python tests/benchmarks/mesh_views.py --faces 1000000 --texture 1024 --views 12 --size 512
"""

import argparse
import math
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nst_lightning.mesh.atlas import arrange
from nst_lightning.mesh.cameras import choose_cameras, touched_share
from nst_lightning.mesh.filling import fill_unseen
from nst_lightning.mesh.rasterizer import rasterize
from nst_lightning.mesh.texels import render_bytes, render_map
from tests.unit.mesh.shapes import SHAPES


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints the seconds of the processor and the peak of the memory above the start's."""
    begun = time.process_time()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.process_time() - begun:.2f} s, peak {peak:.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="stone")
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--texture", type=int, default=1024)
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--size", type=int, default=512)
    given = parser.parse_args()
    down = round(math.sqrt(given.faces / 4))
    with timed("mesh"):
        surface = SHAPES[given.shape](2 * down, down)
    atlas = arrange([(given.texture, given.texture)], [("repeat", "repeat")])
    texels = torch.rand(1, 3, atlas.height, atlas.width)
    print(f"{len(surface.corners)} faces, {torch.get_num_threads()} threads")
    with timed("choose_cameras"):
        (cameras,) = choose_cameras(surface, atlas, given.size, given.views, given.views)
    with timed(f"rasterize at {given.size}"):
        rasterize(surface.corners, cameras[1], given.size, given.size)
    with timed("render_bytes"):
        expected = render_bytes(surface, atlas, cameras, given.size)
    with timed("render_map"):
        rendering = render_map(surface, atlas, cameras, given.size)
    print(f"{rendering.bytes / 1e6:.0f} MB, {expected / 1e6:.0f} MB expected")
    with timed("see"):
        seen = rendering.see(texels)
    with timed("gradient_to_texels"):
        rendering.gradient_to_texels(seen)
    share = float(rendering.seen.double().mean())
    with timed(f"fill_unseen, {share:.2%} of the texture seen"):
        fill_unseen(texels, rendering.texel_pixels, surface, atlas)
    with timed("touched_share"):
        print(f"{touched_share(surface, atlas, given.size, cameras):.2%} of what can be seen")


if __name__ == "__main__":
    main()
