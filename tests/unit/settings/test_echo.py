"""What was given is repeated in messages, but not at any length."""

import pytest

from nst_lightning.errors import UserError
from nst_lightning.settings import build
from nst_lightning.settings.text import LONGEST_ECHO, echo


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", "9" * 400),
        ("size", 10**400),
        ("scales", "q" * 500),
        ("content_weight", "1" * 5000),
        ("optimizer", "x" * 5000),
        ("devices", "y" * 400),
        ("seed", "9" * 5000),
        ("n" * 5000, 1),
    ],
)
def test_a_long_value_is_cut(name: str, value: object) -> None:
    with pytest.raises(UserError) as caught:
        build({name: value})
    assert "…" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_short_value_is_whole() -> None:
    assert echo("z" * (LONGEST_ECHO - 2)) == repr("z" * (LONGEST_ECHO - 2))
    assert len(echo("z" * LONGEST_ECHO)) == LONGEST_ECHO
