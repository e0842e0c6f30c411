"""Packages that are missing are told in one sentence."""

import pytest

from nst_lightning.errors import UserError
from nst_lightning.extras import need_extra


def test_the_sentence_names_what_is_missing_and_what_brings_it():
    need_extra("mesh", "meshes", "math", "json")
    with pytest.raises(UserError) as caught:
        need_extra("mesh", "meshes", "no_such", "math", "nor_this")
    assert str(caught.value) == (
        "meshes need no_such and nor_this, not installed here: "
        "pip install 'nst-lightning[mesh]' brings what is missing."
    )
