"""Sets of layers as typed."""

import pytest

from nst_lightning.errors import UserError
from nst_lightning.settings.layers import canonical, layer_sets


def test_sets_ranges_and_all():
    sets = layer_sets("conv_1, conv_1+conv_4,conv_5..conv_7,relu3_4..relu4_2,all", "vgg19")
    assert sets["conv_1"] == ["conv_1"]
    assert sets["conv_1+conv_4"] == ["conv_1", "conv_4"]
    assert sets["conv_5..conv_7"] == ["conv_5", "conv_6", "conv_7"]
    assert sets["relu3_4..relu4_2"] == ["relu3_4", "relu4_1", "relu4_2"]
    assert [canonical(name, "vgg19") for name in sets["all"]][::15] == ["conv1_1", "conv5_4"]
    assert len(layer_sets("all", "vgg16")["all"]) == 13
    assert layer_sets("conv1_1..conv2_1+conv1_2", "vgg19") == {
        "conv1_1..conv2_1+conv1_2": ["conv1_1", "conv1_2", "conv2_1"]
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("conv_17", "did you mean"),
        ("conv_5..conv_2", "backwards; write conv_2..conv_5"),
        ("conv_5..relu5_1", "two layers of one kind"),
        ("conv_1..", "has no layer"),
        (" , ", "names no layer"),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, sentence: str):
    with pytest.raises(UserError, match=sentence):
        layer_sets(text, "vgg19")
