"""States of batches in progress: which pairs they belong to, and how they are cut."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source
from nst_lightning.run.checkpoint_files import CheckpointFiles
from nst_lightning.run.checkpoints import Checkpoints, sliced
from nst_lightning.store.job import Job


@pytest.fixture
def jobs() -> list[Job]:
    style = Source(Path("s.png"), "s", (8, 8))
    contents = [Source(Path(f"{n}.png"), n, (8, 8)) for n in ("a", "b", "c")]
    return [Job(Pair(c, style, f"{c.name}/s.png"), "x", "y", f"id-{c.name}") for c in contents]


def state(images: int) -> Any:
    numbers = torch.arange(images)
    return {
        "state_dict": {"image": numbers * 1.0},
        "optimizer_states": [{"state": {0: {"pairs": numbers, "step": torch.tensor(7.0)}}}],
        "callbacks": {"Film": {"frames": [numbers + 10, numbers + 20], "step": 2}},
        "images": {"losses": {"total": numbers}},
        "run": {"steps": numbers, "scale": 1},
        "random": torch.arange(99),
        "global_step": 5,
    }


def keep(out: Path, jobs: list[Job]) -> Checkpoints:
    checkpoints = Checkpoints(out)
    checkpoints.announce(jobs)
    CheckpointFiles().save_checkpoint(state(len(jobs)), checkpoints.path(jobs))
    return checkpoints


def test_a_batch_goes_on_as_it_was(jobs: list[Job], tmp_path: Path):
    keep(tmp_path, jobs[:2])
    found = Checkpoints(tmp_path)
    assert found.groups(jobs[::-1]) == [jobs[:2]]
    kept, _ = found.load(jobs[:2])
    assert kept is not None
    assert kept["state_dict"]["image"].tolist() == [0, 1]
    assert found.load(jobs) == (None, False)


def test_no_state_is_saved_through_a_link(jobs: list[Job], tmp_path: Path):
    out = tmp_path / "out"
    keep(out, jobs)
    folder = Checkpoints(out).path(jobs).parent
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved", target_is_directory=True)
    with pytest.raises(OSError, match="is a link that leads out"):
        Checkpoints(out).announce(jobs)


def test_some_images_of_a_batch_go_on_without_the_others(jobs: list[Job], tmp_path: Path):
    keep(tmp_path, jobs)
    kept, _ = Checkpoints(tmp_path).load([jobs[2], jobs[0]])
    assert kept is not None
    assert kept["state_dict"]["image"].tolist() == [2, 0]
    (optimiser,) = kept["optimizer_states"]
    assert optimiser["state"][0]["pairs"].tolist() == [2, 0]
    assert optimiser["state"][0]["step"] == 7
    assert [frame.tolist() for frame in kept["callbacks"]["Film"]["frames"]] == [[12, 10], [22, 20]]
    assert kept["images"]["losses"]["total"].tolist() == [2, 0]
    assert kept["run"] == {"scale": 1, "steps": kept["run"]["steps"]}
    assert kept["run"]["steps"].tolist() == [2, 0]
    assert len(kept["random"]) == 99  # type: ignore[typeddict-item]  # a key of others


def test_what_another_worker_began_is_found(jobs: list[Job], tmp_path: Path):
    waiting = Checkpoints(tmp_path)
    keep(tmp_path, jobs)
    assert waiting.load(jobs)[0] is not None
    waiting.drop(jobs)
    assert not (tmp_path / ".nst").exists()


def test_other_settings_or_inputs_find_nothing(jobs: list[Job], tmp_path: Path):
    keep(tmp_path, jobs)
    other = replace(jobs[0], fingerprint="another")
    found = Checkpoints(tmp_path)
    assert found.groups([other]) == []
    assert found.load([other]) == (None, False)


def test_two_pairs_of_the_same_bytes_are_two(jobs: list[Job], tmp_path: Path):
    twins = [jobs[0], replace(jobs[1], fingerprint=jobs[0].fingerprint)]
    keep(tmp_path, twins)
    found = Checkpoints(tmp_path)
    assert found.groups(twins) == [twins]
    kept, _ = found.load([twins[1]])
    assert kept is not None
    assert kept["state_dict"]["image"].tolist() == [1]


@pytest.mark.parametrize("damage", [b"", b"PK torn", None])
def test_a_torn_state_is_passed_over(jobs: list[Job], tmp_path: Path, damage: bytes | None):
    path = keep(tmp_path, jobs).path(jobs)
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert Checkpoints(tmp_path).load(jobs) == (None, True)


def test_a_note_that_is_torn_is_passed_over(jobs: list[Job], tmp_path: Path):
    path = keep(tmp_path, jobs).path(jobs)
    (path.parent / "pairs.json").write_text('[["a/s.png", ')
    assert Checkpoints(tmp_path).groups(jobs) == []


@pytest.mark.parametrize("pairs", ['[["a/s.png", "id-a"]]', '{"algorithm": 3, "pairs": []}'])
def test_states_of_another_version_are_left_alone(jobs: list[Job], tmp_path: Path, pairs: str):
    folder = keep(tmp_path, jobs[:1]).path(jobs[:1]).parent
    (folder / "pairs.json").write_text(pairs)
    found = Checkpoints(tmp_path)
    assert (found.saved, found.foreign) == ([], [folder])
    assert found.load(jobs[:1]) == (None, False)
    found.remove_done(lambda pair: True)
    assert (folder / "state.ckpt").is_file()


def test_a_state_goes_when_all_its_pairs_are_done(jobs: list[Job], tmp_path: Path):
    checkpoints = keep(tmp_path, jobs)
    folder = checkpoints.path(jobs).parent
    assert folder.name.startswith("a--s-and-2-more.")
    checkpoints.drop(jobs[:2])
    assert folder.is_dir()
    checkpoints.drop(jobs[2:])
    assert not (tmp_path / ".nst").exists()


def test_what_others_have_finished_is_swept(jobs: list[Job], tmp_path: Path):
    folder = keep(tmp_path, jobs[:1]).path(jobs[:1]).parent
    found = Checkpoints(tmp_path)
    found.remove_done({("a/s.png", "another")}.__contains__)
    assert folder.is_dir()
    found.remove_done({("a/s.png", "id-a")}.__contains__)
    assert not folder.exists()


LEAVES = st.sampled_from(["images", "scalar", 3, 0.5, None, "text"])
SHAPES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


def fill(shape: Any, images: Sequence[int]) -> Any:
    """Put tensors that tell which images they are of into a nested structure."""
    if shape == "images":
        return torch.tensor(images)[:, None] * torch.ones(1, 2)
    if shape == "scalar":
        return torch.tensor(7.0)
    if isinstance(shape, dict):
        return {key: fill(inner, images) for key, inner in shape.items()}
    if isinstance(shape, (list, tuple)):
        return type(shape)(fill(inner, images) for inner in shape)
    return shape


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.equal(b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):  # a slice has lists where tuples were
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and bool(a == b)


@given(data=st.data())
def test_a_slice_is_the_state_of_those_images(data: st.DataObject):
    parts = ("state_dict", "optimizer_states", "callbacks", "images", "run")
    shapes = {part: data.draw(SHAPES) for part in parts}
    size = data.draw(st.integers(1, 5))
    chosen = data.draw(st.lists(st.integers(0, size - 1), min_size=1, unique=True))
    again = data.draw(st.lists(st.integers(0, len(chosen) - 1), min_size=1, unique=True))

    def state_of(images: Sequence[int]) -> Any:
        filled = {part: fill(shape, images) for part, shape in shapes.items()}
        return {**filled, "random": torch.arange(9), "global_step": 5}

    whole = state_of(range(size))
    part = sliced(whole, chosen)
    assert equal(dict(part), state_of(chosen))
    assert equal(dict(sliced(part, again)), state_of([chosen[k] for k in again]))
    assert equal(whole, state_of(range(size)))


def test_slices_do_not_share_with_the_whole():
    whole = state(3)
    part = sliced(whole, [1])
    part["state_dict"]["image"][0] = 9
    assert whole["state_dict"]["image"].tolist() == [0, 1, 2]


def test_a_full_disk_is_an_oserror_and_leaves_the_state_before(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = keep(tmp_path, jobs).path(jobs)
    before = path.read_bytes()

    def full(*args: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        CheckpointFiles().save_checkpoint(state(3), path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["pairs.json", "state.ckpt"]
