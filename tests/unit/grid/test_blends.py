"""Blends of styles: shares, names, identity."""

from pathlib import Path
from typing import Any

import pytest

from nst_lightning.errors import UserError
from nst_lightning.grid.blends import (
    blend_source,
    blended_columns,
    parse_blend,
    shares,
)
from nst_lightning.grid.pairs import look_up
from nst_lightning.grid.sources import Source
from nst_lightning.layout import LONGEST_NAME
from nst_lightning.store.fingerprint import style_sha256


def style(name: str, **facts: Any) -> Source:
    return Source(Path("s") / f"{name}.jpg", name, (30, 40), **facts)


A, B, C = style("a"), style("b"), style("c")


def sha(path: Path) -> str:
    return f"sha of {path}"


def identity(*styles: tuple[Source, float]) -> str:
    weights = shares([weight for _, weight in styles], "x")
    pairs = [(source, share) for (source, _), share in zip(styles, weights, strict=True)]
    return style_sha256(blend_source("x", Path("x.png"), pairs), sha)


@pytest.mark.parametrize(
    ("text", "path", "share"),
    [
        ("a.jpg", "a.jpg", 1.0),
        ("a.jpg=0.7", "a.jpg", 0.7),
        ("a=1.jpg", "a=1.jpg", 1.0),
        ("d=2/a=1.jpg=3", "d=2/a=1.jpg", 3.0),
        ("a b.jpg=0", "a b.jpg", 0.0),
        ("0.5", "0.5", 1.0),
    ],
)
def test_the_last_equals_sign_counts(text: str, path: str, share: float):
    assert parse_blend(text) == (Path(path), share)


@pytest.mark.parametrize("share", ["-1", "nan", "inf", "-inf"])
def test_shares_that_are_none(share: str):
    with pytest.raises(UserError, match=f"should be 0 or more, not {share}"):
        parse_blend(f"a.jpg={share}")


def test_shares_have_a_sum_of_1():
    assert shares([2, 2], "x") == [0.5, 0.5]
    assert shares([0.6, 0.3, 0.1], "x") == shares([6, 3, 1], "x") == [0.6, 0.3, 0.1]
    assert shares([1e308, 1e308], "x") == shares([5e-324, 5e-324], "x") == [0.5, 0.5]
    with pytest.raises(UserError, match="x: all shares are 0"):
        shares([0, 0], "x")


def test_a_blend_is_its_styles_and_their_shares():
    assert identity((A, 2), (B, 2)) == identity((A, 1), (B, 1)) != identity((A, 1), (B, 2))
    assert identity((A, 1), (B, 0)) == identity((A, 1)) == style_sha256(A, sha)
    assert identity((A, 1), (B, 2), (A, 1)) == identity((A, 1), (B, 1))
    assert identity((A, 1), (A, 3)) == style_sha256(A, sha)
    assert identity((A, 1), (B, 1)) != identity((A, 1), (C, 1))


def test_a_broken_style_breaks_its_blends():
    broken = style("broken", problem="it is broken")
    made = blended_columns("pairs", [A, broken, B], Path("out"))
    assert [source.problem for source in made] == ["it is broken", "", "it is broken"]


def test_pairs(tmp_path: Path):
    made = blended_columns("pairs", [A, B, style("d/c")], tmp_path)
    assert [source.name for source in made] == ["a+b", "a+d-c", "b+d-c"]
    assert made[1].path == tmp_path / "blends" / "a+d-c.png"
    assert [(part.path, part.share) for part in made[0].parts] == [(A.path, 0.5), (B.path, 0.5)]
    with pytest.raises(UserError, match="only one style"):
        blended_columns("pairs", [A], tmp_path)
    with pytest.raises(UserError, match=r"two blends are called 'a\+d-c'"):
        blended_columns("pairs", [A, style("d/c"), style("d-c")], tmp_path)


def test_long_names_of_pairs_are_shortened(tmp_path: Path):
    made = blended_columns(
        "pairs", [style("a" * 200), style("b" * 200), style("c" * 200)], tmp_path
    )
    assert all(len(source.name) == len(source.path.stem) <= LONGEST_NAME for source in made)
    assert len({source.name for source in made}) == 3


def from_file(tmp_path: Path, text: str) -> list[Source]:
    file = tmp_path / "blends.yaml"
    file.write_text(text)
    return blended_columns(str(file), [A, B, C], tmp_path / "out")


def test_blends_of_a_file(tmp_path: Path):
    made = from_file(tmp_path, "dusk: {a: 7, b.jpg: 3}\n1: {c: 1, a: 0}\n")
    assert [source.name for source in made] == ["dusk", "1"]
    assert [(part.path, part.share) for part in made[0].parts] == [(A.path, 0.7), (B.path, 0.3)]
    assert (made[1].path, made[1].blend) == (C.path, ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no blend"),
        ("dusk: 3", "dusk should map styles to shares"),
        ("dusk: [a, b]", "dusk should map styles to shares"),
        ("dusk: {}", "dusk should map styles to shares"),
        ("dusk: {a: 0, b: 0}", "dusk: all shares are 0"),
        ("dusk: {a: -1, b: 2}", "the share of a in dusk should be a number from 0 on, not -1"),
        ("dusk: {a: .inf}", "not inf"),
        ("dusk: {a: .nan}", "not nan"),
        ("dusk: {a: yes}", "not True"),
        ("dusk: {a: much}", "not 'much'"),
        ("dusk: {aa: 1}", "no image 'aa'"),
        ("dusk: {a: 1}\nDusk: {b: 1}", "two blends are called"),
        ("..: {a: 1}", "cannot be called"),
        ("'': {a: 1}", "cannot be called ''"),
        ("dusk.png: {a: 1}", "cannot be called 'dusk.png'"),
        ("'a\\nb': {a: 1}\n\"a\\nb\": {a: 1}", "cannot be called"),
        (f"{'x' * (LONGEST_NAME + 1)}: {{a: 1}}", "cannot be called 'xxx"),
        ("{", "is not valid YAML"),
    ],
)
def test_files_that_say_something_else(tmp_path: Path, text: str, sentence: str):
    with pytest.raises(UserError) as caught:
        from_file(tmp_path, text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_neither_pairs_nor_a_file():
    with pytest.raises(UserError, match="should be pairs or a YAML file, not 'triples'"):
        blended_columns("triples", [A, B], Path("out"))


def test_a_name_that_may_mean_several():
    x, y = (Source(Path(f"s/{d}/a.jpg"), f"{d}/a", (30, 40)) for d in "xy")
    assert look_up("x/a.jpg", [x, y], Path("t")) == look_up("x/a", [x, y], Path("t")) == x
    assert look_up("a.jpg", [y, B], Path("t")) == y
    with pytest.raises(UserError, match=r"t: 'a\.jpg' may mean any of x/a, y/a"):
        look_up("a.jpg", [x, y], Path("t"))
