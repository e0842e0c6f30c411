"""Meshes made by code, for the tests."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nst_lightning.mesh.surface import Surface

Parts = tuple[Tensor, Tensor, Tensor]


def woven(place: Callable[[Tensor, Tensor], Parts], across: int, down: int) -> Surface:
    """Returns a mesh over u and v in [0, 1], each quad of it two faces.

    Its corners are rounded to float32, in which a ray tracer reads them.
    """
    u = torch.linspace(0, 1, across + 1, dtype=torch.float64)
    v = torch.linspace(0, 1, down + 1, dtype=torch.float64)
    rows, columns = torch.meshgrid(v, u, indexing="ij")
    points = torch.stack(place(columns, rows), dim=2).float().double()

    def faces(x: Tensor) -> Tensor:
        a, b, c, d = x[:-1, :-1], x[:-1, 1:], x[1:, 1:], x[1:, :-1]
        both = [torch.stack([a, d, c], dim=2), torch.stack([a, c, b], dim=2)]
        return torch.stack(both, dim=2).reshape(-1, 3, x.shape[2])

    uv = faces(torch.stack([columns, rows], dim=2))
    return Surface(faces(points), uv, torch.zeros(len(uv), dtype=torch.int64))


def turned(radius: Tensor, height: Tensor, u: Tensor) -> Parts:
    """Returns points around the axis; u = 0 is in front."""
    turn = 2 * math.pi * u
    return radius * torch.sin(turn), height, radius * torch.cos(turn)


def sphere(across: int = 48, down: int = 24) -> Surface:
    """Returns a sphere of radius 1."""
    return woven(
        lambda u, v: turned(torch.sin(math.pi * v), torch.cos(math.pi * v), u), across, down
    )


def torus(across: int = 48, down: int = 24) -> Surface:
    """Returns a ring that lies flat."""

    def place(u: Tensor, v: Tensor) -> Parts:
        turn = 2 * math.pi * v
        return turned(1 + 0.35 * torch.cos(turn), -0.35 * torch.sin(turn), u)

    return woven(place, across, down)


def vase(across: int = 48, down: int = 24) -> Surface:
    """Returns a wall that is open above and below, with a neck."""
    return woven(
        lambda u, v: turned(0.35 + 0.2 * torch.sin(2.2 * math.pi * (1 - v)), 1 - 2 * v, u),
        across,
        down,
    )


def stone(across: int = 48, down: int = 24) -> Surface:
    """Returns a sphere with bumps and hollows."""

    def place(u: Tensor, v: Tensor) -> Parts:
        x, y, z = turned(torch.sin(math.pi * v), torch.cos(math.pi * v), u)
        bumps = torch.sin(5 * x + 1) * torch.sin(4 * y) * torch.sin(6 * z + 2)
        radius = 1 + 0.15 * bumps + 0.1 * torch.sin(11 * x) * torch.cos(9 * y)
        return radius * x, 0.8 * radius * y, radius * z

    return woven(place, across, down)


SHAPES = {"sphere": sphere, "torus": torus, "vase": vase, "stone": stone}


def plane(size: float = 1.0, depth: float = 0.0, material: int = 0) -> Surface:
    """Returns a square of two faces that looks to the front and shows its texture once."""
    flat = woven(
        lambda u, v: (size * (2 * u - 1), size * (1 - 2 * v), torch.full_like(u, depth)), 1, 1
    )
    return Surface(flat.corners, flat.uv, flat.material + material)


def together(*surfaces: Surface) -> Surface:
    """Returns one mesh of several, their faces in order."""
    return Surface(
        torch.cat([each.corners for each in surfaces]),
        torch.cat([each.uv for each in surfaces]),
        torch.cat([each.material for each in surfaces]),
    )
