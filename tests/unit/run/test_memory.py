"""Memory: what is kept for reuse, and what a step is estimated to take."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from nst_lightning.grid.sources import Source
from nst_lightning.run.cost import step_bytes
from nst_lightning.run.placement import Room
from nst_lightning.run.prepare import beyond_memory
from nst_lightning.settings import build

FAULTS = """
import resource, sys
import torch
from nst_lightning.run.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for k in range(20):
    if k == 15:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a switch of the GNU C library")
def test_freed_memory_is_used_again():
    def faults(how: str) -> int:
        run = subprocess.run(
            [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
        )
        return int(run.stdout)

    assert faults("leave") > 10_000  # five times 64 MB in pages of 4 kB, unless they are huge
    assert faults("keep") < 100


def test_the_estimate_by_hand():
    layers = {"style_layers": "relu1_1,relu2_1", "content_weight": 0, "lbfgs_memory": 5}
    pixels = 64 * 64
    # relu1_1, relu1_2 and relu2_1 are kept, and the indices of pool1; 18 images in float32.
    for precision, size in (("32-true", 4), ("bf16-mixed", 2)):
        kept = size * (64 * pixels * 2 + 128 * pixels / 4) + 8 * 64 * pixels / 4
        back = size * 64 * pixels * (2 + 2)
        expected = max(kept, back) + 18 * 4 * 3 * pixels
        assert step_bytes(build({**layers, "precision": precision}), 64, 64) == expected
    usual, spare = (build({"precision": "bf16-mixed", "recompute": r}) for r in (False, True))
    assert step_bytes(spare, 512, 512) < 0.9 * step_bytes(usual, 512, 512)


def test_an_image_beyond_the_memory_is_refused_before_it_begins():
    content = Source(Path("cat.jpg"), "cat", (300, 400))
    settings = build({"size": 30000, "scales": 1, "upscale": True, "precision": "32-true"})
    needed = step_bytes(settings, 22500, 30000, 256)
    assert beyond_memory(content, settings, Room(needed)) == ""
    said = beyond_memory(content, settings, Room(2**34))
    assert said.startswith("cat.jpg: a step at 30000 x 22500 pixels takes about ")
    assert " GiB in tiles of 256, and there are 16.0 here; choose a smaller --size." in said
    assert beyond_memory(Source(Path("torn.jpg"), "torn", None), settings, Room(1.0)) == ""


def test_it_is_said_what_would_fit():
    content = Source(Path("cat.jpg"), "cat", (3000, 4000))
    whole = build({"size": 4000, "scales": 1, "tile": "none", "precision": "32-true"})
    in_tiles = whole.model_copy(update={"tile": "auto"})
    small = in_tiles.model_copy(update={"lbfgs_precision": "bfloat16"})
    room = Room(step_bytes(in_tiles, 3000, 4000, 256))
    said = beyond_memory(content, whole, room)
    assert "as a whole" in said
    assert said.endswith("; choose --tile auto, or a smaller --size.")
    room = Room(step_bytes(small, 3000, 4000, 256))
    said = beyond_memory(content, in_tiles, room)
    assert said.endswith("; choose --lbfgs-precision bfloat16, or a smaller --size.")
