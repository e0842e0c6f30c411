"""What `auto` means on a device; devices that are not here are described to the functions."""

import pytest
import torch

from nst_lightning.errors import UserError
from nst_lightning.run import devices as module
from nst_lightning.run.cost import step_bytes
from nst_lightning.run.devices import (
    batch_size,
    check_range,
    choose_device,
    resolve,
)
from nst_lightning.settings import build
from nst_lightning.vgg.weights import Weights

CPU, CUDA, MPS = (torch.device(kind) for kind in ("cpu", "cuda", "mps"))


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_f": True, "avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_f": True, "avx512_bf16": False}, "32-true"),
        ({"avx2": True}, "32-true"),
    ],
)
def test_auto_is_bfloat16_only_where_the_processor_has_it(
    capabilities: dict[str, bool], precision: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve(build({}), CPU).precision == precision
    assert resolve(build({"precision": "32-true"}), CPU).precision == "32-true"


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_on_a_gpu(native: bool, precision: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert resolve(build({}), CUDA).precision == precision
    assert resolve(build({}), MPS).precision == "32-true"


def test_what_a_device_does_not_have():
    with pytest.raises(UserError, match="16-mixed needs a GPU"):
        resolve(build({"precision": "16-mixed"}), CPU)
    with pytest.raises(UserError, match="64-true is not available on mps"):
        resolve(build({"precision": "64-true"}), MPS)
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        with pytest.raises(UserError, match="no accelerator 'gpu'"):
            choose_device("gpu")


def test_a_batch_fills_a_gpu(monkeypatch: pytest.MonkeyPatch):
    settings = build({"precision": "bf16-mixed"})
    one = step_bytes(settings, 512, 512)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(10 * one), 0))
    assert batch_size(settings, CUDA, 512, 512) == 8
    assert batch_size(settings, CUDA, 4096, 4096) == 1
    assert batch_size(settings, CUDA, 64, 64) == module.LARGEST_BATCH
    assert batch_size(settings, CPU, 64, 64) == 1
    assert batch_size(build({"batch_size": 5}), CUDA, 64, 64) == 5


@pytest.mark.parametrize(
    ("source", "taken"), [("caffe", ""), ("own.pth", "caffe-bgr"), ("own.pth", "caffe-rgb")]
)
def test_float16_does_not_hold_the_caffe_networks_gram_matrices(source: str, taken: str):
    """However it was told that a file's network is the Caffe one."""
    weights = Weights({}, "", source, taken)
    with pytest.raises(UserError, match="beyond float16's range"):
        check_range(build({"precision": "16-mixed"}), weights)
    check_range(build({"precision": "bf16-mixed"}), weights)
    check_range(build({"precision": "16-mixed"}), Weights({}, "", "own.pth", "imagenet"))
