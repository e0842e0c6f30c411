"""Flows on disk: the same whether kept or made, bounded, and shared."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nst_lightning.video.flow_cache import FlowCache

FLOW = 40 * torch.randn(1, 2, 12, 20, generator=torch.Generator().manual_seed(0))
FILE_BYTES = 16 + 128 + 2 * FLOW.numel()
"""A digest, numpy's header and the values."""


def never() -> Tensor:
    raise AssertionError("the flow is kept, yet it was made")


def always(flow: Tensor) -> Callable[[], Tensor]:
    return lambda: flow


def use(folder: Path) -> None:
    """Asks for more flows than there is room for."""
    cache = FlowCache(folder, 4 * FILE_BYTES)
    for turn in range(100):
        number = turn * 7 % 13
        found = cache.get(f"flow {number}", always(torch.full((1, 2, 12, 20), float(number))))
        assert (found == number).all()


def test_a_flow_is_made_once_and_rounded_the_same(tmp_path: Path) -> None:
    cache = FlowCache(tmp_path / "flows", 1 << 20)
    made = cache.get("a", always(FLOW))
    kept = FlowCache(tmp_path / "flows", 1 << 20).get("a", never)
    assert made.dtype == kept.dtype == torch.float32
    assert torch.equal(made, FLOW.half().float())
    assert torch.equal(made, kept)
    assert (made - FLOW).abs().max() <= 1 / 16


def test_other_keys_are_other_flows(tmp_path: Path) -> None:
    cache = FlowCache(tmp_path, 1 << 20)
    cache.get("a/b: 1", always(FLOW))
    assert torch.equal(cache.get("a/b: 2", always(0 * FLOW)), 0 * FLOW)
    assert torch.equal(cache.get("a/b: 1", never), FLOW.half().float())


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "gone"])
def test_a_damaged_flow_is_made_anew(tmp_path: Path, damage: str) -> None:
    cache = FlowCache(tmp_path, 1 << 20)
    cache.get("a", always(FLOW))
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        changed = data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
        path.write_bytes({"cut": data[:-5], "empty": b"", "changed": changed}[damage])
    assert torch.equal(cache.get("a", always(2 * FLOW)), (2 * FLOW).half().float())
    assert torch.equal(cache.get("a", never), (2 * FLOW).half().float())


def test_those_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = FlowCache(tmp_path, 3 * FILE_BYTES)
    for age, name in enumerate("abc"):
        cache.get(name, always(FLOW))
        for path in tmp_path.iterdir():
            state = path.stat()
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns - 10**9 * (age + 1)))
    cache.get("a", never)  # now the newest
    cache.get("d", always(FLOW))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * FILE_BYTES
    for name in "acd":
        cache.get(name, never)
    with pytest.raises(AssertionError, match="it was made"):
        cache.get("b", never)


def test_files_of_others_stay(tmp_path: Path) -> None:
    other = tmp_path / "frame.png"
    other.write_bytes(bytes(10_000))
    cache = FlowCache(tmp_path, FILE_BYTES)
    cache.get("a", always(FLOW))
    cache.get("b", always(FLOW))
    assert len(list(tmp_path.iterdir())) == 2
    assert other.exists()


def test_a_folder_is_shared(tmp_path: Path) -> None:
    """Caches know of one another by their files alone, so threads stand for processes."""
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, [tmp_path] * 4)) == [None] * 4
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 7 * FILE_BYTES
