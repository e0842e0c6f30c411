"""An attempt of the campaign of kills while large results are written."""

from tests.campaign.harness import run
from tests.campaign.large import attempt


def test_no_kill_leaves_half_of_a_large_result():
    figures = run(attempt, count=2, seconds=60, seed=1)
    assert (figures["attempts"], figures["broken"]) == (2, 0)
