"""A few attempts of the campaign against links."""

from tests.campaign.harness import run
from tests.campaign.links import attempt


def test_no_links_break_a_promise():
    figures = run(attempt, count=1, seconds=60, seed=1)
    assert (figures["attempts"], figures["broken"]) == (1, 0)
