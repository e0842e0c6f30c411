"""Where a mesh is looked at from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.mesh.atlas import Atlas
from nst_lightning.mesh.rasterizer import Camera, Point, dot, rasterize
from nst_lightning.mesh.surface import Surface
from nst_lightning.mesh.texels import oversampling_for

FRONT: Point = (0.0, 0.0, 1.0)
"""What faces a camera in front: +Z, as in glTF, where +Y is up and +X to the right."""

ALWAYS: tuple[Point, ...] = ((0.0, 0.25, 1.0), (0.8, 0.5, 0.8))
"""The directions that are always looked from: the front and three quarters of it."""

CANDIDATES = 96
"""Directions that views are chosen from."""

ENOUGH = 0.98
"""The share of the visible texels that a set of views is chosen to show."""

MARGIN = 0.08
"""The background around a mesh, as a share of half the view."""

FIELD_OF_VIEW = 30.0
"""That of a portrait lens, in degrees."""

ROUGH = 256
"""The points along each side of the views that are compared."""


@dataclass(frozen=True)
class Sphere:
    """A sphere around a mesh.

    centre: the middle of the mesh's box.
    radius: above 0.
    """

    centre: Point
    radius: float


@dataclass(frozen=True)
class Look:
    """What a camera sees of a mesh.

    camera: the camera.
    texels: (n,) int64, those that its view is made of, each once.
    worth: (n,) in (0.5, 1], a half for being seen and a half for how squarely.
    """

    camera: Camera
    texels: Tensor
    worth: Tensor


def bounding_sphere(surface: Surface) -> Sphere:
    """Returns the sphere around the middle of a mesh's box that holds every corner."""
    points = surface.corners.reshape(-1, 3)
    centre = (points.amin(dim=0) + points.amax(dim=0)) / 2
    radius = float((points - centre).norm(dim=1).max())
    x, y, z = centre.tolist()
    return Sphere((x, y, z), radius or 1.0)


def camera_from(direction: Point, sphere: Sphere) -> Camera:
    """Returns the camera that shows a sphere with a margin around it.

    Args:
        direction: from the sphere to the camera, of any length. Straight from above the front is
            at the bottom of the view, straight from below at its top.
        sphere: what it shows.
    """
    length = math.hypot(*direction)
    x, y, z = (each / length for each in direction)
    half = math.atan((1 - MARGIN) * math.tan(math.radians(FIELD_OF_VIEW) / 2))
    distance = sphere.radius / math.sin(half)
    a, b, c = sphere.centre
    up = (0.0, 1.0, 0.0) if abs(y) < 0.999 else (0.0, 0.0, -math.copysign(1.0, y))
    position = (a + distance * x, b + distance * y, c + distance * z)
    return Camera(position, sphere.centre, up, FIELD_OF_VIEW)


def fibonacci_directions(count: int) -> list[Point]:
    """Returns directions spread evenly over the sphere, on the spiral of the golden angle.

    The formula is that of Swinbank & Purser 2006, "Fibonacci grids", with half a step at the poles.
    """
    golden = math.pi * (3 - math.sqrt(5))
    heights = [1 - (2 * i + 1) / count for i in range(count)]
    return [
        (
            math.sqrt(1 - y * y) * math.sin(golden * i),
            y,
            math.sqrt(1 - y * y) * math.cos(golden * i),
        )
        for i, y in enumerate(heights)
    ]


def turntable(surface: Surface, count: int, height: float = 0.3) -> list[Camera]:
    """Returns cameras around a mesh, from the front to the right and on, slightly from above.

    Args:
        surface: the mesh.
        count: of the cameras; the way from the last to the first is one more step.
        height: of the cameras, in parts of their distance from the axis.
    """
    sphere = bounding_sphere(surface)
    turns = [2 * math.pi * i / count for i in range(count)]
    return [camera_from((math.sin(turn), height, math.cos(turn)), sphere) for turn in turns]


def four_sides(surface: Surface) -> list[Camera]:
    """Returns cameras in front of a mesh, to its right, behind it and to its left, slightly above.

    To the right is where +X is, to which a viewer in front of it looks on the right.
    """
    return turntable(surface, 4)


def choose_cameras(
    surface: Surface,
    atlas: Atlas,
    view_size: int,
    count: int = 12,
    most: int | None = None,
    sets: int = 1,
) -> list[list[Camera]]:
    """Chooses sets of views, each of which shows what can be seen and looks from all around.

    The first views of the first set are fixed. Each further one is that which adds most to its set,
    where a texel counts a half for being seen at all and a half for being seen squarely, until
    `ENOUGH` of the texels that any candidate sees are seen; from then on it is that which is
    farthest from those of its set. No two sets have one in common. Views and textures are smaller
    for the choice, in one proportion, so that a texel which a view would miss is missed here as
    well.

    Args:
        surface: the mesh.
        atlas: how its textures lie in the image of the texels.
        view_size: the height and width of each view, in pixels.
        count: of the views of a set, at least 1.
        most: more views than `count` are added to a set up to this number, until it shows
            enough; by default twice as many.
        sets: their number, at least 1.

    Returns:
        The cameras of each set in the order in which they were chosen; the same on every call.

    Raises:
        UserError: nothing of the mesh can be seen.
    """
    rough = rough_atlas(surface, atlas, view_size)
    looks = [look(surface, rough, camera) for camera in candidates(surface, count, sets)]
    visible = len(torch.unique(torch.cat([each.texels for each in looks])))
    if not visible:
        raise UserError("nothing of the mesh can be seen: its faces have no area.")

    limit = 2 * count if most is None else most

    def choose(fixed: int) -> list[Camera]:
        best = torch.zeros(rough.count, dtype=torch.float64, device=surface.corners.device)
        chosen: list[Camera] = []

        def gain(i: int) -> float:
            return float((looks[i].worth - best[looks[i].texels]).clamp(min=0).sum())

        def apart(i: int) -> float:
            return min(math.dist(looks[i].camera.position, each.position) for each in chosen)

        while True:
            enough = int((best > 0).sum()) >= ENOUGH * visible
            if len(chosen) >= (count if enough else limit):
                return chosen
            key = apart if enough else gain
            taken = looks.pop(0 if len(chosen) < fixed else max(range(len(looks)), key=key))
            best[taken.texels] = torch.maximum(best[taken.texels], taken.worth)
            chosen.append(taken.camera)

    return [choose(0 if k else len(ALWAYS)) for k in range(sets)]


def candidates(surface: Surface, count: int, sets: int = 1) -> list[Camera]:
    """Returns the cameras of which sets of `count` or more are chosen, those of `ALWAYS` first."""
    sphere = bounding_sphere(surface)
    directions = [*ALWAYS, *fibonacci_directions(max(CANDIDATES, 2 * (sets + 1) * count))]
    return [camera_from(direction, sphere) for direction in directions]


def touched_share(
    surface: Surface, atlas: Atlas, view_size: int, cameras: Sequence[Camera]
) -> float:
    """Returns which share of the texels that these or other views see these see, in [0, 1]."""
    rough = rough_atlas(surface, atlas, view_size)
    own = {camera: look(surface, rough, camera).texels for camera in cameras}
    others = [
        look(surface, rough, camera).texels
        for camera in candidates(surface, len(cameras))
        if camera not in own
    ]
    touched = torch.unique(torch.cat([*own.values()]))
    visible = torch.unique(torch.cat([*own.values(), *others]))
    return len(touched) / max(1, len(visible))


def rough_atlas(surface: Surface, atlas: Atlas, view_size: int) -> Atlas:
    """Returns the atlas at the size at which views of `ROUGH` points see it as large ones do."""
    points = oversampling_for(surface, atlas, four_sides(surface), view_size)
    return atlas.scaled(min(1.0, ROUGH / (view_size * points)))


def look(surface: Surface, rough: Atlas, camera: Camera) -> Look:
    """Returns what a camera sees at `ROUGH` points along each side of its view."""
    hits = rasterize(surface.corners, camera, ROUGH, ROUGH)
    shown = hits.face >= 0
    face, weights = hits.face[shown], hits.weights[shown][..., None]
    corners = surface.corners[face]
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    way = corners.new_tensor(camera.position) - (weights * corners).sum(dim=1)
    squareness = dot(normal, way).abs() / (normal.norm(dim=1) * way.norm(dim=1))
    texel, tap = rough.taps(surface.material[face], (weights * surface.uv[face]).sum(dim=1))
    used = tap > 0
    texels, place = torch.unique(texel[used], return_inverse=True)
    worth = 0.5 + squareness[:, None].expand_as(tap)[used] / 2
    most = torch.zeros(len(texels), dtype=worth.dtype, device=worth.device)
    return Look(camera, texels, most.scatter_reduce(0, place, worth, "amax"))
