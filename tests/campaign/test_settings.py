"""A few attempts of the campaign against settings."""

from tests.campaign.harness import run
from tests.campaign.settings import FILES, attempt


def test_no_settings_break_a_promise():
    figures = run(attempt, count=1, seconds=60, seed=11)
    assert figures["broken"] == 0
    assert figures["files"] == FILES
