"""What is and what is not part of a result's identity."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import pytest

from nst_lightning.settings import (
    BatchSettings,
    Knob,
    Scale,
    TransferSettings,
    build,
    knob_of,
)
from nst_lightning.store.fingerprint import (
    ALGORITHM,
    Fingerprints,
    fingerprint,
    pair_seed,
    pixel_settings,
)


def of(weights: str = "w", content: str = "c", style: str = "s", **settings: Any) -> str:
    return fingerprint(build(settings), weights, content, style)


OTHER: dict[str, Any] = {
    "network": "vgg16",
    "pooling": "avg",
    "padding": "reflect",
    "content_layers": "relu3_1",
    "content_loss": "paper",
    "content_weight": 2,
    "style_layers": "relu1_1",
    "gram": "paper",
    "style_loss": "wasserstein",
    "style_weight": 3,
    "weighting": "energy",
    "normalize_gradients": True,
    "tv": "anisotropic",
    "tv_weight": 4,
    "tv_reduction": "sum",
    "pixel_range": 255,
    "scales": "100:5",
    "stop_below": 0.01,
    "style_size": 77,
    "style_scale": "0.5,1",
    "style_fit": "content",
    "preserve_color": "luminance",
    "upscale": True,
    "style_upscale": False,
    "resampling": "bilinear",
    "init": "noise",
    "noise_std": 0.1,
    "seed": 1,
    "optimizer": "adam",
    "learning_rate": 0.5,
    "average": 0.9,
    "lbfgs_memory": 3,
    "lbfgs_precision": "bfloat16",
    "first_step": "torch",
    "later_first_step": "same",
    "longest_step": 0.5,
    "bounds": False,
    "precision": "bf16-mixed",
    "views": 5,
    "view_sets": 2,
    "texture_size": 256,
    "temporal_weight": 10,
    "frame_steps": 7,
    "segment": 50,
}


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_that_affects_pixels_counts(name: str):
    assert of(**{name: OTHER[name]}) != of()


def test_no_pixel_setting_is_forgotten():
    # Some count where they matter only: see below.
    rest = {"weights", "weights_input", "color_variant", "adam_beta2"}
    assert set(TransferSettings.model_fields) - set(OTHER) == rest


def test_the_first_step_of_later_scales_counts_where_there_are_some():
    once = {"scales": "100:5"}
    assert of(**once, later_first_step="same") == of(**once)
    adam = {"scales": "64:5,128:5", "optimizer": "adam"}
    assert of(**adam, later_first_step="same") == of(**adam)


def test_inputs_and_weights_count():
    assert len({of(), of(weights="v"), of(content="d"), of(style="t")}) == 4
    assert of(content="a", style="b") != of(content="b", style="a")


def test_what_does_not_affect_pixels_does_not_count():
    assert of(batch_size=4, save_every=2, accelerator="cpu", recursive=True) == of()
    elsewhere = build({"weights": "/elsewhere.pth", "weights_input": "caffe-rgb"})
    assert of(weights="w") == fingerprint(elsewhere, "w", "c", "s")


def test_other_spellings_of_the_same_thing_do_not_count():
    assert of(style_layers="conv_4") == of(style_layers={"conv2_2": 1.0})
    assert of(learning_rate=1.0) == of()
    assert of(size=100, steps=5) == of(scales=[{"size": 100, "steps": 5}])


def test_a_start_image_counts_by_its_bytes(tmp_path: Path):
    a, b, c = (tmp_path / name for name in "abc")
    a.write_bytes(b"1")
    b.write_bytes(b"1")
    c.write_bytes(b"2")
    assert of(init=str(a)) == of(init=str(b)) != of(init=str(c))


def test_seed_of_the_noise():
    seeds = {pair_seed(0, "a", "b"), pair_seed(1, "a", "b"), pair_seed(0, "b", "a")}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_many_fingerprints_are_those_of_one_by_one():
    settings = build({"init": "noise", "size": 64})
    made = Fingerprints(settings, 'a"b')
    for content, style in (("1" * 64, "2" * 64), ("2" * 64, "1" * 64)):
        identity = {
            "algorithm": ALGORITHM,
            "settings": pixel_settings(settings),
            "weights": 'a"b',
            "content": content,
            "style": style,
        }
        for masks in ({}, {"masks": "3" * 64}):
            text = json.dumps(identity | masks, sort_keys=True)
            expected = hashlib.sha256(text.encode()).hexdigest()
            assert made.of(content, style, *masks.values()) == expected


def test_how_a_result_is_written_counts_where_it_changes_the_file():
    neutral: dict[str, Any] = {"format": "png", "quality": 50, "bit_depth": 8, "dither": False}
    assert of(**neutral, keep_exif=False, finish="none") == of()
    others: list[dict[str, Any]] = [
        {"format": "jpeg"}, {"format": "jpeg", "quality": 50}, {"format": "webp"},
        {"format": "tiff"}, {"bit_depth": 16}, {"format": "tiff", "bit_depth": 16},
        {"dither": True}, {"keep_exif": True}, {"finish": "detail"},
    ]  # fmt: skip
    assert len({of(), *(of(**other) for other in others)}) == 1 + len(others)
    assert of(format="jpeg") == of(format="jpeg", quality=95)
    assert of(format="tiff") == of(format="tiff", quality=50)
    assert of(size="original") == of(size="100%") != of(size="99%")


def test_how_colours_are_kept_counts_where_they_are():
    assert of() == of(preserve_color="none", color_variant="pca")
    assert (
        of()
        != of(preserve_color="luminance")
        == of(preserve_color="luminance", color_variant="pca")
    )
    linear = {of(preserve_color="match-linear", color_variant=v) for v in ("pca", "symmetric")}
    assert len({*linear, of(preserve_color="match-histogram")}) == 3


def test_what_only_another_setting_makes_count():
    assert of(adam_beta2=0.9) == of() != of(optimizer="adam")
    assert of(optimizer="adam", adam_beta2=0.9) != of(optimizer="adam")
    assert of(style_loss="wasserstein", gram="paper") == of(style_loss="wasserstein")


NEUTRAL: dict[str, Any] = {
    "network": "vgg19",
    "weights": "normalized",
    "weights_input": "auto",
    "pooling": "max",
    "padding": "zero",
    "content_layers": {"relu4_2": 1.0},
    "content_loss": "mse",
    "content_weight": 1.0,
    "style_layers": {
        "relu1_1": 1.0, "relu2_1": 0.25, "relu3_1": 0.0625, "relu4_1": 0.015625,
        "relu5_1": 0.015625,
    },
    "style_loss": "gram",
    "gram": "positions",
    "style_weight": 80.0,
    "weighting": "absolute",
    "normalize_gradients": False,
    "tv": "squared",
    "tv_weight": 0.0,
    "tv_reduction": "mean",
    "pixel_range": 1,
    "scales": [{}],
    "style_size": None,
    "style_scale": [1.0],
    "style_fit": "keep",
    "preserve_color": "none",
    "color_variant": "symmetric",
    "upscale": False,
    "style_upscale": False,
    "resampling": "bicubic",
    "init": "content",
    "noise_std": 0.25,
    "seed": 0,
    "optimizer": "lbfgs",
    "learning_rate": 1.0,
    "adam_beta2": 0.999,
    "average": 0.0,
    "lbfgs_memory": 10,
    "lbfgs_precision": "full",
    "first_step": 0.02,
    "later_first_step": "same",
    "longest_step": 0.05,
    "stop_below": None,
    "bounds": True,
    "precision": "32-true",
    "views": 24,
    "view_sets": 1,
    "texture_size": None,
    "temporal_weight": 1000.0,
    "frame_steps": 50,
    "segment": 240,
    "container": "mp4",
    "codec": "auto",
    "film_quality": 90,
    "frame_rate": 25.0,
    "format": "png",
    "quality": 95,
    "bit_depth": 8,
    "dither": False,
    "keep_exif": False,
    "finish": "none",
}  # fmt: skip
"""These stay for ever: a new setting is added with its own, and none is changed. Where a default
changes, its neutral value does not."""

NEUTRAL_SCALE = {"size": 512, "steps": 300, "content_weight": 1.0}


def test_neutral_values_are_for_ever():
    knobs = {name: knob_of(field) for name, field in BatchSettings.model_fields.items()}
    counting = {name: knob.neutral for name, knob in knobs.items() if knob.touches != "running"}
    assert counting == NEUTRAL
    scale = {name: knob_of(field).neutral for name, field in Scale.model_fields.items()}
    assert scale == NEUTRAL_SCALE


def test_neutral_settings_are_left_out_all_of_them():
    neutral = {k: v for k, v in NEUTRAL.items() if k not in ("scales", "weights")}
    assert pixel_settings(build({**neutral, "scales": [NEUTRAL_SCALE]})) == {}
    assert pixel_settings(build({**neutral, "scales": "512:300,64:300"})) == {
        "scales": [{}, {"size": 64}]
    }


def test_a_fingerprint_of_neutral_settings_stays():
    """As long as ALGORITHM stays what it is."""
    assert ALGORITHM == 5
    neutral = build({"scales": "512:300", "precision": "32-true", "style_upscale": False})
    assert pixel_settings(neutral) == {}
    identity = '{"algorithm": 5, "content": "c", "settings": {}, "style": "s", "weights": "w"}'
    assert fingerprint(neutral, "w", "c", "s") == hashlib.sha256(identity.encode()).hexdigest()


class Later(BatchSettings):
    """A later version, with another default, and settings that there were not before."""

    tv_weight: Annotated[float, Knob("pixels", "Losses", 0.0)] = 3.0
    sparkle: Annotated[float, Knob("pixels", "Losses", 0.0)] = 0.0
    glitter: Annotated[float, Knob("writing", "Output", 0.0)] = 1.0


def test_a_new_setting_leaves_fingerprints_as_they_are():
    before = fingerprint(build({"tv_weight": 2.0}), "w", "c", "s")
    same = Later(tv_weight=2.0, glitter=0.0)
    assert fingerprint(same, "w", "c", "s") == before
    # Where its default is not neutral, it counts.
    assert fingerprint(Later(tv_weight=2.0), "w", "c", "s") != before
    assert fingerprint(Later(tv_weight=2.0, glitter=0.0, sparkle=1.0), "w", "c", "s") != before


def test_a_new_default_changes_not_what_is_left_out():
    old, new = build({}), Later(glitter=0.0)
    assert fingerprint(new, "w", "c", "s") != fingerprint(old, "w", "c", "s")
    for weight in (0.0, 3.0):  # one is the default before, the other is it now
        asked = Later(glitter=0.0, tv_weight=weight)
        expected = fingerprint(build({"tv_weight": weight}), "w", "c", "s")
        assert fingerprint(asked, "w", "c", "s") == expected


def test_a_start_image_that_is_gone_is_told_by_its_name(tmp_path: Path):
    gone = str(tmp_path / "gone.png")
    assert pixel_settings(build({"init": gone}))["init"] == gone
