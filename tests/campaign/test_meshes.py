"""A folder of malformed meshes."""

from .harness import run
from .meshes import attempt


def test_malformed_meshes_are_painted_or_named():
    figures = run(attempt, count=1, seconds=600, seed=0)
    assert figures["broken"] == 0
    assert figures["refused"] > 0
