"""An attempt of the campaign against full disks."""

import pytest

from tests.campaign.disk import attempt, why_not
from tests.campaign.harness import run


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_no_full_disk_breaks_a_promise():
    figures = run(attempt, count=1, seconds=60, seed=1)
    assert (figures["attempts"], figures["broken"]) == (1, 0)
