"""What stands in an output folder and what a run may do to it."""

import warnings
from pathlib import Path

import pytest
import torch

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Grid
from nst_lightning.grid.sources import Source
from nst_lightning.imaging.metadata import Metadata
from nst_lightning.imaging.writing import write_image
from nst_lightning.settings import BatchSettings, build
from nst_lightning.store.job import Job
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.output import (
    RECORD_KEY,
    Finished,
    changed_settings,
    check_folder,
    check_settings,
    read_settings,
    write_settings,
)
from nst_lightning.store.records import Record

SETTINGS = build({"size": 32})


def job(fingerprint: str = "new") -> Job:
    (pair,) = Grid([Source(Path("c.png"), "c", (8, 8))], [Source(Path("s.png"), "s", (8, 8))])
    return Job(pair, "content", "style", fingerprint)


def has(out: Path, ledger: Ledger, **options: bool) -> bool:
    """Whether a new run finds the image of `job` finished."""
    return Finished(out, ledger).has(job(), SETTINGS, **{"overwrite": False, **options})


def put(out: Path, fingerprint: str, ledger: Ledger | None) -> None:
    """A finished image of `job`, as the worker leaves it."""
    path = out / job().pair.output
    record = Record(output="c/s.png", fingerprint=fingerprint, status="done")
    text = {RECORD_KEY: record.text()}
    write_image(path, torch.zeros(3, 8, 8, dtype=torch.uint8), None, Metadata(text))
    if ledger:
        ledger.append(record.with_facts(bytes=path.stat().st_size))


def test_what_is_done_is_what_has_the_fingerprint(tmp_path: Path):
    ledger = Ledger(tmp_path)
    assert not has(tmp_path, ledger)
    put(tmp_path, "new", ledger)
    assert has(tmp_path, ledger)
    put(tmp_path, "old", ledger)
    with pytest.raises(UserError, match="--overwrite"):
        has(tmp_path, ledger)
    assert not has(tmp_path, ledger, overwrite=True)


def test_a_image_without_its_line_is_entered(tmp_path: Path):
    put(tmp_path, "new", None)
    ledger = Ledger(tmp_path)
    assert has(tmp_path, ledger)
    entered = ledger.read()["c/s.png"]
    assert entered.fingerprint == "new"
    assert entered.bytes == (tmp_path / "c/s.png").stat().st_size


def test_a_line_does_not_vouch_for_another_file(tmp_path: Path):
    ledger = Ledger(tmp_path)
    put(tmp_path, "new", ledger)
    (tmp_path / "c/s.png").write_bytes(b"somebody else's")
    with pytest.raises(UserError, match="not made by nst-batch"):
        has(tmp_path, ledger)


def test_a_refusal_names_how_the_image_was_written(tmp_path: Path):
    before, now = build({"size": 32, "bit_depth": 16, "keep_exif": True}), SETTINGS
    path = tmp_path / job().pair.output
    asked = before.model_dump(mode="json")
    record = Record(output="c/s.png", fingerprint="old", settings=asked)
    write_image(path, torch.zeros(3, 8, 8), None, Metadata({RECORD_KEY: record.text()}))
    with pytest.raises(UserError, match="bit_depth 16 instead of 8; keep_exif True instead of Fal"):
        Finished(tmp_path, None).has(job(), now, overwrite=False)


def test_settings_that_count_are_told_as_they_were_typed(tmp_path: Path):
    start = tmp_path / "start.png"
    start.write_bytes(b"1")
    before = build({"size": 32, "style_layers": "conv_4", "optimizer": "adam"})
    assert changed_settings(before, build({"size": 32, "style_layers": "conv2_2=1"})) == [
        "optimizer adam instead of lbfgs",
        "learning_rate 0.02 instead of 1.0",
    ]
    now = build({"scales": "32:300,64:3:0.5", "style_layers": "conv_4", "init": str(start)})
    assert changed_settings(build({"size": 32, "style_layers": "conv_4"}), now) == [
        "scales 32:300 instead of 32:300,64:3:0.5",
        f"init content instead of {start}",
    ]


def test_a_record_of_settings_that_are_no_longer_known(tmp_path: Path):
    path = tmp_path / job().pair.output
    record = Record(output="c/s.png", fingerprint="old", settings={"sparkle": 1})
    write_image(path, torch.zeros(3, 8, 8), None, Metadata({RECORD_KEY: record.text()}))
    with pytest.raises(UserError, match=r"was made with other settings.*--overwrite"):
        Finished(tmp_path, None).has(job(), SETTINGS, overwrite=False)


def made_with(settings: BatchSettings) -> Record:
    return Record(output="c/s.png", status="done", settings=settings.model_dump(mode="json"))


@pytest.mark.parametrize("damaged", ["steps: 7", "", "steps: [", "\0", "sparkle: 1"])
def test_records_say_what_damaged_settings_do_not(tmp_path: Path, damaged: str):
    before, now = build({"size": 32}), build({"size": 64})
    Ledger(tmp_path).append(made_with(before))
    (tmp_path / "settings.yaml").write_text(damaged)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_settings(tmp_path, before, overwrite=False)
        with pytest.raises(UserError, match="scales 32:300 instead of 64:300"):
            check_settings(tmp_path, now, overwrite=False)
    unreadable = damaged not in ("steps: 7", "")
    assert ["is written anew" in str(one.message) for one in said] == [True, True] * unreadable
    write_settings(tmp_path, before, "")
    assert read_settings(tmp_path) == before


@pytest.mark.parametrize("word", ["a\x01b", "a\x85b", "a\nseed: 77\n#"])
def test_a_command_of_odd_characters_does_not_change_what_it_is_noted_with(
    tmp_path: Path, word: str
):
    write_settings(tmp_path, SETTINGS, f"nst-batch grid '{word}' styles")
    assert read_settings(tmp_path) == SETTINGS


@pytest.mark.parametrize("old_first", [True, False])
def test_a_folder_of_another_format_is_refused(tmp_path: Path, old_first: bool):
    settings = [build({"size": 32}), build({"size": 32, "format": "jpeg", "finish": "detail"})]
    before, now = settings if old_first else settings[::-1]
    Ledger(tmp_path).append(made_with(before))
    write_settings(tmp_path, before, "")
    check_settings(tmp_path, before, overwrite=False)
    names = ("png", "jpeg") if old_first else ("jpeg", "png")
    with pytest.raises(UserError, match=f"format {names[0]} instead of {names[1]}.*finish "):
        check_settings(tmp_path, now, overwrite=False)


def test_where_results_may_go(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        check_folder(tmp_path / "file", [])
    with pytest.raises(UserError, match="folder of inputs"):
        check_folder(tmp_path, [tmp_path])
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match="holds the folder of inputs"):
        check_folder(tmp_path, [tmp_path / "photos"])
    check_folder(tmp_path / "a" / "b", [tmp_path, tmp_path / "photos", tmp_path / "file"])
    assert (tmp_path / "a" / "b").is_dir()
