"""A run over a folder in which something is done already, on the CPU with random weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst_lightning.grid.pairs import Case, Grid
from nst_lightning.grid.sources import read_sources
from nst_lightning.layout import CHECKPOINT_PAIRS, CHECKPOINT_STATE, CHECKPOINTS
from nst_lightning.run import prepare
from nst_lightning.run.display import Silent
from nst_lightning.run.folder_status import read_status
from nst_lightning.run.runner import close, run
from nst_lightning.settings import build
from nst_lightning.stop import Interrupted, StopFlag
from nst_lightning.store.expected import is_complete, write_expected
from nst_lightning.store.ledger import Ledger

NAMES = [f"{content}/style.png" for content in "abc"]


def make(
    root: Path, steps: int, most: int = 9, overwrite: bool = False, part: str = ""
) -> list[str]:
    """Runs three pairs, one at a time, until more than so many are begun; returns what it notes."""
    settings = build({
        "weights": "random", "content_layers": "relu1_1", "style_layers": "relu1_1",
        "accelerator": "cpu", "size": 16, "steps": steps, "batch_size": 1,
    })  # fmt: skip
    out, stop, begun, notes = root / "out", StopFlag(), list[str](), list[str]()

    class Impatient(Silent):
        def batch(self, names: Sequence[str], *rest: Any, **more: Any) -> None:
            begun.extend(names)
            if len(begun) > most:
                stop.raised(15)

        def note(self, text: str) -> None:
            notes.append(text)

    contents, styles = (read_sources(root / side, settings, out) for side in ("contents", "styles"))
    cases = [Case(settings, Grid(contents, styles))]
    ledger = Ledger(out, part)

    def ready() -> None:
        write_expected(out, cases)

    run(cases, out, Impatient(), stop, ledger=ledger, overwrite=overwrite, ready=ready)
    close(out, ledger)
    return notes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three contents, a style, and what a run with 2 steps made of them."""
    for file in ("contents/a.png", "contents/b.png", "contents/c.png", "styles/style.png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        Image.radial_gradient("L").resize((16, 16)).rotate(ord(file[-5])).save(tmp_path / file)
    make(tmp_path, steps=2)
    return tmp_path


@pytest.mark.parametrize("part", ["", "7.0.0"])
def test_old_results_wait_while_they_are_replaced(root: Path, part: str):
    out = root / "out"
    assert read_status(out).done == NAMES
    with pytest.raises(Interrupted):
        make(root, steps=3, most=1, overwrite=True, part=part)
    found = read_status(out)
    assert (len(found.done), len(found.waiting)) == (1, 2)
    assert not is_complete(out, Ledger(out))
    # They are what they were, for reports.
    waiting = [Ledger(out).read()[name] for name in found.waiting]
    assert [(one.steps, one.has_result, (out / one.output).is_file()) for one in waiting] == [
        (2, True, True)
    ] * 2
    # The run goes on; what it has replaced stays.
    make(root, steps=3, overwrite=True, part=part)
    assert read_status(out).done == NAMES
    assert {record.steps for record in Ledger(out).read().values()} == {3}
    # Nothing is to be replaced, so nothing waits.
    make(root, steps=3, most=0, overwrite=True, part=part)
    assert read_status(out).done == NAMES


def test_a_change_of_mind_finds_the_old_results_done(root: Path):
    out = root / "out"
    with pytest.raises(Interrupted):
        make(root, steps=3, most=1, overwrite=True)
    make(root, steps=2, overwrite=True)
    assert read_status(out).done == NAMES
    assert {record.steps for record in Ledger(out).read().values()} == {2}


def test_a_result_that_is_gone_waits_for_the_run_that_makes_it_anew(root: Path):
    for name in NAMES[:2]:
        (root / "out" / name).unlink()
    with pytest.raises(Interrupted):
        make(root, steps=2, most=1)
    found = read_status(root / "out")
    assert (len(found.done), len(found.waiting)) == (2, 1)


def test_a_state_of_0_1_0_is_left_and_named(root: Path):
    folder = root / "out" / CHECKPOINTS / "a--style.10048690e2f8c999"
    folder.mkdir(parents=True)
    (folder / CHECKPOINT_PAIRS).write_text('[["a/style.png", "41f709c1"]]')
    (folder / CHECKPOINT_STATE).write_bytes(b"a state")
    (note,) = make(root, steps=3, overwrite=True)
    assert str(folder) in note
    assert "another version of the algorithm" in note
    assert (folder / CHECKPOINT_STATE).read_bytes() == b"a state"


def test_what_is_done_stays_done_where_there_is_less_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(prepare, "machine_bytes", lambda: 1.0)
    make(root, steps=2)
    assert read_status(root / "out").done == NAMES
    make(root, steps=3, overwrite=True)
    found = read_status(root / "out")
    assert list(found.failed) == NAMES
    assert all("and there are 0.0 here" in reason for reason in found.failed.values())


def test_damaged_lines_are_told_and_what_stands_is_entered_again(root: Path):
    manifest = root / "out" / "manifest.jsonl"
    first, *others = manifest.read_text().splitlines()
    damaged = first.replace('"status": "done"', '"status": 7')
    manifest.write_text("\n".join([damaged, *others, deep := "[" * 3000]) + "\n")
    before = {name: (root / "out" / name).stat().st_mtime_ns for name in NAMES}
    (note,) = make(root, steps=2, most=0)
    assert "2 of its lines cannot be read" in note
    assert deep not in manifest.read_text()
    assert read_status(root / "out").done == NAMES
    assert before == {name: (root / "out" / name).stat().st_mtime_ns for name in NAMES}
    assert make(root, steps=2, most=0) == []
