"""Settings: parsing, bounds, one sentence for what is wrong."""

from typing import Any

import pytest
import yaml

from nst_lightning.errors import UserError
from nst_lightning.settings import BatchSettings, Scale, TransferSettings, build, dump_yaml, merge
from nst_lightning.settings.sizes import ShorterSide


def test_layers_in_every_form():
    expected = {"relu1_1": 1.0, "conv_4": 0.5}
    for form in ("relu1_1,conv_4=0.5", ["relu1_1", "conv_4=0.5"], expected):
        assert TransferSettings(style_layers=form).style_layers == expected
    assert TransferSettings(style_layers="conv_4=2,conv_5=0").active_style_layers == {"conv2_2": 2}


def test_scales_and_their_short_form():
    two = TransferSettings(scales="256:150,512:60")
    assert [(s.size, s.steps) for s in two.scales] == [(256, 150), (512, 60)]
    assert two.total_steps == 210
    assert [two.style_size_at(s) for s in two.scales] == [256, 512]
    half = TransferSettings(scales="256:150,512:60", style_size=300)
    assert [half.style_size_at(s) for s in half.scales] == [150, 300]
    assert TransferSettings(size=99, steps=7) == TransferSettings(scales="99:7")


def passes(data: dict[str, Any]) -> list[tuple[int | str, int]]:
    return [(scale.size, scale.steps) for scale in build(data).scales]


def test_from_coarse_to_fine():
    assert passes({"size": 256, "steps": 300}) == [(256, 300)]
    assert passes({"size": 1024, "steps": 2}) == [(512, 1), (1024, 1)]
    assert passes({"size": 512, "steps": 300}) == [(256, 214), (512, 86)]
    assert passes({"size": 1600, "steps": 100, "scales": "auto"}) == [
        (200, 62), (400, 24), (800, 10), (1600, 4),
    ]  # fmt: skip
    assert passes({"size": 1600, "steps": 100, "scales": 1}) == [(1600, 100)]
    assert passes({"size": "640x480", "steps": 7, "scales": "2"}) == [
        ("320x240", 5),
        ("640x480", 2),
    ]
    assert [steps for _, steps in passes({"size": 64, "steps": 4, "scales": 4})] == [1, 1, 1, 1]
    # A list is taken as it is, and a library's user gets one scale.
    assert passes({"scales": "256:150,512:60"}) == [(256, 150), (512, 60)]
    assert len(TransferSettings(size=1024).scales) == 1
    assert len(BatchSettings().scales) == 2
    assert build({"scales": "64:3:1.5,128:4"}).scales[0].content_weight == 1.5
    assert build({"content_weight": 2}).at(Scale(content_weight=1.5)).content_weight == 3


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (1, [(32, 7, 0, 2.0), (64, 2, 0, 1.0)]),
        (2, [(32, 4, 1, 2.0), (32, 3, 0, 2.0), (64, 1, 1, 1.0), (64, 1, 0, 1.0)]),
        (3, [(32, 3, 2, 2.0), (32, 2, 1, 2.0), (32, 2, 0, 2.0), (64, 1, 1, 1.0), (64, 1, 0, 1.0)]),
    ],
)
def test_sets_of_views_share_the_steps_of_a_scale(
    sets: int, expected: list[tuple[int, int, int, float]]
):
    found = build({"scales": "32:7:2,64:2"}).passes(sets)
    assert [(one.size, one.steps, one.view_set, one.content_weight) for one in found] == expected


def test_none_can_be_typed():
    assert build({"longest_step": "none"}).longest_step is None
    assert build({"longest_step": "0.5"}).longest_step == 0.5
    with pytest.raises(UserError, match="longest_step"):
        build({"longest_step": 0})


def test_a_size_of_width_and_height():
    scale = TransferSettings(size="640x480").scales[0]
    assert (scale.size, scale.target, scale.longest) == ("640x480", (480, 640), 640)
    assert TransferSettings(size="224").scales[0].target == 224
    for wrong in ("640x", "x480", "0x10", "6x4x2", "big", "1.5", 0, 100_001, True, "0%", "101%",
                  "-5%", "%", "5 %x"):  # fmt: skip
        with pytest.raises(UserError, match="size should be the longest side"):
            build({"size": wrong})


def test_a_size_of_the_shorter_side():
    scale = TransferSettings(size="short:224").scales[0]
    assert (scale.size, scale.target) == ("short:224", ShorterSide(224))
    assert scale.longest_of((768, 1024)) == 298
    with pytest.raises(ValueError, match="depends on the content"):
        _ = scale.longest
    assert passes({"scales": "short:512:500,800:200"}) == [("short:512", 500), (800, 200)]
    assert passes({"scales": "Short:512:500"}) == [("short:512", 500)]
    assert passes({"size": "Short:400", "steps": 300, "scales": 2}) == [
        ("short:200", 214), ("short:400", 86),
    ]  # fmt: skip
    for wrong in ("short:", "short:0", "short:6x4", "short:50%", "short:x"):
        with pytest.raises(UserError, match="size should be the longest side"):
            build({"size": wrong})


def test_a_size_that_is_a_share_of_the_contents():
    scale = TransferSettings(size=" 25% ").scales[0]
    assert (scale.size, scale.target) == ("25%", 0.25)
    assert [TransferSettings(size=size).scales[0].size for size in ("100%", "Original")] == [
        "original",
        "original",
    ]
    assert Scale(size="original").target == 1.0
    assert Scale(size="12.5%").longest_of((900, 1600)) == 200
    assert Scale(size="original").longest_of((90, 160)) == 160
    with pytest.raises(ValueError, match="depends on the content"):
        _ = scale.longest
    # From coarse to fine: three scales, as many as steps allow, or as many as asked for.
    assert passes({"size": "original", "steps": 300}) == [
        ("25%", 192), ("50%", 77), ("original", 31),
    ]  # fmt: skip
    assert passes({"size": "50%", "steps": 2}) == [("25%", 1), ("50%", 1)]
    assert passes({"size": "50%", "steps": 5, "scales": 1}) == [("50%", 5)]
    assert passes({"scales": "25%:200,50%:60,original:40"})[1:] == [("50%", 60), ("original", 40)]
    mixed = TransferSettings(scales="256:5,50%:5,original:5")
    assert [mixed.style_size_at(s, (500, 1000)) for s in mixed.scales] == [256, 500, 1000]
    half = TransferSettings(scales="25%:5,original:5", style_size=600)
    assert [half.style_size_at(s, (500, 1000)) for s in half.scales] == [150, 600]
    assert build(merge({"size": "50%", "steps": 9}, {"steps": 3})).scales[-1].size == "50%"
    assert build(yaml.safe_load(dump_yaml(build({"size": "50%"})))) == build({"size": "50%"})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"stile_weight": 1}, "did you mean 'style_weight'"),
        ({"style_weight": -1}, "style_weight should be greater than or equal to 0, not -1"),
        ({"style_weight": "nan"}, "style_weight"),
        ({"steps": 0}, "steps should be greater than or equal to 1"),
        ({"scales": []}, "scales"),
        ({"scales": "512"}, "only 300 steps"),
        ({"scales": "512:3:-1"}, "content_weight"),
        ({"size": 1, "scales": "1:1"}, "either a list of scales"),
        ({"style_layers": "relu1_1,relu1_1"}, "twice"),
        ({"style_layers": "conv_4,conv2_2"}, "conv2_2 twice"),
        ({"content_layers": "relu4_9"}, "relu4_9"),
        ({"network": "vgg16", "style_layers": "conv3_4"}, "vgg16 has no layer"),
        ({"network": "vgg11"}, "network should be"),
        ({"batch_size": "many"}, "batch_size should be auto or a number"),
        ({"first_step": 0}, "first_step should be torch or a number"),
        ({"first_step": "x"}, "first_step should be torch or a number"),
        ({"bit_depth": 16, "format": "jpeg"}, "format jpeg, which holds 8 bits: choose format png"),
        ({"bit_depth": "16", "format": "webp"}, "format webp, which holds 8 bits"),
        ({"bit_depth": 12}, "bit_depth should be 8 or 16, not 12"),
        ({"quality": 0}, "quality should be greater than or equal to 1, not 0"),
        ({"quality": 101}, "quality"),
        ({"format": "bmp"}, "format should be 'png', 'jpeg', 'webp' or 'tiff'"),
        ({"finish": "detail", "size": "64x64"}, "content's own aspect"),
        ({"content_weight": 0, "style_layers": "relu1_1=0"}, "nothing to optimise"),
    ],
)
def test_one_sentence(data: dict[str, Any], sentence: str):
    with pytest.raises(UserError, match=sentence) as error:
        build(data)
    assert "\n" not in str(error.value)


def test_yaml_round_trip():
    settings = build({"scales": "64:3,128:4", "first_step": "torch", "style_layers": "conv_1=0.5"})
    assert build(yaml.safe_load(dump_yaml(settings))) == settings


def test_later_wins():
    preset = {"scales": "512:500,800:200", "style_weight": 5}
    assert build(merge(preset, {"style_weight": 6})).style_weight == 6
    assert passes(merge(preset, {"size": 256})) == [(256, 700)]
    assert passes(merge(preset, {"steps": 9})) == [(800, 9)]
    assert passes(merge(preset, {"scales": "2"})) == [(400, 500), (800, 200)]
    assert passes(merge({"size": 99, "scales": 2}, {"steps": 9})) == [(50, 6), (99, 3)]
    assert build(merge({"steps": 9}, preset)).total_steps == 700


def test_every_knob_is_documented():
    for name, field in {**type(build({})).model_fields}.items():
        assert field.description, name


@pytest.mark.parametrize("size", [512, "original"])
def test_more_scales_than_make_sense_are_refused_at_once(size: int | str):
    with pytest.raises(UserError, match="scales should be at most 17, not 9000000"):
        build({"scales": 9_000_000, "steps": 10_000_000, "size": size})


def test_a_number_of_scales_is_in_plain_digits():
    with pytest.raises(UserError, match="size should be"):
        build({"scales": "²"})
