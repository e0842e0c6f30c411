"""OBJ files with their MTL: read against trimesh and by hand, and written back."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from nst_lightning.mesh.mesh_file import MeshFile
from nst_lightning.mesh.mesh_formats import files_beside, read_mesh, write_mesh
from tests.unit.mesh.gltf_builder import png_of

RED = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 12, 10)

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
SQUARE_UV = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
CORNERS = np.array([[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]])
UV = np.array([[[0, 1], [1, 1], [1, 0]], [[0, 1], [1, 0], [0, 0]]])
"""Of the square: v downwards."""


def given(folder: Path, obj: str, mtl: str | None = None, name: str = "in.obj") -> Path:
    folder.joinpath("skin.png").write_bytes(png_of())
    if mtl is not None:
        folder.joinpath("in.mtl").write_bytes(mtl.encode())
    path = folder / name
    path.write_bytes(obj.encode())
    return path


def equal(found: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def uv_by_trimesh(mesh: trimesh.Trimesh) -> np.ndarray:
    assert isinstance(mesh.visual, trimesh.visual.TextureVisuals)
    return np.asarray(mesh.visual.uv)


def written(mesh: MeshFile, folder: Path, *images: Tensor) -> Path:
    path = folder / "out" / "styled one.obj"
    write_mesh(mesh, images, path)
    there = sorted(file.name for file in path.parent.iterdir())
    assert there == sorted([*files_beside(mesh, path), path.name])
    return path


def test_polygons_become_fans_and_v_points_down(tmp_path: Path):
    obj = f"mtllib in.mtl\n{SQUARE}{SQUARE_UV}usemtl a b\nf 1/1 2/2 3/3 4/4\n"
    path = given(tmp_path, obj, "newmtl a b\nmap_Kd skin.png\n")
    mesh = read_mesh(path)
    equal(mesh.surface.corners, CORNERS)
    equal(mesh.surface.uv, UV)
    assert mesh.textures[0].image.shape == (3, 6, 8)
    assert mesh.textures[0].wrap == ("repeat", "repeat")


@pytest.mark.parametrize(
    "face", ["-4/-4 -3/-3 -2/-2 -1/-1", "1/1/1 2/2/1 3/3/1 4/4/1", "1/1 2/2 \\\n 3/3 4/4"]
)
def test_faces_are_written_in_several_ways(tmp_path: Path, face: str):
    obj = f"mtllib in.mtl\n{SQUARE}{SQUARE_UV}vn 0 0 1\nusemtl a\nf {face}\nv 9 9 9\n"
    mesh = read_mesh(given(tmp_path, obj, "newmtl a\nmap_Kd skin.png\n"))
    equal(mesh.surface.corners, CORNERS)
    equal(mesh.surface.uv, UV)
    again = read_mesh(written(mesh, tmp_path, RED))
    equal(again.surface.corners, CORNERS)
    equal(again.surface.uv, UV)


def test_a_torus_is_that_which_trimesh_reads(tmp_path: Path):
    torus = trimesh.creation.torus(2, 0.7, major_sections=9, minor_sections=7)
    uv = np.random.default_rng(0).uniform(size=(len(torus.vertices), 2))
    lines = [f"v {x} {y} {z}" for x, y, z in torus.vertices.tolist()]
    lines += [f"vt {u} {v}" for u, v in uv.tolist()]
    lines += ["f " + " ".join(f"{i}/{i}" for i in face) for face in (torus.faces + 1).tolist()]
    obj = "mtllib in.mtl\nusemtl a\n" + "\n".join(lines)
    path = given(tmp_path, obj, "newmtl a\nmap_Kd skin.png\n")
    surface = read_mesh(path).surface
    theirs = trimesh.load_mesh(path, process=False)
    equal(surface.corners, theirs.vertices[theirs.faces])
    equal(surface.uv, uv_by_trimesh(theirs)[theirs.faces] * (1, -1) + (0, 1))


def test_maps_have_options(tmp_path: Path):
    obj = f"mtllib in.mtl\n{SQUARE}{SQUARE_UV}usemtl a\nf 1/1 2/2 3/3 4/4\n"
    mtl = "newmtl a\nmap_Kd -s 2 3 1 -blendu on -o 0.5 -clamp on -mm 0 1 my skin.png\n"
    path = given(tmp_path, obj, mtl)
    tmp_path.joinpath("my skin.png").write_bytes(png_of((1, 2, 3), (4, 4)))
    mesh = read_mesh(path)
    upwards = UV * (1, -1) + (0, 1)
    equal(mesh.surface.uv, (upwards * (2, 3) + (0.5, 0)) * (1, -1) + (0, 1))
    assert mesh.textures[0].wrap == ("clamp", "clamp")
    out = written(mesh, tmp_path, RED)
    text = out.with_suffix(".mtl").read_text()
    options = "-s 2 3 1 -blendu on -o 0.5 -clamp on -mm 0 1"
    assert text == f"newmtl a\nmap_Kd {options} styled one-0.png\n"
    equal(read_mesh(out).surface.uv, mesh.surface.uv.numpy())


def test_text_stays_as_it_was_but_for_the_names_of_files(tmp_path: Path):
    obj = (
        f"# grüße\r\nmtllib in.mtl\r\no thing\r\n{SQUARE}{SQUARE_UV}vn 0 0 1\r\ns off\r\n"
        "usemtl a\r\nf 1/1 2/2 3/3\r\n\r\n  usemtl b \r\nf 1/1/1 3/3/1 4/4/1\r\nl 1 2\r\n"
    )
    mtl = (
        "# top\r\nnewmtl a\r\nKa 1 1 1\r\nKd 0.5 0.5 0.5\r\nmap_Kd skin.png\r\nNs 3\r\n\r\n"
        "newmtl b\r\n\tmap_Kd maps\\other.png\r\nmap_Bump -bm 0.3 maps/bump.png\r\n"
        "map_Ks gone.png\r\n"
    )
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/other.png").write_bytes(png_of((5, 5, 5), (3, 3)))
    (tmp_path / "maps/bump.png").write_bytes(bump := png_of((7, 7, 7)))
    mesh = read_mesh(given(tmp_path, obj, mtl))
    assert mesh.surface.material.tolist() == [0, 1]
    out = written(mesh, tmp_path, RED, 1 - RED)
    assert out.read_bytes().decode() == obj.replace("in.mtl", "styled one.mtl")
    assert out.with_suffix(".mtl").read_bytes().decode() == (
        mtl.replace("skin.png", "styled one-0.png")
        .replace("\tmap_Kd maps\\other.png", "map_Kd styled one-1.png")
        .replace("maps/bump.png", "styled one-0-bump.png")
    )
    assert (out.parent / "styled one-0-bump.png").read_bytes() == bump
    again = read_mesh(out)
    assert (again.textures[0].image == RED).all()
    assert (again.textures[1].image == 1 - RED).all()


def test_materials_without_texture_are_painted_where_their_uvs_serve(tmp_path: Path):
    obj = f"mtllib in.mtl\n{SQUARE}{SQUARE_UV}usemtl a\nf 1/1 2/2 3/3 4/4\n"
    mesh = read_mesh(given(tmp_path, obj, "newmtl a\nKd 0.2 0.4 0.8\nNs 1\n\n"), texture_size=32)
    assert mesh.textures[0].image.shape == (3, 32, 32)
    assert mesh.textures[0].image.mean((1, 2)).tolist() == pytest.approx([0.2, 0.4, 0.8])
    out = written(mesh, tmp_path, RED)
    text = out.with_suffix(".mtl").read_text()
    assert text == "newmtl a\nKd 1 1 1\nNs 1\nmap_Kd styled one-0.png\n\n"
    assert (read_mesh(out).textures[0].image == RED).all()


def test_vertices_have_colours(tmp_path: Path):
    obj = "v 0 0 0 255 0 0\nv 1 0 0 0 255 0\nv 1 1 0 0 0 255\nvt 0 0\nvt 1 0\nvt 1 1\nf 1/1 2/2 3/3"
    mesh = read_mesh(given(tmp_path, obj), texture_size=64)
    image = mesh.textures[0].image
    assert image[:, 63, 0].tolist() == pytest.approx([1, 0, 0], abs=0.02)
    assert image[:, 63, 63].tolist() == pytest.approx([0, 1, 0], abs=0.03)
    assert image[:, 42, 42].tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    out = written(mesh, tmp_path, RED)
    assert out.read_text() == f"mtllib styled one.mtl\n{obj[:-13]}usemtl texture\n{obj[-13:]}"
    assert (read_mesh(out).textures[0].image == RED).all()


def test_a_mesh_without_uvs_is_unwrapped(tmp_path: Path):
    box = trimesh.creation.box()
    lines = [f"v {x} {y} {z}" for x, y, z in box.vertices.tolist()]
    lines += ["mtllib gone.mtl", "usemtl paint", "f 1 2 4 3"]
    lines += ["f " + " ".join(map(str, face)) for face in (box.faces + 1).tolist()]
    mesh = read_mesh(given(tmp_path, "\n".join(lines)), texture_size=64)
    assert len(mesh.textures) == 1
    out = written(mesh, tmp_path, RED)
    again = read_mesh(out)
    assert torch.equal(again.surface.corners, mesh.surface.corners)
    assert torch.allclose(again.surface.uv, mesh.surface.uv, atol=1e-7)
    assert (again.textures[0].image == RED).all()
    theirs = trimesh.load_mesh(out, process=False)
    equal(again.surface.corners, theirs.vertices[theirs.faces])


def test_only_faces_that_have_no_uvs_are_unwrapped(tmp_path: Path):
    obj = (
        f"mtllib in.mtl\n{SQUARE}vt 0 0\nvt 1 0\nusemtl a\nf -4 -3 -2\nvt 1 1\nvt 0 1\n"
        "f -4/-4 -3/-3 -2/-2 -1/-1\nf 1/1 3/3 4/4\nf -4/-4 -3/-3 -2/-4\n"
        "usemtl b\nf 1 2 3 4\n"
    )
    path = given(tmp_path, obj, "newmtl a\nmap_Kd skin.png\nnewmtl b\nKd 0 1 0\n")
    mesh = read_mesh(path, texture_size=64)
    assert mesh.surface.material.tolist() == [1, 0, 0, 0, 0, 1, 1]
    equal(mesh.surface.uv[1:3], UV)
    out = written(mesh, tmp_path, RED, 1 - RED)
    again = read_mesh(out)
    assert torch.equal(again.surface.corners, mesh.surface.corners)
    assert torch.allclose(again.surface.uv, mesh.surface.uv, atol=1e-7)
    shown = [again.textures[int(one)].image for one in again.surface.material]
    wanted = [(RED, 1 - RED)[int(one)] for one in mesh.surface.material]
    assert all((one == other).all() for one, other in zip(shown, wanted, strict=True))
    assert "newmtl a-unwrapped" in out.with_suffix(".mtl").read_text()


def test_other_maps_of_one_name_stay_apart(tmp_path: Path):
    obj = f"mtllib in.mtl\n{SQUARE}{SQUARE_UV}usemtl a\nf 1/1 2/2 3/3 4/4\n"
    mtl = "newmtl a\nmap_Kd skin.png\nmap_Ks x/m.png\nmap_Ns y/m.png\nbump x/m.png\nmap_d 0.png\n"
    for number, name in enumerate(("x", "y", ".")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / ("0.png" if name == "." else "m.png")).write_bytes(bytes([number]))
    out = written(read_mesh(given(tmp_path, obj, mtl)), tmp_path, RED)
    found = {
        line.split()[0]: line.split(maxsplit=1)[1]
        for line in out.with_suffix(".mtl").read_text().splitlines()
    }
    assert found["map_Ks"] == found["bump"]
    data = [(out.parent / found[key]).read_bytes() for key in ("map_Ks", "map_Ns", "map_d")]
    assert data == [b"\0", b"\1", b"\2"]
    assert (read_mesh(out).textures[0].image == RED).all()


def test_an_image_that_materials_share_is_one_texture(tmp_path: Path):
    obj = f"mtllib in.mtl\n{SQUARE}{SQUARE_UV}usemtl a\nf 1/1 2/2 3/3\nusemtl b\nf 1/1 3/3 4/4\n"
    mesh = read_mesh(given(tmp_path, obj, "newmtl a\nmap_Kd skin.png\nnewmtl b\nmap_Kd skin.png"))
    assert mesh.surface.material.tolist() == [0, 0]
    assert files_beside(mesh, "x.obj") == ["x-0.png", "x.mtl"]
