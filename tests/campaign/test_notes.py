"""A sample of the campaign."""

from .harness import run
from .notes import attempt


def test_damaged_notes():
    figures = run(attempt, count=2, seconds=600, seed=1)
    assert figures["broken"] == 0
    assert figures["damaged notes"] > 0
