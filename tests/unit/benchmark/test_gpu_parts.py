"""Each row of the GPU's table stands alone: what goes wrong is said in it, and the next is made."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from nst_lightning.benchmark.cases import Bench
from nst_lightning.benchmark.gpu_figures import COMPILE, GRAPH, SEARCH, Asked, Subject
from nst_lightning.benchmark.gpu_parts import (
    NO_TIME,
    PARTS,
    Part,
    cut_square,
    measure_parts,
    measure_row,
)
from nst_lightning.benchmark.grid_time import largest_divisor
from nst_lightning.benchmark.machine import Peak, measure_peak
from nst_lightning.benchmark.rivals import AutogradGradient
from nst_lightning.settings import Scale, build
from nst_lightning.transfer.module import build_network
from nst_lightning.transfer.objective import value_and_gradient
from nst_lightning.vgg.weights import load_weights

SETTINGS = build(
    {
        "weights": "random", "accelerator": "cpu", "scales": 1,
        "content_layers": {"relu2_1": 1.0}, "style_layers": {"relu1_1": 1.0, "relu2_1": 1.0},
    }
)  # fmt: skip
ASKED = Asked(
    sizes=[512, 256, 1024],
    batches=[1, 2, 32],
    modes=["32-true", "TF32"],
    rounds=1,
    large=2048,
    grid=Scale(size=64, steps=3),
    pairs=6,
    exact=Scale(size=32, steps=2),
)


@pytest.fixture
def subject() -> Subject:
    generator = torch.Generator().manual_seed(5)
    content, style = (torch.rand(1, 3, 32, 32, generator=generator) for _ in range(2))
    cpu = torch.device("cpu")
    bench = Bench(load_weights("random"), SETTINGS, content, style, cpu, [])
    peaks = {"32-true": 1e12, "bf16-mixed": 1e12}
    return Subject(bench, SETTINGS, ASKED, time.monotonic() + 600, peaks)


def part(measure: Callable[..., dict[str, Any]]) -> Part:
    return Part("", lambda asked: [{"size": 1}, {"size": 2}], measure, {})


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
            "out of memory",
        ),
        (RuntimeError("cuDNN error:\nBAD"), "RuntimeError: cuDNN error: BAD"),
        (NotImplementedError("no kernel"), "NotImplementedError: no kernel"),
    ],
)
def test_a_problem_is_a_row(
    error: Exception, sentence: str, subject: Subject, monkeypatch: pytest.MonkeyPatch
):
    def measure(subject: Subject, size: int) -> dict[str, Any]:
        if size == 1:
            raise error
        return {"figure": size}

    monkeypatch.setitem(PARTS, "trial", part(measure))
    said: list[str] = []
    *_, figures = measure_parts(subject, ["trial"], said.append)
    assert figures["parts"] == {
        "trial": [{"size": 1, "problem": sentence}, {"size": 2, "figure": 2}]
    }
    assert said == ["trial, size 1", "trial, size 2"]
    assert figures["machine"]["device"]


def test_figures_come_after_every_row(subject: Subject, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PARTS, "trial", part(lambda subject, size: {}))
    rows = [len(figures["parts"]["trial"]) for figures in measure_parts(subject, ["trial"], print)]
    assert rows == [1, 2]


def test_what_is_left_when_the_time_is_over(subject: Subject):
    late = replace(subject, ends=time.monotonic() - 1)
    row = measure_row(part(lambda *_, **__: pytest.fail("was measured")), {"size": 1}, late)
    assert row == {"size": 1, "problem": NO_TIME}


def test_the_cases_of_the_whole_table():
    asked = replace(ASKED, modes=["bf16-mixed", "16-mixed", "TF32", "32-true"])
    cases = {name: list(part.cases(asked)) for name, part in PARTS.items()}
    assert cases["steps"][0] == {"size": 512, "batch": 1, "mode": "bf16-mixed"}
    assert len(cases["steps"]) == 3 * 3 * 4
    assert cases["variants"][0] == {"what": GRAPH, "size": 256, "batch": 1}
    assert {case["size"] for case in cases["variants"]} == {256, 512}
    assert [case["mode"] for case in cases["losses"]] == [
        "bf16-mixed", "16-mixed", "TF32", "32-true, moved",
    ]  # fmt: skip
    assert [case["size"] for case in cases["auto"]] == [512, 256, 1024, 2048]
    assert {case["batch"] for case in cases["memory"]} == {1, 8}


def test_a_step_beside_its_rivals(subject: Subject):
    row = measure_row(PARTS["steps"], {"size": 32, "batch": 2, "mode": "32-true"}, subject)
    assert set(row["seconds"]) == {"ours", "autograd", "bare"}
    assert row["evaluations_per_second"] == pytest.approx(2 / row["seconds"]["ours"])
    assert row["share_of_peak"] == pytest.approx(row["tflop_per_second"])
    for show in PARTS["steps"].columns.values():
        assert show(row)


def test_a_rival_that_is_too_large_is_left_out(subject: Subject, monkeypatch: pytest.MonkeyPatch):
    def too_large(*_: Any, **__: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(AutogradGradient, "__call__", too_large)
    row = measure_row(PARTS["steps"], {"size": 32, "batch": 1, "mode": "32-true"}, subject)
    assert set(row["seconds"]) == {"ours", "bare"}
    assert row["without"] == "autograd: out of memory"


def test_autograd_has_the_same_gradient(subject: Subject):
    model = subject.bench.model(32, 2)
    by_autograd = AutogradGradient(build_network(SETTINGS, subject.bench.weights))
    image = model.image.detach() * 0.9
    theirs = by_autograd(model.network, model.loss, image, torch.float32)
    ours = value_and_gradient(model.network, model.loss, image, torch.float32)
    for name, value in ours[0].items():
        torch.testing.assert_close(theirs[0][name], value)
    torch.testing.assert_close(
        theirs[1], ours[1], rtol=1e-3, atol=1e-6 * float(ours[1].abs().max())
    )


@pytest.mark.parametrize("what", [SEARCH, COMPILE])
def test_a_step_in_another_way(what: str, subject: Subject, monkeypatch: pytest.MonkeyPatch):
    compiled: list[Any] = []

    def compile(function: Any, **_: Any) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile)
    row = measure_row(PARTS["variants"], {"size": 32, "batch": 1, "what": what}, subject)
    assert "problem" not in row
    assert row["largest_difference"] == 0
    assert len(compiled) == (what == COMPILE)
    assert torch.backends.cudnn.benchmark is False


def test_no_graphs_off_cuda(subject: Subject):
    row = measure_row(PARTS["variants"], {"size": 32, "batch": 1, "what": GRAPH}, subject)
    assert row["problem"] == "CUDA graphs are of CUDA alone."


def test_a_recorded_step_is_asked_on_cuda(subject: Subject):
    asked: list[bool] = []

    def model(size: int, batch: int, compile: bool = False, cuda_graphs: bool = False) -> Any:
        asked.append(cuda_graphs)
        return subject.bench.model(size, batch, compile=compile, cuda_graphs=cuda_graphs)

    there = SimpleNamespace(device=torch.device("cuda"), model=model)
    on_cuda = replace(subject, bench=cast(Bench, there))
    found = PARTS["variants"].measure(on_cuda, size=32, batch=1, what=GRAPH)
    assert found["largest_difference"] == 0
    assert asked == [False, True]


def test_the_peak_on_cuda_is_that_of_the_steps(subject: Subject, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    answers = {
        "empty_cache": 0,
        "reset_peak_memory_stats": 0,
        "memory_allocated": 100,
        "max_memory_allocated": 350,
        "max_memory_reserved": 900,
    }

    def answer(name: str) -> int:
        done.append(name)
        return answers[name]

    for name in answers:
        monkeypatch.setattr(torch.cuda, name, partial(answer, name))

    def model(size: int, batch: int) -> Any:
        done.append("model")
        return subject.bench.model(size, batch)

    bench = SimpleNamespace(device=torch.device("cuda"), model=model)
    assert measure_peak(cast(Bench, bench), 32, 1, "32-true") == Peak(step=250, all=900)
    assert done.index("memory_allocated") < done.index("model") < done.index("max_memory_allocated")


def test_images_of_a_batch_alone_are_those_of_the_batch(subject: Subject):
    together = subject.bench.model(32, 3)
    alone = subject.bench.model(32, 3, which=slice(2, 3))
    assert torch.equal(together.image[2:3], alone.image)
    assert not torch.equal(together.image[0], together.image[1])


def test_the_middle_of_an_image():
    wide = torch.arange(10.0).expand(1, 3, 4, 10)
    assert torch.equal(cut_square(wide)[0, 0, 0], torch.tensor([3.0, 4.0, 5.0, 6.0]))
    assert cut_square(wide.mT).shape == (1, 3, 4, 4)


@pytest.mark.parametrize(("pairs", "styles"), [(1000, 25), (4, 2), (7, 1), (1, 1)])
def test_a_grid_of_so_many_pairs(pairs: int, styles: int):
    assert largest_divisor(pairs) == styles
