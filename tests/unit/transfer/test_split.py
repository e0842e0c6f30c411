"""What a checkpoint becomes where several processes go on with it."""

from typing import Any

import torch

from nst_lightning.band import Band
from nst_lightning.transfer.split import cut_state


def test_a_process_takes_its_rows_of_everything():
    image = torch.rand(2, 3, 96, 40)
    lists = image.reshape(2, -1)
    basis = torch.stack([lists, -lists, 2 * lists], dim=1)
    known = {"pairs": torch.tensor([1, 2]), "displacement": lists, "basis": basis}
    whole: dict[str, Any] = {
        "state_dict": {"image": image, "failed_at": torch.zeros(2)},
        "images": {"last_good": image + 1, "earlier": torch.ones(2)},
        "optimizer_states": [{"state": {0: known}, "param_groups": [{"lr": 1}]}],
    }
    checkpoint = dict(whole)
    cut_state(checkpoint, Band(1, 2, (96, 40)))
    own = image[:, :, 32:]
    assert torch.equal(checkpoint["state_dict"]["image"], own)
    assert torch.equal(checkpoint["images"]["last_good"], own + 1)
    state = checkpoint["optimizer_states"][0]["state"][0]
    assert torch.equal(state["displacement"], own.reshape(2, -1))
    assert torch.equal(state["basis"][:, 2], 2 * own.reshape(2, -1))
    assert state["pairs"].tolist() == [1, 2]
    # What it was made of stays as it was, for another attempt.
    assert whole["state_dict"]["image"] is image
    assert known["displacement"] is lists


def test_images_of_adam_are_cut_too():
    image = torch.rand(1, 3, 64, 8)
    checkpoint: dict[str, Any] = {
        "state_dict": {"image": image, "average": image},
        "images": {"last_good": image},
        "optimizer_states": [{"state": {0: {"exp_avg": image, "step": torch.tensor(3.0)}}}],
    }
    cut_state(checkpoint, Band(0, 2, (64, 8)))
    state = checkpoint["optimizer_states"][0]["state"][0]
    assert torch.equal(state["exp_avg"], image[:, :, :32])
    assert float(state["step"]) == 3
    assert torch.equal(checkpoint["state_dict"]["average"], image[:, :, :32])
