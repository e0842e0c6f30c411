"""A glTF → the faces of its scene: against trimesh, and against numbers worked out here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from torch import Tensor

from nst_lightning.mesh.mesh_file import MeshFile
from nst_lightning.mesh.mesh_formats import read_mesh
from tests.unit.imaging.test_profiles import P3, rgb_profile
from tests.unit.mesh.gltf_builder import QUAD, QUAD_FACES, QUAD_UV, Gltf, png_of

CORNERS = QUAD[QUAD_FACES].reshape(2, 3, 3)


def close(found: Tensor, expected: Any, atol: float = 1e-6) -> None:
    np.testing.assert_allclose(found.numpy(), expected, atol=atol, rtol=0)


def read(made: Gltf, tmp_path: Path) -> MeshFile:
    return read_mesh(made.glb(tmp_path / "in.glb"), texture_size=64)


def textured() -> tuple[Gltf, int]:
    made = Gltf()
    return made, made.textured(made.image(png_of()))


def by_trimesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Corners and UVs of all faces of a scene, v downwards, sorted by position."""
    scene = trimesh.load_scene(path)
    corners, uv = [], []
    for name in scene.graph.nodes_geometry:
        matrix, geometry = scene.graph[name]
        mesh = scene.geometry[geometry]
        placed = trimesh.transform_points(mesh.vertices, matrix)
        corners.append(placed[mesh.faces])
        uv.append(mesh.visual.uv[mesh.faces] * (1, -1) + (0, 1))  # trimesh has v upwards
    return in_order(np.concatenate(corners), np.concatenate(uv))


def in_order(corners: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort(np.round(corners.reshape(-1, 9), 4).T)
    return corners[order], uv[order]


def test_a_scene_of_nodes_is_that_which_trimesh_reads(tmp_path: Path):
    rng = np.random.default_rng(3)
    made, material = textured()
    sphere = trimesh.creation.uv_sphere(count=(8, 8))
    uv = rng.uniform(-1, 2, (len(sphere.vertices), 2))
    primitive = {
        "attributes": {
            "POSITION": made.array(sphere.vertices),
            "TEXCOORD_0": made.array(uv),
        },
        "indices": made.array(sphere.faces.reshape(-1), "u4"),
        "material": material,
    }
    ball = made.show(
        primitive, translation=[1, 2, 3], rotation=[0.1, 0.7, 0.1, 0.7], scale=[1, 2, 0.5]
    )
    matrix = trimesh.transformations.compose_matrix(
        scale=(2, 1, 1), angles=(0.3, 0.4, 0.5), translate=(9, 8, 7)
    )
    made.add("nodes", {"children": [ball], "matrix": matrix.T.reshape(-1).tolist()})
    made.add("nodes", {"mesh": 0, "translation": [-20, 0, 0]})
    surface = read(made, tmp_path).surface
    corners, uv = by_trimesh(tmp_path / "in.glb")
    ours = in_order(surface.corners.numpy(), surface.uv.numpy())
    assert len(corners) == 2 * len(sphere.faces)
    np.testing.assert_allclose(ours[0], corners, atol=1e-5)
    np.testing.assert_allclose(ours[1], uv, atol=1e-6)


def test_faces_stand_in_the_order_of_the_file(tmp_path: Path):
    made, material = textured()
    first = made.quad(material)
    second = made.quad(material, POSITION=made.array(QUAD + 5))
    made.show(second, first)
    surface = read(made, tmp_path).surface
    close(surface.corners, np.concatenate([CORNERS + 5, CORNERS]))
    close(surface.uv, np.concatenate([QUAD_UV[QUAD_FACES].reshape(2, 3, 2)] * 2))
    assert surface.corners.dtype == surface.uv.dtype == torch.float64
    assert surface.material.dtype == torch.int64


def test_only_the_scene_that_is_shown_counts(tmp_path: Path):
    made, material = textured()
    made.show(made.quad(material))
    made.show(made.quad(material, POSITION=made.array(QUAD + 5)))
    made.root["scenes"] = [{"nodes": [0]}, {"nodes": [1]}]
    made.root["scene"] = 1
    close(read(made, tmp_path).surface.corners, CORNERS + 5)


def test_strips_and_fans_turn_as_their_triangles_do(tmp_path: Path):
    points = np.random.default_rng(0).normal(size=(6, 3)).astype("f4")
    for mode, faces in {
        5: [(0, 1, 2), (1, 3, 2), (2, 3, 4), (3, 5, 4)],
        6: [(1, 2, 0), (2, 3, 0), (3, 4, 0), (4, 5, 0)],
    }.items():
        made = Gltf()
        made.show({"attributes": {"POSITION": made.array(points)}, "mode": mode})
        close(read(made, tmp_path).surface.corners, points[np.array(faces)])


def test_points_and_lines_are_passed_over(tmp_path: Path):
    made, material = textured()
    made.show(made.quad(material) | {"mode": 1}, made.quad(material))
    assert len(read(made, tmp_path).surface.corners) == 2


@pytest.mark.parametrize("kind", ["u1", "u2", "i1", "i2"])
def test_normalised_integers_are_shares_of_their_largest(tmp_path: Path, kind: str):
    made, material = textured()
    largest = np.iinfo(kind).max
    stored = np.array([[0, largest], [largest, largest // 3], [1, 2], [largest // 2, 7]])
    uv = made.array(np.pad(stored, ((0, 0), (0, 2))), kind)  # with a gap behind each
    made.root["accessors"][uv] |= {"type": "VEC2", "normalized": True}
    size = np.dtype(kind).itemsize
    made.root["bufferViews"][-1] |= {"byteStride": 4 * size}
    made.show(made.quad(material, TEXCOORD_0=uv))
    expected = (stored / largest)[QUAD_FACES].reshape(2, 3, 2)
    close(read(made, tmp_path).surface.uv, expected, 1e-12)


def test_sparse_accessors_change_single_elements(tmp_path: Path):
    made, material = textured()
    where = made.view(np.array([1, 2, 3], "<u2").tobytes())
    what = made.view(np.array([[7, 7, 7], [1, 1, 0], [8, 8, 0]], "<f4").tobytes())
    sparse = {
        "count": 3,
        "indices": {"bufferView": where, "componentType": 5123},
        "values": {"bufferView": what},
    }
    expected = QUAD.copy()
    expected[1:] = [[7, 7, 7], [1, 1, 0], [8, 8, 0]]
    for start in (QUAD, None):
        position = made.array(QUAD, sparse=sparse)
        if start is None:
            del made.root["accessors"][position]["bufferView"]
        made.root.pop("meshes", None), made.root.pop("nodes", None)
        made.root.pop("scenes", None)
        made.show(made.quad(material, POSITION=position))
        close(read(made, tmp_path).surface.corners, expected[QUAD_FACES].reshape(2, 3, 3))


def test_the_texture_says_which_uvs_and_how_they_are_moved(tmp_path: Path):
    made, material = textured()
    other = made.array(QUAD_UV * 3)
    info = made.root["materials"][material]["pbrMetallicRoughness"]["baseColorTexture"]
    info |= {"texCoord": 1}
    made.show(made.quad(material, TEXCOORD_1=other))
    close(read(made, tmp_path).surface.uv, 3 * QUAD_UV[QUAD_FACES].reshape(2, 3, 2))
    moved = {"offset": [0.0, 1.0], "rotation": np.pi / 2, "scale": [0.5, 0.5], "texCoord": 0}
    info["extensions"] = {"KHR_texture_transform": moved}
    # The extension's own example: the lower left quarter, turned by a quarter.
    expected = np.stack([0.5 * QUAD_UV[:, 1], 1 - 0.5 * QUAD_UV[:, 0]], axis=1)
    close(read(made, tmp_path).surface.uv, expected[QUAD_FACES].reshape(2, 3, 2))


def test_a_skin_holds_its_vertices_at_rest(tmp_path: Path):
    made, material = textured()
    joints = made.array([[0, 1, 0, 0]] * 4, "u1")
    shares = np.array([[1, 0], [0.5, 0.5], [0, 1], [0.25, 0.75]])
    weights = made.array(np.pad(shares * 255, ((0, 0), (0, 2))).round(), "u1", normalized=True)
    inverse = np.stack([np.eye(4), np.eye(4)])
    inverse[1, :3, 3] = 0, 0, 2
    bind = made.array(inverse.transpose(0, 2, 1).reshape(2, 16))  # by columns
    made.show(
        made.quad(material, JOINTS_0=joints, WEIGHTS_0=weights), skin=0, translation=[100, 0, 0]
    )
    lower = made.add("nodes", {"translation": [1, 0, 0]})
    upper = made.add("nodes", {"scale": [2, 2, 2], "children": [lower]})
    made.root["skins"] = [{"joints": [upper, lower], "inverseBindMatrices": bind}]
    expected = []
    for point, (a, b) in zip(QUAD, (shares * 255).round(), strict=True):
        first, second = 2 * point, 2 * (point + np.array([1, 0, 2]))
        expected.append((a * first + b * second) / (a + b))
    close(read(made, tmp_path).surface.corners, np.array(expected)[QUAD_FACES].reshape(2, 3, 3))


def test_morph_targets_stand_at_their_weights(tmp_path: Path):
    made, material = textured()
    moves = [np.random.default_rng(n).normal(size=(4, 3)).astype("f4") for n in range(2)]
    primitive = made.quad(material)
    primitive["targets"] = [{"POSITION": made.array(one)} for one in moves]
    made.show(primitive)
    for owner, weights in (("meshes", [0.5, -2.0]), ("nodes", [1.0, 0.0])):
        made.root[owner][0]["weights"] = weights
        moved = QUAD + sum(w * m for w, m in zip(weights, moves, strict=True))
        close(read(made, tmp_path).surface.corners, moved[QUAD_FACES].reshape(2, 3, 3))


def test_the_texture_is_that_of_the_file(tmp_path: Path):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 9, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "skin.png")
    made = Gltf()
    made.root["samplers"] = [{"wrapT": 33648, "magFilter": 9729}]
    made.show(made.quad(made.textured(made.image((tmp_path / "skin.png").read_bytes()), sampler=0)))
    [texture] = read(made, tmp_path).textures
    close(texture.image.mul(255), pixels.transpose(2, 0, 1), 1e-4)
    assert texture.wrap == ("repeat", "mirror")
    assert texture.image.dtype == torch.float32


def test_colour_profiles_are_ignored_as_gltf_says(tmp_path: Path):
    image = Image.new("RGB", (4, 4), (10, 100, 200))
    image.save(tmp_path / "skin.png", icc_profile=rgb_profile(P3, 1.0))
    made = Gltf()
    made.show(made.quad(made.textured(made.image((tmp_path / "skin.png").read_bytes()))))
    [texture] = read(made, tmp_path).textures
    assert texture.image[:, 0, 0].mul(255).round().tolist() == [10, 100, 200]


def test_specular_glossiness_has_its_own_texture(tmp_path: Path):
    made, material = textured()
    info = made.root["materials"][material].pop("pbrMetallicRoughness")["baseColorTexture"]
    made.root["materials"][material]["extensions"] = {
        "KHR_materials_pbrSpecularGlossiness": {"diffuseTexture": info}
    }
    made.show(made.quad(material))
    assert read(made, tmp_path).textures[0].image.shape == (3, 6, 8)
