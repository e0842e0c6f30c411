"""No command follows a link out of an output folder: not to write, to pack or to remove."""

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from nst_lightning.cli.app import app
from nst_lightning.cli.folder import archive, clean
from nst_lightning.errors import OutputError, UserError
from nst_lightning.report.gallery import write_gallery
from nst_lightning.store.output import Finished
from tests.results_folder import change, make_grid

NAMES = ("x.jpg", "x.png", "step-0001.png", "history.csv", "index.html", "hashes.json")
QUICK = ("--weights", "random", "--size", "32", "--steps", "2", "--accelerator", "cpu", "--quiet")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of the user's, with files named like those of nst-batch."""
    folder = tmp_path / "elsewhere"
    (folder / "results").mkdir(parents=True)
    for place in (folder, folder / "results"):
        for name in NAMES:
            (place / name).write_text("the user's")
    return folder


@pytest.fixture
def untouched(elsewhere: Path) -> Callable[[], bool]:
    """Whether the user's folder is as it was."""

    def state() -> dict[str, str]:
        return {str(p): p.read_text() for p in elsewhere.rglob("*") if p.is_file()}

    before = state()
    return lambda: state() == before


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output folder with one result, which failed."""
    folder = make_grid(tmp_path, ["a"], ["s0"])
    change(folder, "a/s0.png", status="failed", reason="r")
    return folder


@pytest.fixture
def grid(tmp_path: Path) -> list[str]:
    """A grid of one pair, whose result is out/a/s0.png."""
    for side, name in (("contents", "a"), ("styles", "s0")):
        (tmp_path / side).mkdir()
        Image.effect_noise((32, 32), 60).convert("RGB").save(tmp_path / side / f"{name}.png")
    sides = [str(tmp_path / side) for side in ("contents", "styles")]
    return ["grid", *sides, "--out", str(tmp_path / "out"), *QUICK]


def link(path: Path, to: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to, target_is_directory=to.is_dir())


@pytest.mark.parametrize(
    "name", ["gallery", "a/s0", ".nst", ".nst/tasks", "blends", "b", "a/x.png"]
)
def test_clean_leaves_links_and_what_is_behind_them(
    out: Path,
    elsewhere: Path,
    untouched: Callable[[], bool],
    name: str,
    capsys: pytest.CaptureFixture[str],
):
    target = elsewhere / "x.png" if name.endswith(".png") else elsewhere
    link(out / name, target)
    clean(out, yes=True)
    assert untouched()
    assert (out / name).is_symlink()
    assert (
        f"links are not removed, nor what is behind them: {out / name}" in capsys.readouterr().out
    )
    assert not (out / "manifest.jsonl").exists()


def test_clean_of_a_folder_that_is_a_link_empties_the_folder(out: Path, tmp_path: Path):
    link(tmp_path / "alias", out)
    (out / "a" / "s0.png").unlink()
    clean(tmp_path / "alias", yes=True)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_archive_leaves_links_out(
    out: Path, elsewhere: Path, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    link(out / "page.html", elsewhere / "index.html")
    link(out / "a" / "more", elsewhere)
    file = tmp_path / f"packed.{suffix}"
    archive(out, file)
    if suffix == "zip":
        with zipfile.ZipFile(file) as pack:
            names = pack.namelist()
    else:
        with tarfile.open(file) as pack:
            names = pack.getnames()
    assert sorted(names) == ["out/SHA256SUMS", "out/a/s0.png", "out/manifest.jsonl"]
    said = f"links are not in the archive, nor what is behind them: {out / 'a/more'}, "
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gallery", "gallery/results", "gallery/thumbs"])
def test_the_gallery_is_not_written_through_links(
    tmp_path: Path, elsewhere: Path, untouched: Callable[[], bool], name: str
):
    out = make_grid(tmp_path, ["a"], ["s0"])
    link(out / name, elsewhere)
    with pytest.raises(UserError, match=f"{out / name}: is a link that leads out"):
        write_gallery(out)
    assert untouched()


def test_thumbnails_are_not_written_through_links(
    tmp_path: Path, elsewhere: Path, untouched: Callable[[], bool]
):
    out = make_grid(tmp_path, ["a"], ["s0"])
    link(out / "gallery" / "results" / "a", elsewhere)
    with pytest.raises(OSError, match="is a link that leads out"):
        write_gallery(out)
    assert untouched()


def test_links_that_stay_inside_are_written_through(tmp_path: Path):
    out = make_grid(tmp_path, ["a"], ["s0"])
    (out / "small").mkdir()
    link(out / "gallery", out / "small")
    link(tmp_path / "alias", out)
    write_gallery(tmp_path / "alias")
    assert (out / "small" / "results" / "a" / "s0.jpg").is_file()


@pytest.mark.parametrize(
    "name", ["a", "a/s0", ".nst", ".nst/tasks", ".nst/checkpoints", "manifest.jsonl", "blends"]
)
def test_a_grid_refuses_links_before_any_work(
    grid: list[str], tmp_path: Path, elsewhere: Path, untouched: Callable[[], bool], name: str
):
    file = name.endswith(".jsonl")
    link(tmp_path / "out" / name, elsewhere / "x.png" if file else elsewhere)
    ended = CliRunner().invoke(app, [*grid, "--save-every", "1", "--curves"])
    assert isinstance(ended.exception, UserError)
    assert ended.exception.exit_code == 2
    assert str(ended.exception).startswith(f"{tmp_path / 'out' / name}: is a link that leads out")
    assert untouched()


@pytest.mark.parametrize("name", ["a", "a/s0"])
def test_a_link_that_comes_later_ends_the_run(
    grid: list[str],
    tmp_path: Path,
    elsewhere: Path,
    untouched: Callable[[], bool],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
):
    def has(*_: object, **__: object) -> bool:
        link(tmp_path / "out" / name, elsewhere)
        return False

    monkeypatch.setattr(Finished, "has", has)
    ended = CliRunner().invoke(app, [*grid, "--save-every", "1"])
    assert isinstance(ended.exception, OutputError)
    assert "is a link that leads out" in str(ended.exception)
    assert untouched()


def test_a_study_draws_no_figure_through_a_link(
    grid: list[str], tmp_path: Path, elsewhere: Path, untouched: Callable[[], bool]
):
    out = tmp_path / "study"
    words = [
        "reconstruct",
        grid[1],
        "--layers",
        "conv_1",
        "--seeds",
        "1",
        "--out",
        str(out),
        *QUICK,
    ]
    assert CliRunner().invoke(app, words).exit_code == 0
    (out / "a").rename(tmp_path / "moved")
    link(out / "a", tmp_path / "moved")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "moved").rglob("*")}
    ended = CliRunner().invoke(app, words)
    assert isinstance(ended.exception, UserError)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "moved").rglob("*")} == before


def test_results_behind_a_link_still_count(grid: list[str], tmp_path: Path):
    assert CliRunner().invoke(app, grid).exit_code == 0
    (tmp_path / "out" / "a").rename(tmp_path / "moved")
    link(tmp_path / "out" / "a", tmp_path / "moved")
    assert CliRunner().invoke(app, grid).exit_code == 0


def test_a_link_to_nothing_is_no_result(grid: list[str], tmp_path: Path):
    result = tmp_path / "out" / "a" / "s0.png"
    assert CliRunner().invoke(app, grid).exit_code == 0
    result.unlink()
    link(result, tmp_path / "gone.png")
    assert CliRunner().invoke(app, grid).exit_code == 0
    assert not result.is_symlink()
    assert not (tmp_path / "gone.png").exists()
