"""Sweep files: axes multiplied into cases, each in a folder of its own."""

from pathlib import Path

import pytest

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source
from nst_lightning.layout import LONGEST_NAME
from nst_lightning.studies.single import make_cases
from nst_lightning.studies.sweep import (
    Sweep,
    add_pairs,
    dump_sweep,
    expand_axes,
    name_folders,
    read_sweep,
)


def sweep(tmp_path: Path, text: str) -> Sweep:
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    return read_sweep(file)


def test_values_labels_and_cases_are_multiplied(tmp_path: Path):
    read = sweep(
        tmp_path,
        "base: {size: 64}\n"
        "axes:\n"
        "  style_weight: [1, 1.0e+5]\n"
        "  layers: {low: {style_layers: conv_1}, high: {style_layers: [conv_5, conv_6]}}\n"
        "cases: {plain: {}, noise: {init: noise}}\n"
        "contents: photos\n",
    )
    assert read.contents == tmp_path / "photos"
    assert read.styles is None
    cases = expand_axes(read.axes, read.base, {"steps": 7})
    assert len(cases) == 8
    last = cases[-1]
    assert last.labels == {"style_weight": "100000", "layers": "high", "case": "noise"}
    assert (last.settings.style_weight, last.settings.init) == (1e5, "noise")
    assert list(last.settings.style_layers) == ["conv_5", "conv_6"]
    assert (last.settings.scales[0].size, last.settings.scales[0].steps) == (64, 7)
    assert name_folders(cases)[0] == "style_weight=1,layers=low,case=plain"


def test_an_axis_wins_over_what_is_beneath(tmp_path: Path):
    read = sweep(tmp_path, "base: {seed: 1}\naxes: {seed: [2, 3]}\n")
    assert [case.settings.seed for case in expand_axes(read.axes, read.base, {"seed": 9})] == [2, 3]


def test_a_size_in_a_case_keeps_the_steps(tmp_path: Path):
    read = sweep(tmp_path, "base: {scales: '224x224:90'}\ncases: {small: {size: 112x112}}\n")
    scale = expand_axes(read.axes, read.base)[0].settings.scales[0]
    assert (scale.size, scale.steps) == ("112x112", 90)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("axis: {seed: [1]}", "there is no 'axis'"),
        ("base: {seed: 1}", "neither axes nor cases"),
        ("axes: {sead: [1, 2]}", "'sead' should list values of a setting"),
        ("axes: {mine: {a: 3}}", "'a' of the axis 'mine' should hold settings"),
        ("axes: [seed]", "axes should hold"),
        ("cases: {}", "should list values"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, sentence: str):
    with pytest.raises(UserError, match=sentence):
        sweep(tmp_path, text)


def test_an_impossible_combination_is_named(tmp_path: Path):
    read = sweep(tmp_path, "axes: {steps: [5, 0]}")
    with pytest.raises(UserError, match="steps 0: steps should be"):
        expand_axes(read.axes)


def test_folders_are_distinct_and_fit_any_file_system():
    labels = ["a b", "a:b", "A/B", "x" * 300, "..", "größe 1×2", "漢字" * 55]
    names = name_folders(expand_axes({"case": {label: {} for label in labels}}))
    assert len({name.casefold() for name in names}) == len(labels)
    for name in names:
        assert len(name.encode()) <= LONGEST_NAME
        assert not name.startswith(".")
        assert not set(name) & set('/\\:*?"<>| ')


def test_what_was_dumped_reads_back_the_same(tmp_path: Path):
    read = sweep(tmp_path, "base: {size: 9}\naxes: {seed: [1, 2]}\ncases: {a: {init: noise}}\n")
    (tmp_path / "again.yaml").write_text(dump_sweep(read))
    assert expand_axes(read_sweep(tmp_path / "again.yaml").axes) == expand_axes(read.axes)


def test_every_pair_goes_into_the_folder_of_its_case():
    source = Source(Path("a.png"), "a", (4, 4))
    cases = add_pairs(
        expand_axes({"seed": {"1": {"seed": 1}, "2": {"seed": 2}}}),
        [Pair(source, source, "a/a.png")],
    )
    assert [case.pairs[0].output for case in cases] == [Path("1/a/a.png"), Path("2/a/a.png")]


def test_each_case_names_its_results_by_its_format():
    source = Source(Path("a.jpg"), "a.b", (8, 8))
    pairs = [Pair(source, source, "a.b/a.b.png")]
    axes = {"format": {"png": {"format": "png"}, "small": {"format": "jpeg"}}}
    found = [case.pairs[0].file for case in add_pairs(expand_axes(axes, {}), pairs)]
    assert found == ["png/a.b/a.b.png", "small/a.b/a.b.jpg"]
    both = make_cases(
        "texture", {"layers": {"l": {}}, "seed": {"3": {}}}, {"format": "tiff"}, [source]
    )
    assert [case.pairs[0].file for case in both] == ["a.b/l/seed-3.tif"]


def test_cases_are_counted_before_they_are_listed():
    axes = {name: {str(k): {name: k} for k in range(1, 102)} for name in ("seed", "steps", "size")}
    with pytest.raises(UserError, match="make 1030301 cases, more than 1000000"):
        expand_axes(axes)


@pytest.mark.parametrize("key", ["preset", "contents", "styles"])
@pytest.mark.parametrize("value", ["[a]", "{a: b}", "2024"])
def test_what_is_no_name_is_said(tmp_path: Path, key: str, value: str):
    with pytest.raises(UserError, match=f"{key} should be one name, in quotes"):
        sweep(tmp_path, f"axes: {{seed: [1]}}\n{key}: {value}\n")


def test_nobodys_folder_is_said(tmp_path: Path):
    with pytest.raises(UserError, match="'~nobody-at-all/x' is in the folder of nobody"):
        sweep(tmp_path, "axes: {seed: [1]}\ncontents: ~nobody-at-all/x\n")


def test_layers_of_an_axis_may_weigh_anything_until_they_are_checked(tmp_path: Path):
    read = sweep(tmp_path, "axes: {style_layers: [{conv_1: x}, {conv_1: [2]}]}\n")
    assert list(read.axes["style_layers"]) == ["conv_1=x", "conv_1=2"]
