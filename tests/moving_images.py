"""Clips whose motion is known exactly, made in memory.

Textures are functions of the plane, so that a frame is computed at its own positions and nothing is
resampled. Positions and motions are (x, y) in pixels; frames are (1, 3, H, W) in [0, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Texture = Callable[[Tensor], Tensor]
"""Colours (1, 3, H, W) at positions (1, 2, H, W)."""

WAVES = 40
SHORTEST = 6.0
"""Pixels of the shortest wave, and the longest is 20 times that: natural images too have most of
their energy at low frequencies."""


def texture(seed: int = 0) -> Texture:
    """Makes a texture of soft edges: a sum of waves, pressed into [0, 1]."""
    random = torch.Generator().manual_seed(seed)
    length = SHORTEST * 20 ** torch.rand(WAVES, generator=random)
    angle = 2 * torch.pi * torch.rand(WAVES, generator=random)
    waves = 2 * torch.pi / length * torch.stack([angle.cos(), angle.sin()])
    phases = 2 * torch.pi * torch.rand(3, WAVES, 1, generator=random)
    heights = (length / length.max()).sqrt()

    def colours(at: Tensor) -> Tensor:
        inner = torch.einsum("cn,chw->nhw", waves, at[0]).flatten(1)
        sums = torch.stack([heights @ torch.sin(inner + phase) for phase in phases])
        return torch.sigmoid(sums).unflatten(1, at.shape[-2:])[None]

    return colours


def positions(height: int, width: int) -> Tensor:
    """Returns the position of every pixel, (1, 2, H, W)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y])[None].float()


@dataclass(frozen=True)
class Camera:
    """Where the pixels of a frame lie on its texture: `matrix @ (p − centre) + centre + shift`."""

    height: int
    width: int
    shift: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    degrees: float = 0.0

    def matrix(self) -> Tensor:
        angle = torch.deg2rad(torch.tensor(self.degrees))
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])]) / self.zoom

    def on_texture(self) -> Tensor:
        """Returns the position on the texture of every pixel, (1, 2, H, W)."""
        return self._turned(self.matrix(), positions(self.height, self.width)) + self._shift()

    def flow_to(self, other: "Camera") -> Tensor:
        """Returns the flow (1, 2, H, W) from this camera's frame to another one's."""
        there = other._turned(other.matrix().inverse(), self.on_texture() - self._shift_of(other))
        return there - positions(self.height, self.width)

    def frame(self, of: Texture) -> Tensor:
        return of(self.on_texture())

    def _turned(self, matrix: Tensor, at: Tensor) -> Tensor:
        centre = torch.tensor([self.width - 1.0, self.height - 1.0]).view(1, 2, 1, 1) / 2
        return torch.einsum("dc,bchw->bdhw", matrix, at - centre) + centre

    def _shift(self) -> Tensor:
        return self._shift_of(self)

    @staticmethod
    def _shift_of(camera: "Camera") -> Tensor:
        return torch.tensor(camera.shift).view(1, 2, 1, 1)


def as_bytes(frame: Tensor) -> np.ndarray:
    """Returns a frame as a decoder gives it, uint8 (H, W, 3)."""
    levels = (frame[0] * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().numpy()


def with_noise(frame: Tensor, levels: float, seed: int) -> Tensor:
    """Adds Gaussian noise of so many levels of 255, and rounds to levels."""
    noise = torch.randn(frame.shape, generator=torch.Generator().manual_seed(seed))
    return (frame * 255 + levels * noise).round().clamp(0, 255) / 255


@dataclass(frozen=True)
class Disc:
    """A disc with a texture of its own that moves over a still one."""

    size: int = 192
    radius: float = 40.0
    speed: tuple[float, float] = (9.0, 4.0)

    def covers(self, time: int) -> Tensor:
        """Returns where the disc is, (1, 1, H, W) of bool."""
        return (self._from_centre(time).square().sum(dim=1, keepdim=True)) <= self.radius**2

    def frame(self, time: int) -> Tensor:
        disc = texture(1)(self._from_centre(time))
        ground = texture(2)(positions(self.size, self.size))
        return torch.where(self.covers(time), disc, ground)

    def flow(self, start: int, end: int) -> Tensor:
        """Returns the flow (1, 2, H, W) from the frame of one time to that of another."""
        moved = torch.tensor(self.speed).view(1, 2, 1, 1) * (end - start)
        return self.covers(start) * moved

    def revealed(self, time: int, before: int) -> Tensor:
        """Returns which pixels of a frame an earlier one does not show, (1, 1, H, W) of bool."""
        return self.covers(before) & ~self.covers(time)

    def _from_centre(self, time: int) -> Tensor:
        first = torch.tensor([self.size * 0.4, self.size * 0.45])
        centre = first + time * torch.tensor(self.speed)
        return positions(self.size, self.size) - centre.view(1, 2, 1, 1)
