"""LPIPS: its formula, and what happens without its network."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
import torchvision  # type: ignore[import-untyped]
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.evaluation import lpips
from tests.results_folder import make_grid, read_manifest

NAME = "alexnet-owt-7be5be79.pth"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def random_alexnet(folder: Path) -> dict[str, Tensor]:
    """A file of random weights in the place of AlexNet's; what LPIPS does not use is one number."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = torchvision.models.alexnet(weights=None).state_dict()
    unused = {n: torch.zeros(1).expand(t.shape) for n, t in state.items() if "classifier" in n}
    folder.mkdir(parents=True)
    torch.save(state | unused, folder / NAME)
    return state


def alexnet(state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """Its five ReLUs."""
    found = []
    for layer, stride, padding, pool in ((0, 4, 2, 0), (3, 1, 2, 1), (6, 1, 1, 1), (8, 1, 1, 0),
                                         (10, 1, 1, 0)):  # fmt: skip
        weight, bias = (state[f"features.{layer}.{kind}"] for kind in ("weight", "bias"))
        x = F.conv2d(F.max_pool2d(x, 3, 2) if pool else x, weight, bias, stride, padding).relu()
        found.append(x)
    return found


def test_it_is_the_distance_of_the_paper(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = random_alexnet(home)
    monkeypatch.setattr(lpips, "intact", lambda path: True)
    metric = lpips.LPIPS(torch.device("cpu"))
    a, b = (torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    features = [
        alexnet(state, (2 * x - 1 - shift.view(3, 1, 1)) / scale.view(3, 1, 1)) for x in (a, b)
    ]
    wanted = torch.zeros(2)
    for i, (f, g) in enumerate(zip(*features, strict=True)):
        f, g = (x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt() for x in (f, g))
        weights: Any = metric.metric.net.lins[i].model[-1].weight  # of the paper, in torchmetrics
        wanted += F.conv2d((f - g).square(), weights).mean(dim=(1, 2, 3))
    assert metric(a, b).tolist() == pytest.approx(wanted.tolist(), rel=1e-4)
    assert metric(a[:1], b[:1]).tolist() == pytest.approx(wanted[:1].tolist(), rel=1e-4)
    assert metric(a, a).tolist() == [0, 0]
    assert metric(a[..., :30], b[..., :30]).isnan().all(), "too small for AlexNet"
    assert metric(a[..., :31], b[..., :31]).isfinite().all()


def silent(*_: Any, **__: Any) -> None:
    time.sleep(10)
    raise URLError(TimeoutError())


def refused(*_: Any, **__: Any) -> None:
    raise URLError(ConnectionRefusedError(111, "Connection refused"))


@pytest.mark.parametrize(("server", "reason"), [(silent, "no answer"), (refused, "refused")])
def test_without_a_network_a_sentence_says_what_to_put_where(
    home: Path, monkeypatch: pytest.MonkeyPatch, server: Any, reason: str
) -> None:
    monkeypatch.setattr(lpips, "urlopen", server)
    monkeypatch.setattr(lpips, "TIMEOUT", 0.2)
    start = time.monotonic()
    with pytest.raises(UserError) as problem:
        lpips.LPIPS(torch.device("cpu"))
    assert time.monotonic() - start < 5
    said = str(problem.value)
    for words in (reason, NAME, str(home), "--no-lpips"):
        assert words in said
    assert not home.exists()


def test_bytes_that_are_not_the_network_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_alexnet(home)  # whose checksum is not in its name
    asked: list[Any] = []

    def download(url: str, path: str, prefix: str, progress: bool) -> None:
        asked.append((Path(url).name, path, prefix))
        raise RuntimeError("invalid hash value")

    monkeypatch.setattr(lpips, "reach_server", lambda url, seconds: None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(UserError, match="invalid hash value"):
        lpips.LPIPS(torch.device("cpu"))
    assert asked == [(NAME, str(home / NAME), "7be5be79")]


def test_the_command_leaves_the_column_empty(tmp_path: Path, home: Path) -> None:
    out = make_grid(tmp_path, ["a", "b"], ["s"])
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "nst_lightning", "evaluate", str(out), "--weights", "random"]

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, check=False,
            env={**os.environ, **nowhere}, timeout=120,
        )  # fmt: skip

    run = call("--json")
    assert run.returncode == 0, run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("LPIPS stays empty")
    assert str(home) in run.stderr
    found = json.loads(run.stdout)
    assert found["warnings"] == [run.stderr.strip()]
    (mean,) = found["means"]
    assert mean["lpips"] is None
    assert mean["results"] == len(read_manifest(out)) == 2
    assert mean["ssim"] is not None
    header, first, _ = (out / "evaluation.csv").read_text().splitlines()
    assert first.split(",")[header.split(",").index("lpips")] == ""
    without = call("--no-lpips", "--quiet")
    assert (without.returncode, without.stdout, without.stderr) == (0, "", "")
