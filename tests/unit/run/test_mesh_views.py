"""A mesh at one of the scales, and its result."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nst_lightning import files
from nst_lightning.grid.models import read_model
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import Source
from nst_lightning.imaging.resize import resize
from nst_lightning.layout import image_of
from nst_lightning.mesh import cameras
from nst_lightning.mesh.mesh_formats import read_mesh
from nst_lightning.mesh.texels import density
from nst_lightning.run import mesh_result
from nst_lightning.run.batch_run import BatchRun
from nst_lightning.run.devices import resolve
from nst_lightning.run.make_batch import make_inputs
from nst_lightning.run.mesh_cost import NO_MESH, mesh_cost
from nst_lightning.run.mesh_result import write_mesh_result
from nst_lightning.run.mesh_views import RESOLVED, texture_side, view_mesh
from nst_lightning.run.placement import Room
from nst_lightning.run.prepare import beyond_memory
from nst_lightning.settings import BatchSettings, build
from nst_lightning.store.job import Job
from nst_lightning.store.output import record_in_image
from nst_lightning.store.records import Record
from nst_lightning.transfer.targets import content_targets
from nst_lightning.transfer.walk import make_walk
from nst_lightning.vgg.weights import load_weights

EXAMPLES = Path(__file__).parents[3] / "examples" / "meshes"
TORUS = EXAMPLES / "torus.obj"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets views be chosen from a few, which is quicker."""
    monkeypatch.setattr(cameras, "CANDIDATES", 8)


def settings(**changes: Any) -> BatchSettings:
    return build({"size": 32, "steps": 4, "scales": 2, "views": 3, **changes})


def test_scales_have_one_set_of_views_and_smaller_textures():
    chosen = settings(texture_size=48)
    small, large = chosen.passes(1)
    fine = view_mesh(TORUS, chosen, large)
    coarse = view_mesh(TORUS, chosen, small, fine.view_sets)
    assert coarse.cameras == fine.cameras == view_mesh(TORUS, chosen, large).cameras
    assert coarse.rendering.coverage.shape[-1] * 2 == fine.rendering.coverage.shape[-1] == 64
    assert fine.whole.places[0].window.shape == (48, 48)
    assert coarse.atlas.height * 2 == pytest.approx(fine.atlas.height, abs=2)
    started = coarse.brought_to(fine, coarse.texels, "bicubic")
    assert started.shape == fine.texels.shape
    expected = resize(coarse.filled(coarse.texels), *started.shape[-2:])
    torch.testing.assert_close(started, expected)


def test_passes_of_one_scale_see_the_same_texels_from_other_places():
    chosen = settings(texture_size=48, scales=1, view_sets=2)
    first, second = chosen.passes(2)
    then = view_mesh(TORUS, chosen, first)
    now = view_mesh(TORUS, chosen, second, then.view_sets)
    assert [list(then.cameras), list(now.cameras)] == [list(each) for each in now.view_sets][::-1]
    assert not set(then.cameras) & set(now.cameras)
    assert then.atlas == now.atlas
    assert not torch.equal(then.rendering.see(then.texels), now.rendering.see(now.texels))
    painted = torch.rand(then.texels.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(then.brought_to(now, painted, "bicubic"), then.filled(painted))


def test_each_pass_is_drawn_to_what_its_own_views_show():
    layers = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
    chosen = settings(view_sets=2, steps=8, weights="random", texture_size=48, **layers)
    chosen = resolve(chosen, CPU)
    content, style = read_model(TORUS, "torus", chosen), Source(EXAMPLES / "torus.png", "s", (9, 9))
    job = Job(Pair(content, style, ""), "c", "s", "f")
    inputs = make_inputs(chosen, load_weights(*chosen.network_weights), CPU)
    passes = BatchRun([job], chosen, None).remaining_passes()
    assert [(one.size, one.view_set) for one in passes] == [(16, 1), (16, 0), (32, 1), (32, 0)]
    for one in passes:
        viewed, targets = inputs.viewed(job, one), inputs.targets([job], one)
        assert viewed is not None
        assert targets.guides is not None
        assert torch.equal(targets.guides, viewed.rendering.coverage)
        views = viewed.rendering.see(viewed.texels)
        features = content_targets(inputs.network, views, chosen, make_walk(chosen, None))
        assert torch.equal(targets.content["relu1_1"], features["relu1_1"])


def test_photographs_have_no_sets_of_views():
    job = Job(Pair(Source(TORUS, "c", (8, 8)), Source(TORUS, "s", (8, 8)), ""), "c", "s", "f")
    run = BatchRun([job], settings(view_sets=2), None)
    assert [(one.size, one.steps) for one in run.remaining_passes()] == [(16, 3), (32, 1)]


def test_textures_are_painted_no_finer_than_views_tell_apart():
    chosen = settings(scales=1)
    viewed = view_mesh(TORUS, chosen, chosen.passes(1)[-1])
    assert texture_side(viewed.mesh, chosen) == 256
    fine = density(viewed.mesh.surface, viewed.whole, viewed.cameras, 32)
    painted = density(viewed.mesh.surface, viewed.atlas, viewed.cameras, 32)
    assert fine > 2 * RESOLVED
    assert painted == pytest.approx(RESOLVED, rel=0.02)
    (texture,) = viewed.textures(viewed.texels, "bicubic")
    assert texture.shape == (3, 256, 256)
    assert texture_side(viewed.mesh, settings(texture_size=77)) == 77


def test_a_result_has_its_record_beside_and_no_texel_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chosen = settings(scales=1, texture_size=64)
    viewed = view_mesh(TORUS, chosen, chosen.passes(1)[-1])
    painted = torch.where(viewed.rendering.seen, 0.25, viewed.texels)
    path = tmp_path / "x" / "made.obj"
    path.parent.mkdir()
    path.write_text("of before")
    written: list[Path] = []

    def watch(file: Path, data: bytes) -> None:
        # The one that says that all is there: gone before anything else is written, and last.
        assert not path.exists()
        written.append(file)
        files.write_bytes(file, data)

    monkeypatch.setattr(mesh_result, "write_bytes", watch)
    record = Record(output="made.obj", fingerprint="f")
    record = write_mesh_result(path, painted[0], viewed, chosen, record)
    assert written[-1] == path
    assert record.beside == ["made-0.png", "made.mtl"]
    assert record.bytes == path.stat().st_size
    assert record_in_image(path) == record
    made = read_mesh(path)
    inner = made.textures[0].image
    assert float((inner - 0.25).abs().max()) < 3 / 255
    with Image.open(image_of(path)) as sides:
        assert sides.size == (2 * mesh_result.SIDE, 2 * mesh_result.SIDE)
    path.write_text("of somebody else")
    assert record_in_image(path) is None


def test_a_mesh_of_before_stays_until_the_new_one_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chosen = settings(scales=1, texture_size=64, turntable="gif")
    viewed = view_mesh(TORUS, chosen, chosen.passes(1)[-1])
    path = tmp_path / "made.obj"
    path.write_text("of before")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(mesh_result, "draw_turn", fail)
    with pytest.raises(MemoryError):
        write_mesh_result(path, viewed.texels[0], viewed, chosen, Record(output="made.obj"))
    assert [file.name for file in tmp_path.rglob("*")] == ["made.obj"]
    assert path.read_text() == "of before"


def test_the_cost_of_a_mesh_is_about_what_it_takes():
    chosen = settings(size=64, views=5)
    source = read_model(TORUS, "torus", chosen)
    viewed = view_mesh(TORUS, chosen, chosen.passes(1)[-1])
    cost = mesh_cost(source, chosen)
    assert cost.bytes == pytest.approx(viewed.rendering.bytes, rel=0.4)
    assert cost.seconds > 0
    assert cost.beside(1e9) == 1e9 + cost.bytes
    assert cost.beside(0) == 4 * cost.bytes
    assert mesh_cost(replace(source, model=None), chosen) == NO_MESH
    refused = beyond_memory(source, chosen, Room(2 * cost.bytes))
    assert "rendering its views takes about" in refused
    assert beyond_memory(source, chosen, Room(1e12)) == ""
