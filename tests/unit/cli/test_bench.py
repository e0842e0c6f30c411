"""What `nst-batch bench` is told."""

import pytest

from cli.bench import parse_numbers
from nst_lightning.errors import UserError


def test_numbers_are_in_plain_digits():
    assert parse_numbers("256, 512,") == [256, 512]
    for wrong in ("²", "9" * 5000):
        with pytest.raises(UserError, match="should be whole numbers above 0"):
            parse_numbers(wrong)
