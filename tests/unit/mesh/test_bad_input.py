"""Files that cannot be used end in one sentence each, and damaged ones in nothing else."""

import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_lightning.errors import UserError
from nst_lightning.mesh import placed_faces, unwrapping
from nst_lightning.mesh.mesh_formats import read_mesh, write_mesh
from nst_lightning.mesh.xatlas_process import answer
from tests.unit.mesh.gltf_builder import QUAD, Gltf, pack, png_of
from tests.unit.mesh.test_gltf_writing import cube, full
from tests.unit.mesh.test_obj import SQUARE, SQUARE_UV
from tests.unit.mesh.test_ply import square

PLY = square("ascii").decode()
OBJ = f"mtllib in.mtl\n{SQUARE}{SQUARE_UV}usemtl a\nf 1/1 2/2 3/3 4/4\n"


def refused(path: Path, match: str) -> None:
    with pytest.raises(UserError, match=match) as found:
        read_mesh(path, texture_size=32)
    text = str(found.value)
    assert text.startswith(f"{path}")
    assert text.endswith(".")
    assert "\n" not in text


def quad_file() -> Gltf:
    made = Gltf()
    made.show(made.quad(made.textured(made.image(png_of()))))
    return made


def changed(made: Gltf, *way: Any, to: Any) -> Gltf:
    """A file with one value of its JSON replaced; None removes it."""
    made.finish()
    place: Any = made.root
    for key in way[:-1]:
        place = place[key]
    if to is None:
        del place[way[-1]]
    else:
        place[way[-1]] = to
    return made


def saved(made: Gltf, path: Path) -> Path:
    """Writes a GLB of JSON as it stands."""
    path.write_bytes(pack(made.root, [(b"BIN\0", bytes(made.buffers[0]))]))
    return path


@pytest.mark.parametrize(
    ("way", "to", "match"),
    [
        (("meshes", 0, "primitives"), [], "no faces"),
        (("nodes",), [], "names node 0"),
        (("scenes",), [{}], "no faces"),
        (("meshes",), None, "names meshes 0"),
        (("asset", "version"), "1.0", "only 2 can be read"),
        (("extensionsRequired",), ["KHR_draco_mesh_compression"], "by Draco"),
        (("bufferViews", 1, "extensions"), {"EXT_meshopt_compression": {}}, "by meshopt"),
        (("textures", 0), {"extensions": {"KHR_texture_basisu": {"source": 0}}}, "KTX2"),
        (("textures", 0), {}, "without an image"),
        (("nodes", 0, "children"), [0], "no faces|circle"),
        (("nodes", 0, "children"), [7], "names node 7"),
        (("nodes", 0, "mesh"), -1, "'mesh' is no number"),
        (("nodes", 0, "mesh"), True, "'mesh' is no number"),
        (("nodes", 0, "matrix"), [1, 2], "list of 16 numbers"),
        (("nodes", 0, "translation"), [1, 2, "3"], "finite number"),
        (("nodes", 0, "scale"), [1, 10**400, 1], "finite number"),
        (("nodes", 0, "scale"), [1e200, 1, 1], "too far apart"),
        (("nodes", 0, "skin"), 0, None),  # without joints it has no say
        (("accessors", 0, "count"), 2**40, "faces|reaches beyond"),
        (("accessors", 2, "count"), 2**50, "GiB of memory"),
        (("accessors", 0, "count"), 2, "names vertex"),
        (("accessors", 0, "componentType"), 5130, "unknown type"),
        (("accessors", 0, "type"), "MAT2", "cannot be read"),
        (("accessors", 0, "type"), ["VEC3"], "cannot be read"),
        (("accessors", 0, "type"), "VEC2", "no vector of 3"),
        (("accessors", 1, "type"), "SCALAR", "does not fit"),
        (("accessors", 2, "componentType"), 5122, "no numbers of vertices"),
        (("accessors", 0, "byteOffset"), 2**40, "reaches beyond"),
        (("accessors", 0, "bufferView"), 99, "names bufferViews 99"),
        (("bufferViews", 1, "byteOffset"), -4, "no number of 0 or more"),
        (("bufferViews", 1, "byteLength"), 10**12, "beyond its buffer"),
        (("bufferViews", 1, "byteStride"), 1, "reaches beyond"),
        (("bufferViews", 1, "buffer"), 3, "names buffer 3"),
        (("bufferViews", 1), 5, "no list of objects"),
        (("buffers", 0, "byteLength"), 10**12, "should have"),
        (("buffers", 0, "uri"), "data:;base64,!!", "data URI"),
        (("buffers", 0, "uri"), "https://example.org/a.bin", "no file in its folder"),
        (("buffers", 0, "uri"), 3, "'uri' is no text"),
        (("images", 0, "bufferView"), 1, "image 0: is not an image"),
        (("images", 0), {"uri": "gone.png"}, "gone.png, which is not there"),
        (("images", 0), {"uri": "/etc/passwd"}, "absolute path"),
        (("images", 0), {"uri": "C%3A%5Cskin.png"}, "absolute path"),
        (("images", 0), {"uri": "maps/../../skin.png"}, "leads out"),
        (("images", 0), {"uri": "%00"}, "no name"),
        (("images", 0), {"uri": ""}, "no name"),
        (("images", 0), {}, "'bufferView' is no number"),
        (("materials", 0, "pbrMetallicRoughness"), [], "no object"),
        (("materials", 0, "pbrMetallicRoughness", "baseColorTexture"), {}, "'index'"),
    ],
)
def test_json_that_is_wrong(tmp_path: Path, way: tuple[Any, ...], to: Any, match: str | None):
    path = saved(changed(quad_file(), *way, to=to), tmp_path / "in.glb")
    if match is None:
        assert len(read_mesh(path).surface.corners) == 2
    else:
        refused(path, match)


def test_a_gltf_that_is_no_json(tmp_path: Path):
    (tmp_path / "in.gltf").write_text("solid thing")
    refused(tmp_path / "in.gltf", "JSON that is damaged")


def test_nodes_in_a_circle(tmp_path: Path):
    made = quad_file()
    made.root["nodes"] += [{"children": [2]}, {"children": [1]}]
    made.root["scenes"] = [{"nodes": [0, 1]}]
    refused(saved(changed(made, "scene", to=0), tmp_path / "in.glb"), "circle")
    made.root["nodes"][1]["children"] = [0]
    refused(saved(made, tmp_path / "in.glb"), "circle|twice")
    made.root["nodes"][2]["children"] = [0]
    refused(saved(made, tmp_path / "in.glb"), "two parents")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vertices_and_uvs_that_are_no_numbers(tmp_path: Path, value: float):
    for name, match in (("POSITION", "positions are not finite"), ("TEXCOORD_0", "UVs that are")):
        made = Gltf()
        width = 3 if name == "POSITION" else 2
        bad = made.array(np.where(np.arange(4)[:, None] == 2, value, QUAD[:, :width]))
        made.show(made.quad(made.textured(made.image(png_of())), **{name: bad}))
        refused(made.glb(tmp_path / "in.glb"), match)


def test_faces_without_area(tmp_path: Path):
    made = Gltf()
    made.show(made.quad(None, POSITION=made.array(QUAD * (1, 0, 0))))
    refused(made.glb(tmp_path / "in.glb"), "no area")


def test_skins_that_do_not_fit(tmp_path: Path):
    made = full()
    made.finish()
    made.root["skins"][0]["joints"] = []
    refused(saved(made, tmp_path / "in.glb"), "without joints")
    made.root["skins"][0]["joints"] = [1]
    refused(saved(made, tmp_path / "in.glb"), "names joint 1")
    made.root["skins"][0]["joints"] = [1, 2, 1]
    refused(saved(made, tmp_path / "in.glb"), "too few inverse")


def test_containers_that_are_damaged(tmp_path: Path):
    path = tmp_path / "in.glb"
    data = quad_file().glb(path).read_bytes()
    for cut in (0, 3, 11):
        path.write_bytes(data[:cut])
        refused(path, "is not a GLB")
    for cut in (12, 30, len(data) - 1):
        path.write_bytes(data[:cut])
        refused(path, "cut short")
    for wrong, match in (
        (data[:4] + struct.pack("<I", 1) + data[8:], "version 1"),
        (data[:12] + struct.pack("<I", 2**31) + data[16:], "chunk reaches beyond"),
        (data[:16] + b"XXXX" + data[20:], "begins with a chunk of JSON"),
        (b"PK\3\4" + data[4:], "is not a GLB"),
        (pack(b"[1]", []), "its JSON is no object"),
        (pack(b'{"a": NaN}', []), "JSON that is damaged"),
        (pack(b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", []), "nested too deeply"),
        (pack(b"[" * 10**6, []), "nested too deeply"),
        (pack(b'{"a": ' + b"1" * 10000 + b"}", []), "JSON that is damaged"),
    ):
        path.write_bytes(wrong)
        refused(path, match)


@pytest.mark.parametrize(
    ("obj", "match"),
    [
        (SQUARE, "no faces"),
        ("", "no faces"),
        (SQUARE + "f 1 2\n", "no faces"),
        (SQUARE + "f 1 2 5\n", "names vertex 5, and it has 4"),
        (SQUARE + "f 1 2 -5\n", "names vertex 0"),
        (SQUARE + "f 0 1 2\n", "names vertex 0"),
        (SQUARE + "f 1/1 2/2 3/3\n", "names a UV that is not there"),
        (SQUARE + "f 1 2 x\n", "damaged line 5"),
        (SQUARE + f"f 1 2 {10**30}\n", "damaged line 5"),
        ("v 1 2\nf 1 1 1\n", "damaged line 1"),
        ("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "not finite"),
        ("v 1e300 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "too far apart"),
        ("v 1 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "no area"),
        (OBJ.replace("in.mtl", "../in.mtl"), "leads out"),
        (OBJ.replace("in.mtl", "/in.mtl"), "absolute"),
        (OBJ.replace("vt 0 0", "vt inf 0"), "UVs that are not finite"),
    ],
)
def test_objs_that_are_wrong(tmp_path: Path, obj: str, match: str):
    (tmp_path / "in.mtl").write_text("newmtl a\nmap_Kd skin.png\n")
    (tmp_path / "skin.png").write_bytes(png_of())
    (tmp_path / "in.obj").write_text(obj)
    refused(tmp_path / "in.obj", match)


@pytest.mark.parametrize(
    ("mtl", "match"),
    [
        ("newmtl a\nmap_Kd gone.png\n", "gone.png, which is not there"),
        ("newmtl a\nmap_Kd C:\\Users\\me\\skin.png\n", "absolute path"),
        ("newmtl a\nmap_Kd ..\\skin.png\n", "leads out|not there"),
        ("newmtl a\nmap_Kd in.obj\n", "is not an image"),
        ("newmtl a\nmap_Kd -s 1 2\n", "no name"),
        ("newmtl a\nmap_Kd -s x skin.png\n", "damaged"),
        ("newmtl a\nKd 1 x\n", "damaged"),
    ],
)
def test_materials_that_are_wrong(tmp_path: Path, mtl: str, match: str):
    (tmp_path / "in.mtl").write_text(mtl)
    (tmp_path / "in.obj").write_text(OBJ)
    with pytest.raises(UserError, match=match):
        read_mesh(tmp_path / "in.obj")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda text: text[1:], "not a PLY"),
        (lambda text: text.replace("end_header", ""), "header has no end"),
        (lambda text: text.replace("ascii", "text"), "damaged line"),
        (lambda text: text.replace("format ascii 1.0\n", ""), "names no format"),
        (lambda text: text.replace("vertex 4", "vertex four"), "damaged line"),
        (lambda text: text.replace("vertex 4", "vertex -4"), "cannot be"),
        (lambda text: text.replace("vertex 4", f"vertex {10**15}"), "cut short"),
        (lambda text: text.replace("face 1", f"face {10**15}"), "cut short|no number"),
        (lambda text: text.replace("list uchar int vertex_", "int vertex_"), "no faces"),
        (lambda text: text.replace("list uchar", "list float"), "damaged line"),
        (lambda text: text.replace("float x", "float a"), "no positions"),
        (lambda text: text.replace("4 0 1 2 3", "4 0 1 2 9"), "names vertex 9"),
        (lambda text: text.replace("4 0 1 2 3", "4 0 1 2 -1"), "names vertex -1"),
        (lambda text: text.replace("4 0 1 2 3", "4 0 1 2 x"), "no number"),
        (lambda text: text.replace("4 0 1 2 3", "4 0 1 2 nan"), "names vertex"),
        (lambda text: text.replace("4 0 1 2 3", "-4 0 1 2 3"), "cut short"),
        (lambda text: text.replace("4 0 1 2 3", "2 0 1"), "no faces"),
        (lambda text: text.replace("1 1 0 200", "1 nan 0 200"), "not finite"),
        (lambda text: text.replace("skin.png", "gone.png"), "gone.png, which is not there"),
        (lambda text: text.replace("skin.png", "../skin.png"), "leads out"),
    ],
)
def test_plys_that_are_wrong(tmp_path: Path, change: Callable[[str], str], match: str):
    (tmp_path / "skin.png").write_bytes(png_of())
    (tmp_path / "in.ply").write_text(change(PLY))
    refused(tmp_path / "in.ply", match)


def test_binary_plys_that_are_cut_short(tmp_path: Path):
    (tmp_path / "skin.png").write_bytes(png_of())
    data = square("binary_little_endian")
    for cut in (len(data) - 1, len(data) - 20, data.index(b"end_header") + 20):
        (tmp_path / "in.ply").write_bytes(data[:cut])
        refused(tmp_path / "in.ply", "cut short")


def test_links_out_of_the_folder(tmp_path: Path):
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(png_of())
    (inside / "skin.png").symlink_to(tmp_path / "secret.png")
    (inside / "in.mtl").write_text("newmtl a\nmap_Kd skin.png\n")
    (inside / "in.obj").write_text(OBJ)
    refused(inside / "in.obj", "leads out of its folder")
    (inside / "skin.png").unlink()
    (inside / "real.png").write_bytes(png_of())
    (inside / "skin.png").symlink_to("real.png")
    assert len(read_mesh(inside / "in.obj").textures) == 1


def test_files_that_are_none(tmp_path: Path):
    refused(tmp_path / "gone.glb", "there is no such file")
    (tmp_path / "folder.glb").mkdir()
    refused(tmp_path / "folder.glb", "is a folder")
    os.mkfifo(tmp_path / "pipe.obj")
    refused(tmp_path / "pipe.obj", "not a regular file")
    refused(tmp_path / "mesh.stl", r"\.glb, \.gltf, \.obj or \.ply")


def test_files_too_large_for_this_machine_are_not_read(tmp_path: Path):
    path = tmp_path / "in.glb"
    with path.open("wb") as file:
        file.truncate(1 << 42)  # a hole, which takes no room
    refused(path, "too much for the")


def test_too_many_faces_are_said_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(placed_faces, "machine_bytes", lambda: 1000.0)
    refused(quad_file().glb(tmp_path / "in.glb"), r"has 2 faces, which take about .* simplify it")


def test_images_too_large_are_refused(tmp_path: Path):
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99))
    made = Gltf()
    made.show(made.quad(made.textured(made.image(png))))
    refused(made.glb(tmp_path / "in.glb"), "image 0: has 3600000000 pixels")


def unwrapped_glb(folder: Path) -> Path:
    corners, faces = cube()
    made = Gltf()
    made.show(
        {
            "attributes": {"POSITION": made.array(corners), "COLOR_0": made.array(corners)},
            "indices": made.array(faces.reshape(-1), "u1"),
        }
    )
    return made.glb(folder / "plain.glb")


def originals(folder: Path) -> dict[str, bytes]:
    """A file of each format and kind, by its suffix behind a name."""
    full().glb(folder / "full.glb")
    full().gltf(folder / "full.gltf", embedded=True)
    unwrapped_glb(folder)
    (folder / "skin.png").write_bytes(png_of())
    (folder / "in.mtl").write_text("newmtl a\nmap_Kd -s 1 1 skin.png\n")
    (folder / "full.obj").write_text(OBJ)
    (folder / "plain.obj").write_text(SQUARE + "f 1 2 3 4\nf -1 -2 -3\n")
    for order in ("ascii", "binary_little_endian"):
        (folder / f"{order}.ply").write_bytes(square(order, quad=order == "ascii"))
    (folder / "plain.ply").write_bytes(square("ascii").replace(b"float s", b"float q"))
    names = ("full.glb", "full.gltf", "plain.glb", "full.obj", "plain.obj", "ascii.ply",
             "binary_little_endian.ply", "plain.ply")  # fmt: skip
    return {name: (folder / name).read_bytes() for name in names}


def test_names_are_told_beforehand_and_the_main_file_is_the_last(tmp_path: Path):
    for name in originals(tmp_path):
        mesh = read_mesh(tmp_path / name, texture_size=16)
        result = f"a b{Path(name).suffix}"
        files = mesh.form.files([b"png"] * len(mesh.textures), result)
        assert list(files) == mesh.form.names(result)
        assert list(files)[-1] == result


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some flipped, cut away, doubled or put elsewhere."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made))
        end = min(len(made), at + rng.randint(1, 12))
        match rng.randrange(6):
            case 0:
                made[at] ^= 1 << rng.randrange(8)
            case 1:
                made[at] = rng.randrange(256)
            case 2:
                made[at:end] = rng.choice([b"0", b"-1", b"9" * 12, b"null", b"[]", b"\xff" * 4])
            case 3:
                made[at:at] = made[at:end]
            case 4:
                del made[at:end]
            case _:
                if rng.random() < 0.2:
                    del made[at:]
        if not made:
            made = bytearray(b"\0")
    return bytes(made)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch):
    """Has xatlas run here, as hundreds of processes would take long."""
    monkeypatch.setattr(unwrapping, "_in_child", answer)


@pytest.mark.usefixtures("in_this_process")
def test_damaged_files_are_read_or_refused(tmp_path: Path):
    rng, read, often = random.Random(7), 0, ("full.glb", "full.obj", "binary_little_endian.ply")
    sentences = []
    for name, data in originals(tmp_path).items():
        path = tmp_path / name
        for _ in range(300 if name in often else 60):
            path.write_bytes(damaged(data, rng))
            try:
                mesh = read_mesh(path, texture_size=16)
                mesh.form.files([b"png"] * len(mesh.textures), f"out{path.suffix}")
            except UserError as error:
                sentences.append(str(error))
            else:
                read += 1
    assert all(one.startswith(str(tmp_path)) for one in sentences)
    assert read > 100
    assert len(sentences) > 300


@pytest.mark.usefixtures("in_this_process")
def test_json_of_wrong_types_is_read_or_refused(tmp_path: Path):
    """Bytes seldom hit the JSON in a way that leaves it JSON: here single values are replaced."""
    made = full()
    text = json.dumps(made.finish())
    rng = random.Random(11)
    others: list[Any] = [
        None,
        True,
        -1,
        0,
        1,
        2**31,
        2**60,
        1e308,
        0.5,
        "",
        "x",
        [],
        [0],
        {},
        {"a": 1},
        [[]],
    ]
    read, sentences = 0, []
    for _ in range(300):
        root = json.loads(text)
        places = [(root, key) for key in root]
        for parent, key in places:
            inner = parent[key]
            keys = (
                inner
                if isinstance(inner, dict)
                else range(len(inner))
                if isinstance(inner, list)
                else ()
            )
            places += [(inner, one) for one in keys]
        parent, key = rng.choice(places)
        parent[key] = rng.choice(others)
        made.root = root
        path = saved(made, tmp_path / "in.glb")
        try:
            mesh = read_mesh(path, texture_size=16)
            write_mesh(mesh, [png_of()] * len(mesh.textures), tmp_path / "out.glb")
        except UserError as error:
            sentences.append(str(error))
        else:
            read += 1
    assert all(one.startswith(str(tmp_path)) for one in sentences)
    assert read > 60
    assert len(sentences) > 60
