"""A few attempts of the campaign against weights."""

from tests.campaign.harness import run
from tests.campaign.weights import attempt


def test_no_weights_break_a_promise():
    figures = run(attempt, count=1, seconds=60, seed=1)
    assert (figures["attempts"], figures["broken"]) == (1, 0)
