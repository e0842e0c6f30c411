"""A folder of malformed films."""

from .films import attempt
from .harness import run


def test_malformed_films_are_painted_or_named():
    figures = run(attempt, count=2, seconds=600, seed=0)
    assert figures["broken"] == 0
    assert figures["refused"] > 0
