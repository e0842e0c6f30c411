"""Meshes as contents: found, read, named, refused."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nst_lightning import extras
from nst_lightning.errors import UserError
from nst_lightning.formats import MESH_SUFFIXES
from nst_lightning.grid import models
from nst_lightning.grid.models import check_for_meshes, load_model, read_models
from nst_lightning.grid.pairs import Grid, batches, pair
from nst_lightning.grid.sources import Model, Source, shapes
from nst_lightning.mesh import mesh_formats
from nst_lightning.mesh.texels import columns_of_views
from nst_lightning.settings import BatchSettings, build, merge
from nst_lightning.store.fingerprint import content_sha256

EXAMPLES = Path(__file__).parents[3] / "examples" / "meshes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES, tmp_path / "models"))


def usual(**changes: Any) -> BatchSettings:
    return build(merge(models.USUAL_MESH, changes))


def test_the_suffixes_are_those_that_are_read():
    assert set(mesh_formats._READERS) == MESH_SUFFIXES


def test_models_are_named_and_have_the_shape_of_their_views(folder: Path, tmp_path: Path):
    (folder / "broken.glb").write_bytes(b"glTF")
    (folder / "note.txt").touch()
    settings = usual(size=100, views=7)
    found = {one.name: one for one in read_models(folder, settings, tmp_path / "out")}
    assert sorted(found) == ["broken", "stone", "torus", "vase"]
    assert "broken.glb" in found["broken"].problem
    assert shapes(found["vase"], settings) == ((150, 150), (300, 300))
    torus = found["torus"].model
    assert torus is not None
    assert [path.name for path in torus.used] == ["torus.mtl", "torus.png"]
    style = Source(Path("p.jpg"), "p", (9, 9))
    assert pair(found["torus"], style).file == "torus/p.obj"
    assert [one.file for one in Grid([found["vase"], found["stone"]], [style])] == [
        "vase/p.glb",
        "stone/p.ply",
    ]


@pytest.mark.parametrize("views", range(1, 30))
def test_views_stand_as_the_rendering_lays_them(views: int):
    source = Source(Path("a.glb"), "a", (1, 1), model=Model(views, ()))
    ((height, width),) = shapes(source, build({"size": 10, "steps": 1, "scales": 1}))
    assert width == 10 * columns_of_views(views)
    assert height == 10 * -(-views // columns_of_views(views))


def test_each_batch_has_one_mesh(folder: Path, tmp_path: Path):
    settings = usual()
    sources = read_models(folder, settings, tmp_path / "out")
    styles = [Source(Path(f"{name}.jpg"), name, (9, 9)) for name in "ab"]
    made = batches(Grid(sources, styles), settings, lambda height, width: 8)
    assert [[one.content.name for one in batch] for batch in made] == [
        ["stone", "stone"],
        ["torus", "torus"],
        ["vase", "vase"],
    ]


def test_what_a_mesh_is_made_of_is_its_identity(folder: Path, tmp_path: Path):
    (torus,) = read_models(folder / "torus.obj", usual(), tmp_path / "out")
    (vase,) = read_models(folder / "vase.glb", usual(), tmp_path / "out")
    content: dict[Path, str] = {}

    def sha(path: Path) -> str:
        return content.get(path, path.name)

    before = content_sha256(torus, sha)
    assert content_sha256(vase, sha) == "vase.glb"
    content[folder / "torus.png"] = "another"
    assert content_sha256(torus, sha) != before


def test_a_mesh_is_read_once_until_a_file_of_it_changes(folder: Path):
    path, settings = folder / "torus.obj", usual()
    first = load_model(path, settings)
    assert load_model(path, settings) is first
    assert load_model(path, usual(texture_size=64)) is not first
    shutil.copy(folder / "stone.jpg", folder / "torus.png")
    changed = load_model(path, settings)
    assert changed.textures[0].image.shape != first.textures[0].image.shape
    for one in ("vase.glb", "stone.ply", "torus.obj"):
        load_model(folder / one, settings)
    assert len(models._read) <= models.READ_MESHES


REFUSED: Sequence[tuple[dict[str, Any], str]] = [
    ({"split": True}, "split True"),
    ({"style_fit": "content"}, "style_fit content"),
    ({"finish": "detail"}, "finish detail"),
    ({"format": "tiff"}, "format tiff"),
    ({"bit_depth": 16}, "bit_depth 16"),
    ({"dither": True}, "dither True"),
    ({"keep_exif": True}, "keep_exif True"),
    ({"size": "short:64"}, "size short:32"),
    ({"size": "50%", "scales": 1}, "size 50%"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED)
def test_settings_that_do_not_go_with_meshes(changes: dict[str, Any], said: str):
    with pytest.raises(UserError, match=f"{said}.* does not go with meshes"):
        check_for_meshes(usual(**changes))
    check_for_meshes(usual())


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"meshes need scipy, .*'nst-lightning\[mesh\]'"):
        check_for_meshes(usual())
