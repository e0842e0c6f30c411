"""TF32 is allowed in its own mode and nowhere else."""

import pytest
import torch

from nst_lightning.benchmark.modes import MODES, TF32, active, check_mode, dtype_of
from nst_lightning.errors import UserError
from nst_lightning.settings import BatchSettings


def allowed() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_ends_with_what_was_before(mode: str):
    before = allowed()
    with active(mode):
        assert allowed() == (mode == TF32, mode == TF32)
        with active("32-true"):
            assert allowed() == (False, False)
        assert allowed() == (mode == TF32, mode == TF32)
    assert allowed() == before


def test_so_it_does_after_an_error():
    before = allowed()
    with pytest.raises(MemoryError), active(TF32):
        raise MemoryError
    assert allowed() == before


def test_types():
    assert {mode: dtype_of(mode) for mode in MODES} == {
        "bf16-mixed": torch.bfloat16,
        "16-mixed": torch.float16,
        "TF32": torch.float32,
        "32-true": torch.float32,
    }


def test_a_device_without_a_mode():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    with pytest.raises(UserError, match="CUDA alone"):
        check_mode(TF32, BatchSettings(), cpu)
    with pytest.raises(UserError, match="16-mixed needs a GPU"):
        check_mode("16-mixed", BatchSettings(), cpu)
    for mode in MODES:
        check_mode(mode, BatchSettings(), cuda)
