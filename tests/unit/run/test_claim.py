"""Who may work on an output folder at the same time."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Case
from nst_lightning.layout import CLAIMS, TASKS
from nst_lightning.run import liveness
from nst_lightning.run.claim import claim, settings_digest
from nst_lightning.run.liveness import remove_dead
from nst_lightning.settings import build
from nst_lightning.store.heartbeat import (
    Heartbeat,
    remove_heartbeat,
    this_process,
    write_heartbeat,
)


def process(out: Path, digest: str, number: int = 1, **facts: Any) -> Heartbeat:
    """Writes the heartbeat of a process that lives, whatever its number."""
    facts = {"host": f"node{number}", "pid": number, "digest": digest, "started": "", **facts}
    heartbeat = this_process().model_copy(update=facts)
    write_heartbeat(out, heartbeat)
    return heartbeat


def claims(out: Path) -> list[str]:
    return sorted(path.name for path in (out / CLAIMS).iterdir())


def test_the_same_settings_share_a_folder(tmp_path: Path):
    assert not claim(tmp_path, process(tmp_path, "same", 1))
    assert claim(tmp_path, process(tmp_path, "same", 2))
    assert claims(tmp_path) == ["1.json"]


def test_other_settings_wait_until_the_others_have_ended(tmp_path: Path):
    first, second = process(tmp_path, "one", 1), process(tmp_path, "other", 2)
    claim(tmp_path, first)
    with pytest.raises(UserError, match=r"at work with other settings \(process on node1, 1\)"):
        claim(tmp_path, second)
    remove_heartbeat(tmp_path, first)
    assert not claim(tmp_path, second)
    assert claims(tmp_path) == ["2.json"]


def test_whoever_joins_holds_the_folder_when_the_first_has_ended(tmp_path: Path):
    first, second, third = (process(tmp_path, "same", number) for number in (1, 2, 3))
    claim(tmp_path, first)
    claim(tmp_path, second)
    remove_heartbeat(tmp_path, first)
    with pytest.raises(UserError, match="node"):
        claim(tmp_path, process(tmp_path, "other", 4))
    # The holder is gone: the next to come takes its place, and finds the second at work.
    assert claim(tmp_path, third)
    assert claims(tmp_path) == ["2.json"]


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path):
    here = this_process().host
    claim(tmp_path, process(tmp_path, "one", host=here, pid=2**22 + 1))
    claim(tmp_path, process(tmp_path, "two", host=here, pid=os.getpid(), started="before"))
    claim(tmp_path, process(tmp_path, "three", host="gone", written=0.0))
    assert not claim(tmp_path, process(tmp_path, "four", 4))


def test_a_claim_that_says_nothing_holds_nothing(tmp_path: Path):
    (tmp_path / CLAIMS / "7.json").mkdir(parents=True)
    (tmp_path / CLAIMS / "6.json").write_text("torn")
    (tmp_path / CLAIMS / "x.json").write_text("foreign")
    own = process(tmp_path, "one")
    (tmp_path / CLAIMS / "7.json").rmdir()
    assert not claim(tmp_path, own)
    assert claims(tmp_path) == ["7.json", "x.json"]


@pytest.mark.parametrize("kinds", [1, 4])
def test_those_of_one_kind_have_the_folder_when_twenty_begin_at_once(tmp_path: Path, kinds: int):
    outcomes: list[str] = []
    barrier = threading.Barrier(20)

    def begin(number: int) -> None:
        own = process(tmp_path, f"settings {number % kinds}", number)
        barrier.wait()
        try:
            claim(tmp_path, own)
            outcomes.append(own.digest)
        except UserError:
            remove_heartbeat(tmp_path, own)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 20 // kinds
    assert len(set(outcomes)) == 1


def test_a_disk_without_links_serves_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*paths: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    test_other_settings_wait_until_the_others_have_ended(tmp_path)


def test_a_job_that_is_yet_to_begin_holds_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    states = {"12_0": "PENDING", "12_1": "PENDING"}
    monkeypatch.setattr(liveness, "job_states", lambda jobs: states)
    submitted = process(tmp_path, "job", job="12", submitted=True, written=0.0)
    claim(tmp_path, submitted)
    other = process(tmp_path, "other", 2)
    with pytest.raises(UserError, match=r"\(job 12\)"):
        claim(tmp_path, other)
    remove_heartbeat(tmp_path, other)
    assert claim(tmp_path, process(tmp_path, "job", 3, job="12_1"))
    states.update(dict.fromkeys(states, "CANCELLED"))
    assert not claim(tmp_path, process(tmp_path, "other", 2))


def test_the_dead_are_removed_and_the_living_stay(tmp_path: Path):
    process(tmp_path, "one", host=this_process().host, pid=2**22 + 1)
    living = process(tmp_path, "one", 2)
    (tmp_path / TASKS / "12.0.requeue").touch()
    remove_dead(tmp_path)
    assert [path.name for path in (tmp_path / TASKS).iterdir()] == [f"{living.name}.json"]


def test_what_decides_pixels_tells_work_apart(tmp_path: Path):
    weights = tmp_path / "own.pth"
    weights.touch()

    def digest(**given: Any) -> str:
        return settings_digest([Case(build(given), [])])

    assert digest() == digest(devices="2", batch_size=3, log_every=7, curves=True)
    different = [digest(), digest(steps=3), digest(format="webp"), digest(weights="caffe")]
    different.append(digest(weights=str(weights)))
    assert len(set(different)) == 5
    assert digest(weights=str(weights)) == digest(weights=os.path.relpath(weights))
    case = Case(build({}), [], {"axis": "here"})
    assert settings_digest([case]) != digest()
