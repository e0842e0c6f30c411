"""`nst-batch mesh`: what it leaves behind, skips, refuses, survives."""

import json
import shutil
import signal
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nst_lightning import stylize_mesh
from nst_lightning.errors import UserError
from nst_lightning.mesh.mesh_formats import read_mesh

from .conftest import EXAMPLES, Nst, pixels, put, records, start, until

MESHES = EXAMPLES / "meshes"
QUICK = (
    "--view-size", 48, "--views", 3, "--view-sets", 1, "--steps", 4, "--weights", "random",
)  # fmt: skip
LAYERS = ("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1")
FAST = (*QUICK, *LAYERS, "--texture-size", 64, "--accelerator", "cpu")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MESHES, tmp_path / "models"))


@pytest.fixture
def style(tmp_path: Path) -> Path:
    put(EXAMPLES / "styles" / "woodcut.jpg", tmp_path / "styles", ["wood.png"])
    return tmp_path / "styles" / "wood.png"


def glb(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk of a GLB."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    start = 20 + length
    (size,) = struct.unpack_from("<I", data, start)
    return json.loads(data[20:start]), data[start + 8 : start + 8 + size]


def test_one_glb_differs_in_its_texture_alone(nst: Nst, models: Path, style: Path, tmp_path: Path):
    made = tmp_path / "styled.glb"
    run = nst("mesh", models / "vase.glb", style, "-o", made, *FAST, "--turntable", "gif")
    assert run.returncode == 0, run.stderr
    assert "is made" in run.stdout
    (before, old), (after, new) = glb(models / "vase.glb"), glb(made)
    (image,) = before["images"]
    view = image["bufferView"]
    for number, (a, b) in enumerate(zip(before["bufferViews"], after["bufferViews"], strict=True)):
        was = old[a.get("byteOffset", 0) :][: a["byteLength"]]
        now = new[b.get("byteOffset", 0) :][: b["byteLength"]]
        assert (was != now) == (number == view)
        for one in (a, b):
            one.pop("byteOffset", None), one.pop("byteLength")
    for one in (before, after):
        one["images"][0].pop("mimeType")
        one["buffers"][0].pop("byteLength")
    assert before == after
    painted, own = (read_mesh(path).textures[0].image for path in (made, models / "vase.glb"))
    assert max(painted.shape) == 64
    assert float((painted.mean(dim=(1, 2)) - own.mean(dim=(1, 2))).abs().max()) > 1e-3
    folder = tmp_path / "styled"
    names = ["sides-before.png", "sides.png", "turntable.gif"]
    assert sorted(p.name for p in folder.iterdir()) == names
    with Image.open(folder / "turntable.gif") as film:
        assert film.n_frames == 36
    sides, earlier = pixels(folder / "sides.png"), pixels(folder / "sides-before.png")
    assert sides.shape == earlier.shape
    ground = (earlier == 255).all(axis=2)
    assert 0.5 < ground.mean() < 0.95
    assert (sides[ground] == 255).all()
    assert (sides[~ground] != earlier[~ground]).any(axis=1).mean() > 0.9

    again = nst("mesh", models / "vase.glb", style, "-o", made, *FAST)
    assert "was made before" in again.stdout
    other = nst("mesh", models / "vase.glb", style, "-o", made, *FAST, "--views", 4)
    assert other.returncode == 2
    assert "views 3 instead of 4" in other.stderr
    made.write_bytes(b"mine")
    foreign = nst("mesh", models / "vase.glb", style, "-o", made, *FAST)
    assert foreign.returncode == 2
    assert "was not made by nst-batch" in foreign.stderr


def test_everything_a_grid_of_meshes_leaves_behind(
    nst: Nst, models: Path, style: Path, tmp_path: Path
):
    (models / "broken.glb").write_bytes((MESHES / "vase.glb").read_bytes()[:5000])
    out = tmp_path / "out"
    words = ("mesh", models, style.parent, "--out", out, *FAST)
    first = nst(*words)
    assert first.returncode == 1
    assert first.stderr.count("broken.glb: is cut short") == 2  # at once, and at the end
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    beside = {"stone/wood.png", "torus/wood.mtl", "torus/wood-0.png"}
    results = {"stone/wood.ply", "torus/wood.obj", "vase/wood.glb"}
    assert results | beside <= files
    for result in results:
        stem = result.rpartition(".")[0]
        assert {f"{stem}.yaml", f"{stem}/sides.png", f"{stem}/sides-before.png"} <= files
    known = records(out)
    assert {name: line["status"] for name, line in known.items()} == {
        **dict.fromkeys(results, "done"),
        "broken/wood.glb": "failed",
    }
    assert known["torus/wood.obj"]["beside"] == ["wood-0.png", "wood.mtl"]
    for name in ("stone.ply", "torus.obj"):
        old = read_mesh(models / name)
        new = read_mesh(out / name.split(".")[0] / f"wood.{name.split('.')[1]}")
        assert (old.surface.corners == new.surface.corners).all()
        assert (old.surface.uv == new.surface.uv).all()
        assert (new.textures[0].image.shape[1:]) == (64, 64)

    with Image.open(out / "grid.png") as sheet:
        assert sheet.height > 4 * 100
        cell = np.asarray(sheet.convert("RGB"))
    assert (cell == 255).all(axis=2).mean() > 0.2  # the paper around the meshes
    page = nst("report", out)
    assert page.returncode == 0, page.stderr
    text = (out / "index.html").read_text()
    assert '"shown": "vase/wood/sides.png"' in text or '"shown":"vase/wood/sides.png"' in text
    assert (out / "gallery/results/vase/wood.glb.jpg").is_file()
    assert "3 of 4 done" in nst("status", out).stdout
    refused = nst("evaluate", out)
    assert refused.returncode == 2
    assert "meshes are not measured" in refused.stderr

    before = {name: (out / name).stat().st_mtime_ns for name in results | beside}
    (models / "broken.glb").unlink()
    second = nst(*words)
    assert second.returncode == 0, second.stderr
    assert "0 made, 3 done before" in second.stdout
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    # Another texture of the model is another model.
    with Image.open(models / "torus.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(models / "torus.png")
    changed = nst(*words)
    assert changed.returncode == 2
    assert "another content image" in changed.stderr
    # What was killed before its line in the ledger is known by its record.
    shutil.copy(MESHES / "torus.png", models / "torus.png")
    ledger = (out / "manifest.jsonl").read_text().splitlines()
    (out / "manifest.jsonl").write_text("".join(f"{one}\n" for one in ledger if "vase" not in one))
    assert "0 made, 3 done before" in nst(*words).stdout
    (out / "vase" / "wood.glb").unlink()
    assert "1 made, 2 done before" in nst(*words).stdout
    cleaned = nst("clean", out, "--yes")
    assert cleaned.returncode == 0, cleaned.stderr
    assert not [p for p in out.rglob("*") if p.is_file()]


def test_an_interrupted_mesh_goes_on_bit_for_bit(
    nst: Nst, models: Path, style: Path, tmp_path: Path
):
    steps = ("--steps", 24, "--checkpoint-every", 0.1, "--save-at", 16)
    words = ("mesh", models / "torus.obj", style, *FAST, "--view-sets", 2, *steps, "--curves")
    whole = nst(*words, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    process = start(*words, "--out", tmp_path / "cut")
    until(tmp_path / "cut" / "torus" / "wood" / "step-0016.png")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not (tmp_path / "cut" / "torus" / "wood.obj").exists()
    rest = nst(*words, "--out", tmp_path / "cut")
    assert rest.returncode == 0, rest.stderr
    assert "goes on after step" in rest.stderr
    for name in ("wood.obj", "wood.mtl", "wood-0.png"):
        a, b = (tmp_path / one / "torus" / name for one in ("whole", "cut"))
        assert a.read_bytes() == b.read_bytes()


def obj(folder: Path, name: str, *, faces: str = "f 1/1 2/2 3/3", texture: str = "t.png") -> Path:
    """A triangle with a texture that may not be there."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.mtl").write_text(f"newmtl m\nmap_Kd {texture}\n")
    places = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\n"
    path = folder / f"{name}.obj"
    path.write_text(f"mtllib {name}.mtl\n{places}usemtl m\n{faces}\n")
    return path


BAD = {
    "no-faces": ({"faces": ""}, "has no faces"),
    "missing-texture": ({}, "names t.png, which is not there"),
    "absolute": ({"texture": "/tmp/t.png"}, "an absolute path"),
    "out-of-range": ({"faces": "f 1/1 2/2 9/3"}, "names vertex 9, and it has 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mesh_is_one_sentence(nst: Nst, name: str, style: Path, tmp_path: Path):
    given, said = BAD[name]
    path = obj(tmp_path / "bad", name, **given)
    for plan in ((), ("--dry-run",)):
        run = nst("mesh", path, style, "-o", tmp_path / "x.obj", *FAST, *plan)
        assert run.returncode == 2
        assert run.stderr.count("\n") == 1
        assert said in run.stderr
        assert str(path) in run.stderr
    assert not (tmp_path / "x.obj").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--split",), "split True does not go with meshes"),
        (("--finish", "detail"), "finish detail does not go with meshes"),
        (("--style-fit", "content"), "style_fit content does not go with meshes"),
        (("--format", "jpeg"), "format jpeg does not go with meshes"),
        (("--size", "50%"), "--view-size is --size"),
        (("--views", "0"), "views should be greater than or equal to 1"),
        (("-o", "x.obj"), "a mesh keeps its format; name a file that ends in .glb"),
        (("-o", "x.png"), "is a file"),
    ],
)
def test_what_does_not_go_with_meshes_is_refused(
    nst: Nst, words: tuple[str, ...], said: str, style: Path, tmp_path: Path
):
    (tmp_path / "x.png").touch()
    words = tuple(str(tmp_path / word) if word.startswith("x.") else word for word in words)
    run = nst("mesh", MESHES / "vase.glb", style, "--out", tmp_path / "out", *FAST, *words)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_texture_never_replaces_an_input(nst: Nst, models: Path, style: Path):
    run = nst("mesh", models / "stone.ply", style, "-o", style.with_suffix(".ply"), *FAST)
    assert run.returncode == 2
    assert "would replace an input" in run.stderr
    own = nst("mesh", models / "stone.ply", style, "-o", models / "stone.ply", *FAST)
    assert own.returncode == 2
    assert "is an input" in own.stderr


def test_a_large_mesh_is_planned(nst: Nst, style: Path, tmp_path: Path):
    across, down = 300, 200
    u, v = np.meshgrid(np.linspace(0, 1, across), np.linspace(0, 1, down))
    turn, rise = 2 * np.pi * u, np.pi * v
    place = np.stack([np.sin(turn) * np.sin(rise), np.cos(rise), np.cos(turn) * np.sin(rise)], 2)
    vertices = np.concatenate([place, u[..., None], v[..., None]], axis=2).reshape(-1, 5)
    first = (np.arange(down - 1)[:, None] * across + np.arange(across - 1)).ravel()
    both = [first, first + across, first + 1], [first + 1, first + across, first + across + 1]
    faces = np.concatenate([np.stack(one, axis=1) for one in both])
    row = np.dtype([("n", "u1"), ("at", "<i4", 3)])
    rows = np.zeros(len(faces), row)
    rows["n"], rows["at"] = 3, faces
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
        + "".join(f"property float {name}\n" for name in ("x", "y", "z", "s", "t"))
        + f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    path = tmp_path / "large.ply"
    path.write_bytes(header.encode() + vertices.astype("<f4").tobytes() + rows.tobytes())
    plan = nst("mesh", path, style, "--out", tmp_path / "out", "--dry-run", "--json")
    assert plan.returncode == 0, plan.stderr
    said = json.loads(plan.stdout)
    assert said["outputs"] == ["large/wood.ply"]
    assert 0.5 < said["gib"] < 10
    assert said["seconds"] > 5
    assert not (tmp_path / "out").exists()


def test_the_call_paints_as_the_command_does(nst: Nst, models: Path, style: Path, tmp_path: Path):
    assert nst("mesh", models / "stone.ply", style, "-o", tmp_path / "a.ply", *FAST).returncode == 0
    seen: list[int] = []
    painted = stylize_mesh(
        models / "stone.ply", style, out=tmp_path / "b.ply",
        progress=lambda step, steps, losses: seen.append(step),
        view_size=48, views=3, view_sets=1, steps=4, texture_size=64, weights="random",
        style_layers="relu1_1,relu2_1", content_layers="relu2_1", accelerator="cpu",
    )  # fmt: skip
    assert seen == [1, 2, 3, 4]
    assert [texture.shape for texture in painted.textures] == [(3, 64, 64)]
    first, second = (read_mesh(tmp_path / name).textures[0].image for name in ("a.ply", "b.ply"))
    # Of other threads than the command's: 8 bits hide most of what they round.
    assert float((first - second).abs().max()) < 0.02
    with pytest.raises(UserError, match="finish"):
        stylize_mesh(models / "stone.ply", style, finish="detail")
    with pytest.raises(UserError, match="mesh"):
        stylize_mesh(style, style)
