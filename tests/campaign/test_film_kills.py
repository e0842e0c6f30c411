"""A sample of the campaign."""

from .film_kills import attempt
from .harness import run


def test_kills_of_films():
    figures = run(attempt, count=1, seconds=600, seed=5)  # whose first kill is between results
    assert figures["broken"] == 0
    assert figures["kills"] > 0
