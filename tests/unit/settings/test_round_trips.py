"""What holds for settings and sizes of every shape."""

import math
from typing import Any, get_args

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from nst_lightning.settings import BatchSettings, build, dump_yaml
from nst_lightning.settings.layers import layer_sequence
from nst_lightning.settings.sizes import SMALLEST_START, ShorterSide, fit
from nst_lightning.store.fingerprint import Fingerprints, pixel_settings

weights = st.floats(0, 1e9)
positive = st.floats(1e-12, 1e9)
names = [name for name in layer_sequence("vgg16") if not name.startswith("conv")]
names += [f"conv_{k}" for k in range(1, 14)]
layers = st.dictionaries(st.sampled_from(names), positive, min_size=1, max_size=4)
sizes = st.one_of(
    st.integers(1, 100_000),
    st.tuples(st.integers(1, 9999), st.integers(1, 9999)).map(lambda s: f"{s[0]}x{s[1]}"),
    st.integers(1, 100).map(lambda share: f"{share}%"),
    st.just("original"),
)
scale_lists = st.lists(
    st.fixed_dictionaries(
        {"size": sizes, "steps": st.integers(1, 10_000_000)}, optional={"content_weight": weights}
    ),
    min_size=1,
    max_size=4,
)
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "content_layers": layers,
    "style_layers": layers,
    "scales": scale_lists,
    "style_loss": st.sampled_from(["gram", "mean-variance", "wasserstein", "sliced-wasserstein"]),
    "content_weight": weights,
    "style_weight": weights,
    "tv_weight": weights,
    "style_scale": st.lists(positive, min_size=1, max_size=4),
    "init": st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs", "Cc"])),
    "noise_std": positive,
    "seed": st.integers(0, 2**63 - 1),
    "learning_rate": st.none() | positive,
    "adam_beta2": st.floats(0, 1, exclude_max=True),
    "first_step": st.just("torch") | positive,
    "longest_step": st.none() | positive,
    "stop_below": st.none() | positive,
    "devices": st.just("auto") | st.integers(1, 64) | st.lists(st.integers(0, 63), min_size=1),
    "batch_size": st.just("auto") | st.integers(1, 64),
    "checkpoint_every": weights,
    "save_at": st.lists(st.integers(1, 10_000), max_size=5),
    "quality": st.integers(1, 100),
}
SWITCHES = {
    name: st.booleans()
    for name, field in BatchSettings.model_fields.items()
    if field.annotation is bool and name != "split"  # which does not go with many others
}
CHOICES = {
    name: st.sampled_from(values)
    for name, field in BatchSettings.model_fields.items()
    if (values := get_args(field.annotation))
    and all(isinstance(value, (str, int)) for value in values)
    and name
    not in (
        "style_loss",
        "bit_depth",
        "finish",
        "container",
        "codec",
    )  # each needs others that go with it
}
CHOICES["precision"] = st.sampled_from(["auto", "32-true", "bf16-mixed", "64-true"])
some_settings = st.fixed_dictionaries({}, optional={**CHOICES, **SWITCHES, **OTHERS}).filter(
    lambda data: data.get("style_weight") != 0 or data.get("content_weight") != 0
)


@given(some_settings)
def test_settings_through_yaml_and_back(data: dict[str, Any]):
    settings = build(data)
    again = build(yaml.safe_load(dump_yaml(settings)))
    assert again == settings
    assert pixel_settings(again) == pixel_settings(settings)
    assert Fingerprints(again, "w").of("c", "s") == Fingerprints(settings, "w").of("c", "s")


sides = st.integers(1, 30_000)


@given(sides, sides, st.integers(1, 30_000), st.booleans())
@example(1, 30_000, 1, False)
def test_fit_to_a_longest_side(height: int, width: int, size: int, upscale: bool):
    found = fit(height, width, size, upscale)
    if size >= max(height, width) and not upscale:
        assert found == (height, width)
        return
    assert max(found) == size
    assert min(found) >= 1
    for side, own in zip(found, (height, width), strict=True):
        exact = own * size / max(height, width)
        assert side == 1 or abs(side - exact) <= 0.5 + 1e-9
    assert fit(*found, size, upscale) == found
    assert fit(width, height, size, upscale) == found[::-1]


@given(sides, sides, st.floats(1e-6, 1))
@example(384, 1, 0.5)
def test_fit_to_a_share(height: int, width: int, share: float):
    found = fit(height, width, share)
    own = max(height, width)
    assert max(found) <= own
    assert max(found) >= min(own, SMALLEST_START)
    if own * share >= SMALLEST_START:
        assert abs(max(found) - own * share) <= 0.5
    assert math.isclose(found[0] * width, found[1] * height, abs_tol=max(height, width))


@given(sides, sides, st.integers(1, 3000), st.booleans())
def test_fit_to_a_shorter_side(height: int, width: int, size: int, upscale: bool):
    found = fit(height, width, ShorterSide(size), upscale)
    if size > min(height, width) and not upscale:
        assert found == (height, width)
        return
    assert min(found) == size
    # torchvision.transforms.functional._compute_resized_output_size
    assert max(found) == int(size * max(height, width) / min(height, width))
    assert (found[0] <= found[1]) == (height <= width) or found[0] == found[1]


@given(sides, sides, sides, sides)
def test_fit_to_height_and_width(height: int, width: int, tall: int, wide: int):
    assert fit(height, width, (tall, wide)) == (tall, wide)
    assert fit(height, width, None) == (height, width)
