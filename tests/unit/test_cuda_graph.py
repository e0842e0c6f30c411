"""A recorded step is the step: with a stand-in for CUDA's graphs, which plays on the CPU."""

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.cuda_graph import Recorded, can_record
from nst_lightning.optim import lbfgs
from nst_lightning.transfer import module as transfer_module

SETTINGS: dict[str, Any] = {
    "weights": "random",
    "content_layers": "relu2_1",
    "style_layers": "relu1_1,relu2_1",
    "lbfgs_memory": 4,
}


class FakeGraph(TorchDispatchMode):
    """Notes every operation with its tensors, and takes back what it did once all are recorded; a
    replay makes all of them again into the same memory, as a CUDA graph does."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.own: set[int] = set()
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in tensors((args, kwargs)):
            if address(tensor) not in self.own:
                self.before.setdefault(address(tensor), (tensor, tensor.clone()))
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        self.own |= {address(t) for t in tensors(out)} - self.before.keys()
        return out

    def take_back(self) -> None:
        for tensor, was in self.before.values():
            tensor.copy_(was)

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, out in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(tensors(out), tensors(again), strict=True):
                if address(old) != address(new):
                    old.copy_(new)


def tensors(tree: Any) -> list[Tensor]:
    """Those in ordinary memory: what oneDNN packs, a step reads only."""
    leaves = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
    return [leaf for leaf in leaves if leaf.layout == torch.strided]


def address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[FakeGraph]:
    """Stands in for CUDA; holds the graphs that were made."""
    made: list[FakeGraph] = []

    def make() -> FakeGraph:
        made.append(FakeGraph())
        return made[-1]

    @contextmanager
    def recording(graph: FakeGraph, stream: str, capture_error_mode: str) -> Iterator[None]:
        assert (stream, capture_error_mode) == ("stream of cpu", "thread_local")
        with graph:
            yield
        with torch.no_grad():
            graph.take_back()

    monkeypatch.setattr(torch.cuda, "CUDAGraph", make)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "Stream", "stream of {}".format)
    for module in (transfer_module, lbfgs):
        monkeypatch.setattr(module, "can_record", lambda tensor: True)
    return made


def transfer(cuda_graphs: bool, **changes: Any) -> StyleTransfer:
    generator = torch.Generator().manual_seed(1)
    content, style = (torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))
    settings = TransferSettings(**{**SETTINGS, **changes})
    return StyleTransfer.from_images(content, style, settings, cuda_graphs=cuda_graphs)


def make_steps(model: StyleTransfer, count: int = 12) -> list[Tensor]:
    """Makes so many steps, more than the memory has pairs, and returns the total at each."""
    optimizer, totals = model.configure_optimizers(), []
    for step in range(1, count + 1):
        model.make_step(optimizer, step)
        totals.append(model.losses["total"])
    return totals


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"first_step": "torch", "longest_step": "none", "bounds": False},
        {"tv_weight": 2.0, "average": 0.9, "weighting": "energy"},
        {"style_loss": "sliced-wasserstein"},
        {"style_loss": "mean-variance", "normalize_gradients": True},
        {"optimizer": "adam"},
        {"style_loss": "wasserstein"},
        {"style_loss": "wasserstein", "normalize_gradients": True},
    ],
    ids=str,
)
def test_recorded_steps_are_the_steps(changes: dict[str, Any], graphs: list[FakeGraph]):
    recorded, usual = transfer(True, **changes), transfer(False, **changes)
    found, expected = make_steps(recorded), make_steps(usual)
    gradient = [] if changes.get("style_loss") == "wasserstein" else [11]
    optimizer = [] if changes.get("optimizer") == "adam" else [10]  # its first step differs
    assert [graph.replays for graph in graphs] == gradient + optimizer
    assert torch.equal(torch.stack(found), torch.stack(expected))
    assert torch.equal(recorded.result(), usual.result())


def change_before_step_5(
    change: Callable[[StyleTransfer, torch.optim.Optimizer], object],
) -> tuple[StyleTransfer, StyleTransfer]:
    """Makes eight steps, recorded and as usual, with a change on the way."""
    models = transfer(True), transfer(False)
    for model in models:
        optimizer = model.configure_optimizers()
        for step in range(1, 9):
            if step == 5:
                change(model, optimizer)
            model.make_step(optimizer, step)
    return models


def test_an_image_that_fails_stands_still(graphs: list[FakeGraph]):
    models = change_before_step_5(lambda model, _: model.image.data[1].fill_(1e30))
    assert torch.equal(models[0].failed_at, models[1].failed_at)
    assert models[0].failed_at.tolist() == [0, 5]
    assert torch.equal(models[0].result(), models[1].result())
    assert len(graphs) == 2


def test_another_precision_is_recorded_anew(graphs: list[FakeGraph]):
    model = transfer(True)
    images = [model.image.detach().clone().requires_grad_() for _ in range(2)]
    first, second = (model.evaluate(image * 0.9)["total"] for image in images)
    assert torch.equal(first, second)
    with torch.autocast("cpu", torch.bfloat16):
        low = [model.evaluate(images[0] * 0.9)["total"] for _ in range(3)]
    assert len(graphs) == 2
    assert torch.equal(low[0], low[2])
    assert not torch.equal(low[0], first)


def test_what_one_evaluation_returned_outlives_the_next(graphs: list[FakeGraph]):
    model = transfer(True)
    leaf = model.image.detach().clone().requires_grad_()
    totals = [model.evaluate(leaf * factor)["total"].sum() for factor in (0.9, 0.8, 0.7, 0.6)]
    gradients = [torch.autograd.grad(total, leaf, retain_graph=True)[0] for total in totals]
    usual = transfer(False)
    for factor, gradient in zip((0.9, 0.8, 0.7, 0.6), gradients, strict=True):
        (expected,) = torch.autograd.grad(usual.evaluate(leaf * factor)["total"].sum(), leaf)
        assert torch.equal(gradient, expected)


def test_a_module_that_was_moved_is_recorded_anew(graphs: list[FakeGraph]):
    model = transfer(True)
    make_steps(model, 3)
    model.to("cpu")
    assert not model.recorded
    make_steps(model, 3)
    assert len(graphs) == 4


def test_an_image_that_was_put_elsewhere_is_recorded_anew(graphs: list[FakeGraph]):
    def put_elsewhere(model: StyleTransfer, _: torch.optim.Optimizer) -> None:
        model.image.data = model.image.data.flip(-1).contiguous()

    models = change_before_step_5(put_elsewhere)
    assert len(graphs) == 3
    assert torch.equal(models[0].result(), models[1].result())


def test_an_optimiser_that_was_copied_makes_steps(graphs: list[FakeGraph]):
    model = transfer(True)
    again = copy.copy(model.configure_optimizers())
    model.make_step(again, 1)
    model.make_step(again, 2)
    assert len(graphs) == 1


def test_a_module_is_copied_without_its_recordings(graphs: list[FakeGraph]):
    model = transfer(True)
    make_steps(model, 3)
    again = copy.deepcopy(model)
    assert model.recorded
    assert not again.recorded
    with torch.no_grad():
        again.network.mean += 0.1  # its own
    made = [float(one.evaluate(one.image * 1.0)["total"].sum()) for one in (model, again)]
    assert made[0] != made[1]
    assert pickle.loads(pickle.dumps(model)).recorded == {}


def test_another_learning_rate_is_recorded_anew(graphs: list[FakeGraph]):
    models = change_before_step_5(lambda _, optimizer: optimizer.param_groups[0].update(lr=0.5))
    assert len(graphs) == 3
    assert torch.equal(models[0].result(), models[1].result())


def test_a_network_that_another_has_moved_is_recorded_anew(graphs: list[FakeGraph]):
    model = transfer(True)
    make_steps(model, 3)
    model.network.to(torch.float64).to(torch.float32)
    make_steps(model, 3)
    assert len(graphs) == 4


def test_nothing_is_recorded_on_the_cpu():
    assert not can_record(torch.zeros(1))
    model = transfer(True)
    make_steps(model, 3)
    assert not model.recorded


def test_a_copy_has_no_recording(graphs: list[FakeGraph]):
    again = Recorded(torch.square)
    for _ in range(2):
        assert again(torch.tensor([3.0])) == 9
    copied = copy.copy(again)
    assert copied.recording is None
    assert copied(torch.tensor([2.0])) == 4


def test_what_cannot_be_recorded_runs_as_usual(
    graphs: list[FakeGraph], monkeypatch: pytest.MonkeyPatch
):
    @contextmanager
    def failing(graph: FakeGraph, stream: str, capture_error_mode: str) -> Iterator[None]:
        yield
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    monkeypatch.setattr(torch.cuda, "graph", failing)
    calls: list[float] = []

    def compute(given: Tensor) -> Tensor:
        calls.append(float(given))
        return given + 1

    recorded = Recorded(compute)
    assert [float(recorded(torch.tensor(x))) for x in (1.0, 2.0, 3.0)] == [2.0, 3.0, 4.0]
    assert calls == [1.0, 2.0, 2.0, 3.0]  # the second also where it was to be recorded
    assert len(graphs) == 1
