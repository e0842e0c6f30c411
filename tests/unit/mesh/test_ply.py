"""PLY files in ASCII and both byte orders: read against trimesh and by hand, and written back."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from nst_lightning.mesh.mesh_file import MeshFile
from nst_lightning.mesh.mesh_formats import files_beside, read_mesh, write_mesh
from tests.unit.mesh.gltf_builder import png_of
from tests.unit.mesh.test_obj import CORNERS, UV

RED = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 12, 10)
ORDERS = ("ascii", "binary_little_endian", "binary_big_endian")
SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
SQUARE_UV = [(0, 0), (1, 0), (1, 1), (0, 1)]


def rows(order: str, kinds: str, values: Sequence[Sequence[float]]) -> bytes:
    """The rows of an element; kinds are those of struct, one a number."""
    if order == "ascii":
        return b"".join((" ".join(f"{v:g}" for v in row) + "\n").encode() for row in values)
    sign = ">" if "big" in order else "<"
    return b"".join(
        struct.pack(
            sign + kinds[: len(row)],
            *(v if k in "fd" else int(v) for k, v in zip(kinds, row, strict=False)),
        )
        for row in values
    )


def ply(order: str, header: str, *parts: bytes) -> bytes:
    return f"ply\nformat {order} 1.0\n{header}end_header\n".encode() + b"".join(parts)


POSITION = "property float x\nproperty double y\nproperty float z\n"


def square(
    order: str, *, images: str = "comment TextureFile skin.png\n", quad: bool = True
) -> bytes:
    """The square with UVs at its vertices, between other properties and elements."""
    header = (
        f"comment made by hand\n{images}element vertex 4\n{POSITION}property uchar quality\n"
        "property float s\nproperty float t\nelement face {}\n"
        "property list uchar int vertex_indices\nproperty short flags\n"
        "element edge 1\nproperty int vertex1\nproperty int vertex2\n"
    )
    vertices = [(*p, 200, *uv) for p, uv in zip(SQUARE, SQUARE_UV, strict=True)]
    faces = [(4, 0, 1, 2, 3, -7)] if quad else [(3, 0, 1, 2, -7), (3, 0, 2, 3, 9)]
    return ply(
        order,
        header.format(len(faces)),
        rows(order, "fdfBff", vertices),
        rows(order, "B" + "i" * (4 if quad else 3) + "h", faces),
        rows(order, "ii", [(2, 3)]),
    )


def given(folder: Path, data: bytes) -> Path:
    folder.joinpath("skin.png").write_bytes(png_of())
    path = folder / "in.ply"
    path.write_bytes(data)
    return path


def equal(found: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def written(mesh: MeshFile, folder: Path, *images: Tensor) -> Path:
    path = folder / "out" / "styled one.ply"
    write_mesh(mesh, images, path)
    there = sorted(file.name for file in path.parent.iterdir())
    assert there == sorted([*files_beside(mesh, path), path.name])
    return path


@pytest.mark.parametrize("quad", [True, False])
@pytest.mark.parametrize("order", ORDERS)
def test_a_ply_is_read_and_written_as_it_was(tmp_path: Path, order: str, quad: bool):
    data = square(order, quad=quad)
    mesh = read_mesh(given(tmp_path, data))
    equal(mesh.surface.corners, CORNERS)
    equal(mesh.surface.uv, UV)
    assert mesh.textures[0].image.shape == (3, 6, 8)
    out = written(mesh, tmp_path, RED)
    assert out.read_bytes() == data.replace(b"skin.png", b"styled one.png")
    assert (read_mesh(out).textures[0].image == RED).all()


@pytest.mark.parametrize("order", ORDERS)
def test_uvs_of_faces_and_several_images(tmp_path: Path, order: str):
    header = (
        "comment TextureFile skin.png\ncomment TextureFile other one.png\n"
        f"element vertex 4\n{POSITION}element face 2\nproperty list uchar uint vertex_index\n"
        "property list uchar float texcoord\nproperty int texnumber\n"
    )
    faces = [
        (3, 0, 1, 2, 6, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1),
        (3, 0, 2, 3, 6, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0),
    ]
    data = ply(order, header, rows(order, "fdf", SQUARE), rows(order, "BIIIBffffffi", faces))
    tmp_path.joinpath("other one.png").write_bytes(png_of((1, 2, 3), (3, 3)))
    mesh = read_mesh(given(tmp_path, data))
    equal(mesh.surface.uv, UV)
    assert mesh.surface.material.tolist() == [1, 0]
    out = written(mesh, tmp_path, RED, 1 - RED)
    assert out.read_bytes() == data.replace(b"skin.png", b"styled one-0.png").replace(
        b"other one.png", b"styled one-1.png"
    )
    again = read_mesh(out)
    assert (again.textures[1].image == 1 - RED).all()


def test_windows_line_ends_stay(tmp_path: Path):
    data = square("ascii").replace(b"\n", b"\r\n")
    mesh = read_mesh(given(tmp_path, data))
    equal(mesh.surface.uv, UV)
    out = written(mesh, tmp_path, RED)
    assert out.read_bytes() == data.replace(b"skin.png", b"styled one.png")


def test_a_file_without_an_image_gets_one_and_a_comment(tmp_path: Path):
    data = square("binary_big_endian", images="")
    mesh = read_mesh(given(tmp_path, data), texture_size=16)
    assert mesh.textures[0].image.shape == (3, 16, 16)
    assert (mesh.textures[0].image == 1).all()
    out = written(mesh, tmp_path, RED)
    marked = data.replace(b"1.0\n", b"1.0\ncomment TextureFile styled one.png\n", 1)
    assert out.read_bytes() == marked


@pytest.mark.parametrize("order", ORDERS)
def test_a_ball_is_that_which_trimesh_reads(tmp_path: Path, order: str):
    ball = trimesh.creation.icosphere(subdivisions=1)
    uv = np.random.default_rng(0).uniform(size=(len(ball.vertices), 2))
    header = (
        f"comment TextureFile skin.png\nelement vertex {len(uv)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property float texture_u\nproperty float texture_v\n"
        f"element face {len(ball.faces)}\nproperty list uchar int vertex_indices\n"
    )
    vertices = np.concatenate([ball.vertices, uv], axis=1).tolist()
    faces = [(3, *face) for face in ball.faces.tolist()]
    data = ply(order, header, rows(order, "fffff", vertices), rows(order, "Biii", faces))
    path = given(tmp_path, data)
    surface = read_mesh(path).surface
    theirs = trimesh.load_mesh(path, process=False)
    equal(surface.corners, theirs.vertices[theirs.faces])
    where = {tuple(np.round(p, 4)): uv[n] for n, p in enumerate(ball.vertices)}
    expected = [where[tuple(np.round(p, 4))] for p in surface.corners.reshape(-1, 3).numpy()]
    np.testing.assert_allclose(
        surface.uv.reshape(-1, 2), np.array(expected) * (1, -1) + (0, 1), atol=1e-5
    )


@pytest.mark.parametrize("order", ORDERS)
def test_a_mesh_without_uvs_is_unwrapped(tmp_path: Path, order: str):
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    faces = [
        (4, 0, 1, 3, 2, 5), (4, 4, 6, 7, 5, 6), (4, 0, 4, 5, 1, 7),
        (4, 2, 3, 7, 6, 8), (3, 0, 2, 6, 9), (3, 0, 6, 4, 10), (4, 1, 5, 7, 3, 11),
    ]  # fmt: skip
    header = (
        f"element vertex 8\n{POSITION}property uchar red\nproperty uchar green\n"
        f"property uchar blue\nelement face {len(faces)}\n"
        "property list uchar ushort vertex_indices\nproperty short flags\n"
        "element edge 1\nproperty int vertex1\nproperty int vertex2\n"
    )
    vertices = [(*p, *(255 * one for one in p)) for p in corners]
    body = b"".join(rows(order, "B" + "H" * face[0] + "h", [face]) for face in faces)
    data = ply(order, header, rows(order, "fdfBBB", vertices), body, rows(order, "ii", [(2, 3)]))
    mesh = read_mesh(given(tmp_path, data), texture_size=128)
    assert mesh.surface.corners.shape == (12, 3, 3)
    image = mesh.textures[0].image
    x, y = (mesh.surface.uv.mean(1) * torch.tensor(image.shape[:0:-1])).long().T
    shown = image[:, y, x].T
    assert (shown - mesh.surface.corners.mean(1)).abs().max() < 0.03
    out = written(mesh, tmp_path, RED)
    again = read_mesh(out)
    assert torch.equal(again.surface.corners, mesh.surface.corners)
    assert torch.allclose(again.surface.uv, mesh.surface.uv, atol=1e-6)
    theirs = trimesh.load_mesh(out, process=False)
    equal(again.surface.corners, theirs.vertices[theirs.faces])
    text = out.read_bytes()
    assert b"comment TextureFile styled one.png" in text
    assert text.endswith(rows(order, "ii", [(2, 3)]))
    head = text[: text.index(b"end_header")].decode()
    assert "element face 12" in head
    assert "property ushort flags" not in head
    assert "property short flags" in head
