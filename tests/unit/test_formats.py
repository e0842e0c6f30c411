"""The table of file formats, and what must follow it."""

from pathlib import Path
from typing import get_args

import pytest

from nst_lightning.formats import FORMATS, RESULT_FORMATS, ResultFormat, result_format
from nst_lightning.imaging.writing import _ENCODERS


def test_every_format_of_results_has_a_setting_and_an_encoder():
    assert list(RESULT_FORMATS) == list(get_args(ResultFormat)) == list(_ENCODERS)


def test_no_suffix_stands_for_two_formats():
    suffixes = [suffix for known in FORMATS.values() for suffix in known.suffixes]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.PNG", "png"), ("a.jpeg", "jpeg"), ("a.b.tif", "tiff"), ("a.gif", None), ("a", None)],
)
def test_a_suffix_stands_for_a_format(name: str, expected: str | None):
    assert result_format(Path(name)) == expected
