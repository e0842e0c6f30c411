"""A sample of the campaign."""

from .film_kills import attempt
from .harness import run


def test_kills_of_films():
    figures = run(attempt, count=3, seconds=600, seed=1)
    assert figures["broken"] == 0
