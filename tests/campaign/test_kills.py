"""A sample of the campaign."""

from .harness import run
from .kills import attempt


def test_kills():
    figures = run(attempt, count=1, seconds=600, seed=3)
    assert figures["broken"] == 0
    assert figures["kills"] > 0
