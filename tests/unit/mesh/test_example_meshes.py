"""The example meshes: what examples/README.md says of them."""

from pathlib import Path

import pytest
import torch

from nst_lightning.mesh.mesh_formats import read_mesh, write_mesh

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "meshes"


@pytest.mark.parametrize(
    ("name", "faces", "size"),
    [("vase.glb", 2836, 512), ("torus.obj", 1024, 256), ("stone.ply", 1728, 384)],
)
def test_each_is_read_and_written(tmp_path: Path, name: str, faces: int, size: int):
    mesh = read_mesh(FOLDER / name)
    [texture] = mesh.textures
    assert mesh.surface.corners.shape == (faces, 3, 3)
    assert texture.image.shape == (3, size, size)
    assert texture.image.std(dim=(1, 2)).min() > 0.1
    a, b, c = mesh.surface.corners.unbind(1)
    assert torch.einsum("fi,fi->", a, torch.linalg.cross(b, c)) > 0  # its outside is outside
    write_mesh(mesh, [texture.image], tmp_path / name)
    again = read_mesh(tmp_path / name)
    assert torch.equal(again.surface.corners, mesh.surface.corners)
    assert torch.equal(again.surface.uv, mesh.surface.uv)
    assert torch.equal(again.textures[0].image, texture.image)


def test_they_are_small():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 300_000
