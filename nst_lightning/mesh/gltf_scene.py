"""The scene of a glTF: which primitives it shows, and where in space."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.gltf_accessors import Accessors
from nst_lightning.mesh.gltf_json import (
    Json,
    entry,
    member,
    numbers,
    objects,
    whole,
    wholes,
)
from nst_lightning.mesh.placed_faces import Array, check_count, check_indices

PrimitiveId = tuple[int, int]
"""The index of a mesh, and that of a primitive of it."""

TRIANGLES, STRIP, FAN = 4, 5, 6
"""The modes of primitives that have faces."""

DRACO = "KHR_draco_mesh_compression"
_IDENTITY = tuple(np.eye(4).flatten().tolist())


@dataclass(frozen=True)
class PlacedPrimitive:
    """A primitive in the place that a node gives it.

    id: which one it is.
    triangles: (F, 3) int64, the vertices of each face.
    positions: (V, 3) float64, in the scene.
    """

    id: PrimitiveId
    triangles: Array
    positions: Array

    @property
    def corners(self) -> Array:
        """The positions of the faces' corners, (F, 3, 3)."""
        return np.asarray(self.positions[self.triangles])


def primitive_of(root: Json, id: PrimitiveId) -> Json:
    """Returns the JSON of a primitive."""
    return entry(entry(root, "meshes", id[0]), "primitives", id[1])


def placed_primitives(root: Json, accessors: Accessors) -> list[PlacedPrimitive]:
    """Returns the primitives with faces that the scene shows, node by node.

    Transforms of nodes are applied, and the weights that meshes and nodes give their morph targets.
    A skinned mesh stands as its joints hold it, whose node's own transform has no say, as the
    specification of glTF 2.0 has it in section 3.7.3. Animations do not move anything. Nodes that
    EXT_mesh_gpu_instancing multiplies count once.

    Raises:
        BadMesh: the file is malformed, or has too many faces for this machine.
    """
    worlds = _world_matrices(root)
    shown = [
        (node, (mesh, at))
        for node in worlds
        if "mesh" in (found := entry(root, "nodes", node))
        for mesh in [whole(found, "mesh")]
        for at in range(len(objects(entry(root, "meshes", mesh), "primitives")))
        if whole(primitive_of(root, (mesh, at)), "mode", TRIANGLES) in (TRIANGLES, STRIP, FAN)
    ]
    check_count(sum(_face_count(primitive_of(root, id), accessors) for _, id in shown))
    faces: dict[PrimitiveId, Array] = {}
    placed = []
    for node, id in shown:
        if id not in faces:
            faces[id] = _triangles(primitive_of(root, id), accessors)
        positions = _positions(root, accessors, node, id, worlds)
        placed.append(PlacedPrimitive(id, faces[id], positions))
    return placed


def _world_matrices(root: Json) -> dict[int, Array]:
    """Returns the matrix (4, 4) from each node of the scene to it, parents before children."""
    nodes = objects(root, "nodes")
    children = [wholes(node, "children") for node in nodes]
    below = {child for some in children for child in some}
    check_indices(np.array(sorted(below), np.int64), len(nodes), "node")
    if sum(map(len, children)) != len(below):
        raise BadMesh("has a node with two parents; export it anew.")
    if objects(root, "scenes"):
        shown = wholes(entry(root, "scenes", whole(root, "scene", 0)), "nodes")
        check_indices(np.array(shown, np.int64), len(nodes), "node")
    else:
        shown = [node for node in range(len(nodes)) if node not in below]
    return dict(_walk(nodes, children, dict.fromkeys(shown)))


def _walk(
    nodes: list[Json], children: list[list[int]], roots: dict[int, None]
) -> Iterator[tuple[int, Array]]:
    waiting = [(node, np.eye(4)) for node in reversed(roots)]
    seen: set[int] = set()
    while waiting:
        node, parent = waiting.pop()
        if node in seen:
            raise BadMesh("has nodes that are in a circle, or twice in its scene; export it anew.")
        seen.add(node)
        world = parent @ local_matrix(nodes[node])
        yield node, world
        waiting += [(child, world) for child in reversed(children[node])]


def local_matrix(node: Json) -> Array:
    """Returns the matrix (4, 4) from a node to its parent, by columns of its file or from
    translation, rotation (a quaternion x, y, z, w) and scale."""
    if "matrix" in node:
        return np.asarray(np.reshape(numbers(node, "matrix", _IDENTITY), (4, 4)).T)
    x, y, z, w = _unit(numbers(node, "rotation", (0.0, 0.0, 0.0, 1.0)))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * numbers(node, "scale", (1.0, 1.0, 1.0))
    matrix[:3, 3] = numbers(node, "translation", (0.0, 0.0, 0.0))
    return matrix


def _unit(quaternion: tuple[float, ...]) -> tuple[float, ...]:
    length = float(np.linalg.norm(quaternion))
    return tuple(one / length for one in quaternion) if length > 0 else (0.0, 0.0, 0.0, 1.0)


def _face_count(primitive: Json, accessors: Accessors) -> int:
    indices = primitive.get("indices")
    source = primitive if indices is not None else member(primitive, "attributes")
    if "POSITION" not in member(primitive, "attributes"):
        return 0
    count = accessors.count(whole(source, "indices" if indices is not None else "POSITION"))
    mode = whole(primitive, "mode", TRIANGLES)
    return count // 3 if mode == TRIANGLES else max(0, count - 2)


def _triangles(primitive: Json, accessors: Accessors) -> Array:
    """Returns the vertices of a primitive's faces, (F, 3); all turn the same way."""
    attributes = member(primitive, "attributes")
    if "POSITION" not in attributes:
        return np.empty((0, 3), np.int64)
    vertices = accessors.count(whole(attributes, "POSITION"))
    if primitive.get("indices") is not None:
        stored = accessors.stored(whole(primitive, "indices"))
        if stored.shape[1] != 1 or stored.dtype.kind != "u":
            raise BadMesh("has indices that are no numbers of vertices; export it anew.")
        order = stored[:, 0].astype(np.int64)
        check_indices(order, vertices, "vertex")
    else:
        order = np.arange(vertices, dtype=np.int64)
    mode = whole(primitive, "mode", TRIANGLES)
    if mode == TRIANGLES:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if mode == FAN:
        first = np.broadcast_to(order[:1], max(0, len(order) - 2))
        return np.stack([order[1:-1], order[2:], first], axis=1)
    found = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    found[1::2] = found[1::2][:, [0, 2, 1]]
    return found


def _positions(
    root: Json, accessors: Accessors, node: int, id: PrimitiveId, worlds: dict[int, Array]
) -> Array:
    primitive, found = primitive_of(root, id), entry(root, "nodes", node)
    attributes = member(primitive, "attributes")
    if "POSITION" not in attributes:
        return np.empty((0, 3))
    positions = _vectors(accessors, attributes, "POSITION")
    targets = objects(primitive, "targets")
    owner = found if "weights" in found else entry(root, "meshes", id[0])
    weights = numbers(owner, "weights", (0.0,) * len(targets)) if targets else ()
    for weight, target in zip(weights, targets, strict=True):
        if weight and "POSITION" in target:
            positions = positions + weight * _like(
                positions, _vectors(accessors, target, "POSITION")
            )
    if "skin" in found and "JOINTS_0" in attributes:
        skin = entry(root, "skins", whole(found, "skin"))
        return _skinned(root, accessors, skin, attributes, positions, worlds)
    world = worlds[node]
    return np.asarray(positions @ world[:3, :3].T + world[:3, 3])


def _skinned(
    root: Json,
    accessors: Accessors,
    skin: Json,
    attributes: Json,
    positions: Array,
    worlds: dict[int, Array],
) -> Array:
    joints = wholes(skin, "joints")
    if not joints:
        raise BadMesh("has a skin without joints; export it anew.")
    matrices = np.stack([_joint(worlds, joint) for joint in joints])
    if "inverseBindMatrices" in skin:
        inverse = accessors.values(whole(skin, "inverseBindMatrices"))
        if inverse.shape[1] != 16 or len(inverse) < len(joints):
            raise BadMesh("has a skin with too few inverse bind matrices; export it anew.")
        matrices = matrices @ inverse[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
    moved, total = np.zeros_like(positions), np.zeros(len(positions))
    number = 0
    while f"JOINTS_{number}" in attributes and f"WEIGHTS_{number}" in attributes:
        which = accessors.stored(whole(attributes, f"JOINTS_{number}")).astype(np.int64)
        share = accessors.values(whole(attributes, f"WEIGHTS_{number}"))
        if not len(which) == len(share) == len(positions) or which.shape != share.shape:
            raise BadMesh("has a skin whose weights do not fit its vertices; export it anew.")
        check_indices(which[share != 0], len(joints), "joint")
        for column in range(which.shape[1]):
            weight = share[:, column]
            matrix = matrices[np.where(weight != 0, which[:, column], 0)]
            there = np.einsum("vij,vj->vi", matrix[:, :3, :3], positions) + matrix[:, :3, 3]
            moved += weight[:, None] * there
            total += weight
        number += 1
    # Stored weights sum to 1 but for rounding; a vertex without any stays where it is.
    held = total > 0
    moved[held] /= total[held, None]
    moved[~held] = positions[~held]
    return moved


def _joint(worlds: dict[int, Array], joint: int) -> Array:
    if joint not in worlds:
        raise BadMesh(f"has a skin whose joint {joint} is not in its scene; export it anew.")
    return worlds[joint]


def _vectors(accessors: Accessors, attributes: Json, name: str) -> Array:
    found = accessors.values(whole(attributes, name))
    if found.shape[1] != 3:
        raise BadMesh(f"has a {name} that is no vector of 3 numbers; export it anew.")
    return found


def _like(positions: Array, moves: Array) -> Array:
    if moves.shape != positions.shape:
        raise BadMesh("has a morph target that does not fit its vertices; export it anew.")
    return moves
