"""Two folders of malformed images."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.campaign.harness import Figures
from tests.campaign.images import attempt


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.filterwarnings("ignore")  # of Pillow, which the command line keeps quiet
def test_malformed_images_are_made_or_named(number: int, tmp_path: Path):
    figures: Figures = Counter()
    assert attempt(Random(f"0:{number}"), tmp_path, figures) == []
    assert figures["refused"]
