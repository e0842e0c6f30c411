"""A few attempts of the campaign against names."""

from tests.campaign.harness import run
from tests.campaign.names import attempt


def test_no_names_break_a_promise():
    figures = run(attempt, count=1, seconds=60, seed=1)
    assert (figures["attempts"], figures["broken"]) == (1, 0)
