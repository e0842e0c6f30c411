"""The benchmark compares like with like."""

import pytest
import torch

from nst_lightning import StyleTransfer, TransferSettings
from nst_lightning.benchmark.rivals import TutorialLoop, bare_network
from nst_lightning.benchmark.timing import paired
from nst_lightning.vgg.weights import load_weights

SETTINGS = TransferSettings(weights="random")


def test_the_tutorials_loop_has_the_same_loss():
    generator = torch.Generator().manual_seed(3)
    content, style = (torch.rand(1, 3, 40, 48, generator=generator) for _ in range(2))
    weights = load_weights("random")
    loop = TutorialLoop(weights, SETTINGS, content, style)
    model = StyleTransfer.from_images(content, style, SETTINGS)
    for _ in range(3):
        ours = model.evaluate(loop.image.detach().clamp(0, 1))["total"]
        assert float(loop.step()) == pytest.approx(float(ours), rel=1e-4)
    assert not torch.equal(loop.image, content)


def test_the_bare_network_goes_forth_and_back():
    cpu = torch.device("cpu")
    shape = torch.Size((2, 3, 32, 48))
    step = bare_network(load_weights("random"), SETTINGS, shape, torch.float32, cpu)
    assert float(step()) != 0


def test_rounds_alternate():
    called: list[str] = []
    steps = {name: (lambda name=name: called.append(name)) for name in ("a", "b")}
    times = paired(steps, 4)
    assert called == ["a", "b"] * (len(called) // 2)
    assert [len(times[name]) for name in ("a", "b")] == [4, 4]
