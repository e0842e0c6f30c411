"""A sample of the campaign."""

from .harness import run
from .writers import attempt


def test_two_commands_at_once():
    figures = run(attempt, count=2, seconds=600, seed=1)
    assert figures["broken"] == 0
    assert figures["shared"] + figures["refused"] == 2
