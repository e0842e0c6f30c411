"""What is and what is not part of a result's identity."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from nst_lightning.settings import WRITTEN, TransferSettings, build
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
    "init": "noise",
    "noise_std": 0.1,
    "seed": 1,
    "optimizer": "adam",
    "learning_rate": 0.5,
    "average": 0.9,
    "lbfgs_memory": 3,
    "first_step": "torch",
    "longest_step": 0.5,
    "bounds": False,
    "precision": "bf16-mixed",
}


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_that_affects_pixels_counts(name: str):
    assert of(**{name: OTHER[name]}) != of()


def test_no_pixel_setting_is_forgotten():
    # Some count where they matter only: see below.
    rest = {"weights", "color_variant", "adam_beta2"}
    assert set(TransferSettings.model_fields) - set(OTHER) == rest


def test_inputs_and_weights_count():
    assert len({of(), of(weights="v"), of(content="d"), of(style="t")}) == 4
    assert of(content="a", style="b") != of(content="b", style="a")


def test_what_does_not_affect_pixels_does_not_count():
    assert of(batch_size=4, save_every=2, accelerator="cpu", recursive=True) == of()
    assert of(weights="w") == fingerprint(build({"weights": "/elsewhere.pth"}), "w", "c", "s")


def test_other_spellings_of_the_same_thing_do_not_count():
    assert of(style_layers="conv_4") == of(style_layers={"conv2_2": 1.0})
    assert of(learning_rate=1.0) == of()
    assert of(size=100, steps=5) == of(scales=[{"size": 100, "steps": 5}])


def test_a_start_picture_counts_by_its_bytes(tmp_path: Path):
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
    neutral = {"format": "png", "quality": 50, "bit_depth": 8, "dither": False}
    assert of(**neutral, keep_exif=False, finish="none") == of()
    assert pixel_settings(build({})).keys().isdisjoint(WRITTEN)  # as results of before there was it
    others = [
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


def test_results_of_before_a_setting_came_keep_their_identity():
    """As long as ALGORITHM stays what it is."""
    assert ALGORITHM == 3
    assert of().startswith("e6e744220ef4f4e1")
    assert of(optimizer="adam", preserve_color="match-linear").startswith("ac49cdbfa0fceecc")
