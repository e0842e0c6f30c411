"""What the process does that runs xatlas: arrays from its input, arrays to its output.

It is run as a file, and imports nothing of this package.
"""

import io
import sys
from typing import Any

import numpy as np


def answer(question: bytes) -> bytes:
    """Unwraps meshes by xatlas.

    Args:
        question: an npz of `size` and `padding`, in pixels, and of `positions N` (V, 3) float32 and
            `faces N` (F, 3) uint32 for each mesh.

    Returns:
        An npz of `shape`, (height, width) of the texture, and of `source N`, `faces N` and `uv N`
        for each mesh, as xatlas gives them: (W,) the vertex that each new vertex is a copy of,
        (F, 3) the new vertices of each face, (W, 2) in [0, 1].
    """
    import xatlas

    given = np.load(io.BytesIO(question))
    count = sum(name.startswith("faces ") for name in given.files)
    atlas = xatlas.Atlas()
    for number in range(count):
        atlas.add_mesh(given[f"positions {number}"], given[f"faces {number}"])
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding = int(given["size"]), int(given["padding"])
    atlas.generate(xatlas.ChartOptions(), packing)
    found: dict[str, Any] = {"shape": np.array([atlas.height, atlas.width])}
    for number in range(count):
        for name, values in zip(("source", "faces", "uv"), atlas.get_mesh(number), strict=True):
            found[f"{name} {number}"] = values
    data = io.BytesIO()
    np.savez(data, **found)
    return data.getvalue()


if __name__ == "__main__":
    sys.stdout.buffer.write(answer(sys.stdin.buffer.read()))
