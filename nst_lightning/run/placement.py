"""How an image is computed: whole or in tiles, with what on the device and what on the host."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch

from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import shape_at
from nst_lightning.machine_memory import machine_bytes
from nst_lightning.run.cost import history_bytes, step_bytes
from nst_lightning.run.devices import FILL, batch_size, choose_devices, free_bytes, resolve
from nst_lightning.settings import BatchSettings

TILES = (4096, 2048, 1024, 512, 256)
"""The sides that `tile: auto` chooses from; smaller ones are mostly margin."""


@dataclass(frozen=True)
class Placement:
    """How one scale of a batch is computed.

    tile: the side of tiles; None: the whole image at once.
    history: where L-BFGS keeps its memory.
    device_bytes: what a step takes on the device.
    host_bytes: what it takes beside that on the host of a GPU.
    """

    tile: int | None
    history: Literal["device", "host"]
    device_bytes: float
    host_bytes: float = 0.0


@dataclass(frozen=True)
class Room:
    """The memory that a step may take, in bytes.

    device: of the device.
    host: of the host of a GPU; on the CPU there is no other.
    """

    device: float
    host: float = 0.0

    @classmethod
    def before(cls, device: torch.device, settings: BatchSettings) -> "Room":
        """Returns what each worker will find on such a device, by the share `FILL`."""
        devices = choose_devices(settings)
        here = FILL * machine_bytes() / len(devices)
        if device.type == "cuda":
            return cls(FILL * free_bytes(tuple(devices)), here)
        return cls.on(device, settings)

    @classmethod
    def on(cls, device: torch.device, settings: BatchSettings) -> "Room":
        """Returns what there is for one worker on its device, by the share `FILL`."""
        here = FILL * machine_bytes() / len(choose_devices(settings))
        if device.type == "cpu":
            return cls(here)
        if device.type == "mps":
            free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
            return cls(FILL * free, here)
        # What torch holds without using it can be used again.
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return cls(FILL * (torch.cuda.mem_get_info(device)[0] + idle), here)


def place(
    settings: BatchSettings, room: Room, height: int, width: int, batch: int = 1
) -> Placement:
    """Returns how a batch of images is computed: whole where that fits, else in the largest tiles
    that do; and with the memory of L-BFGS on the host only where none do without.

    Where nothing fits, it is what takes the least.

    Args:
        settings: with the precision resolved.
        room: what there is.
        height: of the images.
        width: of the images.
        batch: how many they are.
    """
    pixels = height * width
    sides: list[int | None] = [None]
    if isinstance(settings.tile, int):
        sides = [settings.tile if settings.tile**2 < pixels else None]
    elif settings.tile == "auto" and not settings.not_in_tiles:
        sides += [side for side in TILES if side**2 < pixels]
    places: list[Literal["device", "host"]] = ["device", "host"]
    if settings.history != "auto":
        places = [settings.history]
    if not room.host:
        places = ["device"]  # the host is the device
    moved = batch * history_bytes(settings, pixels)
    found: list[Placement] = []
    for history in places:
        for side in sides:
            on = history == "device"
            needed = batch * step_bytes(settings, height, width, side, history=on)
            one = Placement(side, history, needed, 0.0 if on else moved)
            if fits(one, room):
                return one
            found.append(one)
    return min(found, key=lambda one: (one.host_bytes > room.host, one.device_bytes))


def fits(placement: Placement, room: Room) -> bool:
    """Returns whether there is memory for it."""
    return placement.device_bytes <= room.device and placement.host_bytes <= room.host


def largest_placement(
    settings: BatchSettings, device: torch.device, pairs: Iterable[Pair]
) -> Placement:
    """Returns how the batch of these pairs that takes most is computed at the last scale."""
    resolved = resolve(settings, device)
    room = Room.before(device, resolved)
    at = {shape_at(pair.content, settings.scales[-1], settings) for pair in pairs}
    each = [place(resolved, room, *one, batch_size(resolved, device, *one)) for one in at]
    return max(each, key=lambda one: one.device_bytes + one.host_bytes)
