"""A recorded step is the step: with a stand-in for CUDA's graphs, which replays on the CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.benchmark.cases import Ours
from nst_lightning.benchmark.cuda_graph import STEPS_BEFORE, record_step, step_in_place

SETTINGS = TransferSettings(
    weights="random",
    content_layers={"relu2_1": 1.0},
    style_layers={"relu1_1": 1.0, "relu2_1": 1.0},
    lbfgs_memory=4,
)


class FakeGraph(TorchDispatchMode):
    """Notes every operation with its tensors; a replay makes all of them again into the same
    memory, as a CUDA graph does. Other than there the operations are carried out while they are
    recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, out in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and address(old) != address(new):
                    old.copy_(new)


def address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class FakeStream:
    def wait_stream(self, other: Any) -> None:
        assert isinstance(other, FakeStream)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[FakeGraph]:
    """Stands in for CUDA; holds the graphs that were made."""
    made: list[FakeGraph] = []

    def make() -> FakeGraph:
        made.append(FakeGraph())
        return made[-1]

    @contextmanager
    def recording(graph: FakeGraph, stream: FakeStream) -> Iterator[None]:
        with graph:
            yield

    for name, value in {
        "CUDAGraph": make,
        "graph": recording,
        "Stream": FakeStream,
        "current_stream": FakeStream,
        "stream": lambda stream: nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return made


def make_ours() -> Ours:
    generator = torch.Generator().manual_seed(1)
    content, style = (torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))
    return Ours(StyleTransfer.from_images(content, style, SETTINGS), "32-true")


def run(step: Callable[[], object], many: int) -> None:
    for _ in range(many):
        step()


def test_a_replayed_step_goes_on_as_the_step_does(graphs: list[FakeGraph]):
    eager, recorded = make_ours(), make_ours()
    replay = record_step(recorded)
    first = replay().clone()
    run(replay, 6)  # over a full memory
    run(eager.step, STEPS_BEFORE + 1 + 7)
    assert len(graphs) == 1
    assert torch.equal(recorded.model.image, eager.model.image)
    assert torch.equal(replay(), eager.step())
    assert (replay() < first).all()


def test_without_the_memory_in_its_place_a_replay_is_another_step(graphs: list[FakeGraph]):
    eager, recorded = make_ours(), make_ours()
    run(recorded.step, STEPS_BEFORE)
    graph = FakeGraph()
    with graph:
        recorded.step()
    run(graph.replay, 3)
    run(eager.step, STEPS_BEFORE + 4)
    assert not torch.allclose(recorded.model.image, eager.model.image)


def test_the_memory_stays_where_it_was():
    ours = make_ours()
    run(ours.step, STEPS_BEFORE)
    memory = ours.optimizer.state[ours.model.image]
    places = {name: tensor.data_ptr() for name, tensor in memory.items()}
    step_in_place(ours)()
    assert {name: tensor.data_ptr() for name, tensor in memory.items()} == places
