"""Whole or in tiles, on the device or the host: what is chosen for how much memory."""

from pathlib import Path

import pytest
import torch

from nst_lightning.grid.pairs import Grid
from nst_lightning.grid.sources import Source
from nst_lightning.run.cost import history_bytes, step_bytes
from nst_lightning.run.devices import FILL
from nst_lightning.run.placement import Room, fits, largest_placement, place
from nst_lightning.settings import BatchSettings, build

SIDE = 3000


def settings(**changes: object) -> BatchSettings:
    return build({"precision": "bf16-mixed", **changes})


def bytes_of(chosen: BatchSettings, tile: int | None, *, history: bool = True) -> float:
    return step_bytes(chosen, SIDE, SIDE, tile, history=history)


def test_the_largest_tiles_that_fit():
    chosen = settings()
    needed = {tile: bytes_of(chosen, tile) for tile in (None, 2048, 1024, 512, 256)}
    assert sorted(needed.values(), reverse=True) == list(needed.values())
    for tile, most in needed.items():
        placement = place(chosen, Room(most), SIDE, SIDE)
        assert (placement.tile, placement.history) == (tile, "device")
        assert placement.device_bytes == most
        assert fits(placement, Room(most))
    too_little = Room(0.99 * needed[256])
    assert not fits(place(chosen, too_little, SIDE, SIDE), too_little)


def test_tiles_that_are_asked_for():
    chosen, room = settings(tile=512), Room(1e15)
    assert place(chosen, room, SIDE, SIDE).tile == 512
    assert place(chosen, room, 512, 400).tile is None
    assert place(settings(tile="none"), Room(1.0), SIDE, SIDE).tile is None
    assert place(settings(style_loss="sliced-wasserstein"), Room(1.0), SIDE, SIDE).tile is None


def test_the_memory_of_lbfgs_goes_to_the_host_where_tiles_are_not_enough():
    chosen = settings()
    moved = history_bytes(chosen, SIDE * SIDE)
    little = bytes_of(chosen, 1024, history=False)
    assert little < bytes_of(chosen, 256)
    placement = place(chosen, Room(little, 2 * moved), SIDE, SIDE)
    assert (placement.tile, placement.history) == (1024, "host")
    assert placement.host_bytes == moved
    assert not fits(place(chosen, Room(little, 0.5 * moved), SIDE, SIDE), Room(little))
    assert place(settings(history="host"), Room(1e15, 1e15), SIDE, SIDE).history == "host"
    assert place(settings(history="device"), Room(little, 1e15), SIDE, SIDE).history == "device"
    # On the CPU there is no other host.
    assert place(settings(history="host"), Room(1e15), SIDE, SIDE).history == "device"


def test_a_smaller_memory_of_lbfgs():
    pixels = SIDE * SIDE
    assert history_bytes(settings(), pixels) == 20 * 12 * pixels
    assert history_bytes(settings(lbfgs_precision="bfloat16"), pixels) == 20 * 6 * pixels
    assert history_bytes(settings(lbfgs_memory=5), pixels) == 10 * 12 * pixels
    assert history_bytes(settings(precision="64-true"), pixels) == 20 * 24 * pixels
    assert history_bytes(settings(optimizer="adam"), pixels) == 2 * 12 * pixels


def test_workers_on_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nst_lightning.run.placement.machine_bytes", lambda: 8e9)
    cpu = torch.device("cpu")
    assert Room.on(cpu, settings(accelerator="cpu")) == Room(FILL * 8e9)
    assert Room.on(cpu, settings(accelerator="cpu", devices=2)) == Room(FILL * 4e9)


def test_a_plan_says_what_the_largest_image_takes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nst_lightning.run.placement.machine_bytes", lambda: 1e15)
    chosen = build({"size": 512, "precision": "32-true", "accelerator": "cpu"})
    contents = [Source(Path("c"), "c", (512, 512)), Source(Path("d"), "d", (100, 100))]
    pairs = Grid(contents, [Source(Path("s"), "s", (9, 9))])
    placement = largest_placement(chosen, torch.device("cpu"), pairs)
    assert placement.device_bytes == step_bytes(chosen, 512, 512)
