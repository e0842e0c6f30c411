"""The names of an output folder, and names that are made from inputs."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from nst_lightning.cli.app import app
from nst_lightning.layout import (
    LONGEST_NAME,
    curves_name,
    figure_name,
    film_name,
    image_before,
    image_of,
    is_extra,
    is_kept_frame,
    is_report,
    safe_name,
    sheet_name,
    sheet_page,
    snapshot_name,
)

# As a file system gives them out: bytes that are no UTF-8 are lone surrogates.
FILE_NAMES = st.binary(min_size=1, max_size=300).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)


@given(st.text() | FILE_NAMES | st.text(max_size=300, alphabet="é漢.a"))
@example("")
@example("..")
@example("\ud800")
def test_a_safe_name_is_a_visible_file_name_for_any_text(text: str) -> None:
    name = safe_name(text)
    assert name not in ("", ".", "..")
    assert not name.startswith(".")
    assert not set(name) & {"/", *map(chr, range(32)), *map(chr, range(127, 160))}
    assert len(name.encode()) <= LONGEST_NAME
    assert safe_name(name) == name == safe_name(text)


@given(st.text(), st.text())
def test_safe_names_of_different_texts_differ(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


@pytest.mark.parametrize(
    "name", ["cat", "a b.c", "ü" * 122, "x" * LONGEST_NAME, "-", "$HOME", "con."]
)
def test_what_is_a_safe_name_already_stays(name: str) -> None:
    assert safe_name(name) == name


def test_a_name_that_is_not_utf_8_becomes_one_that_is() -> None:
    assert safe_name("caf\udce9").startswith("caf--")
    assert safe_name("caf\udce9") != safe_name("caf\udcea")


def test_shortened_names_differ_and_keep_their_beginning() -> None:
    one, other = safe_name("漢" * 100 + "a"), safe_name("漢" * 100 + "b")
    assert one != other
    assert one.startswith("漢" * 70)
    assert safe_name(".nst").startswith("nst-")
    assert safe_name("..").startswith("unnamed-")


@pytest.mark.parametrize("of", ["", "cat", "deep/cat", "x" * LONGEST_NAME, "x" * 500])
def test_reports_are_known_by_their_names(of: str) -> None:
    for name in (figure_name(of), curves_name(of)):
        assert is_report(name)
        assert "/" not in name
        assert len(name.encode()) <= 255
    assert curves_name("deep/cat") == "curves-deep-cat.png"


def test_pages_of_the_contact_sheet_are_counted_from_one() -> None:
    assert [sheet_name(page) for page in (1, 2, 12)] == ["grid.png", "grid-2.png", "grid-12.png"]
    assert [sheet_page(sheet_name(page)) for page in (1, 2, 12)] == [1, 2, 12]
    for other in ("grid-0.png", "grid-02.png", "grid-x.png", "my grid.png", "figure.png"):
        assert sheet_page(other) is None


def test_what_belongs_to_one_result_is_known_by_its_name() -> None:
    names = [snapshot_name(7), snapshot_name(12345), *map(film_name, ("gif", "mp4", "webp"))]
    assert names[:2] == ["step-0007.png", "step-12345.png"]
    names += ["metrics.csv", "hparams.yaml", "events.out.tfevents.1760000000.node-1.42.0"]
    for name in (*names, "history.csv", "curves.png", "last-good.png"):
        assert is_extra(name)
    for other in (
        "events.out",
        "step-7.png",
        "step-x.png",
        "progress.avi",
        "notes.txt",
        ".step-0001.png",
    ):
        assert not is_extra(other)


def test_the_file_that_run_writes_by_default_is_no_hidden_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("...png", "s.png"):
        Image.new("RGB", (8, 8)).save(name, "PNG")
    planned = CliRunner().invoke(app, ["run", "...png", "s.png", "--dry-run", "--json"])
    (output,) = json.loads(planned.stdout)["outputs"]
    assert output.startswith("s-")
    assert output.endswith(".png")


def test_films_and_meshes_are_shown_by_images_beside_them() -> None:
    film, mesh, image = (Path(f"a/b.c.{suffix}") for suffix in ("mp4", "glb", "png"))
    assert (image_of(film), image_before(film)) == (
        Path("a/b.c/stills.png"),
        Path("a/b.c/stills-before.png"),
    )
    assert (image_of(mesh), image_before(mesh)) == (
        Path("a/b.c/sides.png"),
        Path("a/b.c/sides-before.png"),
    )
    assert (image_of(image), image_before(image)) == (image, None)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("frames/000001.png", True),
        ("frames/1000000.png", True),
        ("frames/1.png", False),
        ("frames/000001.jpg", False),
        ("frame/000001.png", False),
        ("frames/more/000001.png", False),
    ],
)
def test_kept_frames_are_told_by_their_names(name: str, kept: bool) -> None:
    assert is_kept_frame(Path("a/b", name)) == kept
