"""Inputs that are none, refused in a sentence before any work."""

from typing import Any

import pytest
import torch

from nst_lightning import Style, StyleTransfer, TransferSettings, UserError

FINE = torch.full((1, 3, 24, 28), 0.5)


@pytest.mark.parametrize(
    ("content", "style", "sentence"),
    [
        ("tubingen.jpg", FINE, "content should be a tensor"),
        (None, FINE, "content should be a tensor"),
        (FINE[0], FINE, r"not \(3, 24, 28\)"),
        (torch.rand(1, 4, 24, 28), FINE, r"not \(1, 4, 24, 28\)"),
        ((FINE * 255).byte(), FINE, "torch.uint8"),
        (FINE * 255, FINE, r"not in \[0, 1\]"),
        (FINE * float("nan"), FINE, r"not in \[0, 1\]"),
        (FINE, FINE - 1, "a style holds values"),
        (FINE, "scream.jpg", "a tensor, or a list of Style"),
        (FINE, [FINE, FINE], "a tensor, or a list of Style"),
        (FINE, [], "share above 0"),
        (FINE, [Style(FINE, 0.0)], "share above 0"),
        (FINE, [Style(FINE, region="#ffffff")], "pass mask"),
    ],
)
def test_images_and_styles(content: Any, style: Any, sentence: str):
    with pytest.raises(UserError, match=sentence):
        StyleTransfer.from_images(content, style, TransferSettings(weights="random"))


@pytest.mark.parametrize("share", [-1.0, float("nan"), float("inf")])
def test_shares(share: float):
    with pytest.raises(UserError, match="0 or more"):
        Style(FINE, share)


def test_a_style_is_no_path():
    with pytest.raises(UserError, match="image of a style should be a tensor"):
        Style("scream.jpg")  # type: ignore[arg-type]
