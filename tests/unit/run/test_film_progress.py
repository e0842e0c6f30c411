"""Films in progress, from the folders of their frames."""

import os
import shutil
from pathlib import Path

import pytest

from nst_lightning.layout import FLOWS, FRAMES, STATE
from nst_lightning.run import film_progress
from nst_lightning.run.film_progress import films_in_progress, frames_made, tidy_films, write_note


def begin(out: Path, name: str, output: str, frames: int, **made: range) -> Path:
    """A folder of frames; of each segment, `s` and its first frame, those that are made."""
    folder = out / FRAMES / name
    for segment, numbers in made.items():
        (folder / segment.lstrip("s")).mkdir(parents=True)
        for number in numbers:
            (folder / segment.lstrip("s") / f"{number:06d}.png").touch()
    write_note(folder, output, frames)
    return folder


def test_frames_count_where_they_are_shown(tmp_path: Path):
    made = {"s000000": range(3), "s000010": range(4, 12), "srough-000000": range(9)}
    folder = begin(tmp_path, "a", "c/s.mp4", 20, **made)
    assert frames_made(folder) == 3 + 2
    assert films_in_progress(tmp_path) == {"c/s.mp4": (5, 20)}


def test_the_film_that_was_begun_last_counts(tmp_path: Path):
    old = begin(tmp_path, "b", "c/s.mp4", 20, s000000=range(7))
    begin(tmp_path, "a", "c/s.mp4", 20, s000000=range(2))
    os.utime(old / "film.json", (1, 1))
    begin(tmp_path, "c", "c/t.mp4", 20)
    assert films_in_progress(tmp_path) == {"c/s.mp4": (2, 20), "c/t.mp4": (0, 20)}


def test_a_film_that_is_finished_meanwhile_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gone = begin(tmp_path, "a", "c/s.mp4", 20, s000000=range(3))
    begin(tmp_path, "b", "c/t.mp4", 20, s000000=range(3))

    def finish_first(folder: Path) -> int:
        shutil.rmtree(gone, ignore_errors=True)
        return frames_made(folder)

    monkeypatch.setattr(film_progress, "frames_made", finish_first)
    assert films_in_progress(tmp_path) == {"c/t.mp4": (3, 20)}


def test_a_note_that_cannot_be_read_is_none(tmp_path: Path):
    folder = begin(tmp_path, "a", "c/s.mp4", 20)
    for text in ("{", '{"output": "c/s.mp4", "frames": 0}', ""):
        (folder / "film.json").write_text(text)
        assert films_in_progress(tmp_path) == {}
    assert films_in_progress(tmp_path / "nowhere") == {}


@pytest.mark.parametrize("done", [{"c/s.mp4"}, {"c/s.mp4", "c/t.mp4"}])
def test_frames_go_with_their_film_and_flows_with_the_last(tmp_path: Path, done: set[str]):
    begin(tmp_path, "a", "c/s.mp4", 20, s000000=range(2))
    begin(tmp_path, "b", "c/t.mp4", 20, s000000=range(2))
    (tmp_path / FLOWS).mkdir()
    tidy_films(tmp_path, done.__contains__)
    left = {"c/s.mp4", "c/t.mp4"} - done
    assert set(films_in_progress(tmp_path)) == left
    assert (tmp_path / FLOWS).exists() == bool(left)
    assert (tmp_path / STATE).exists() == bool(left)
