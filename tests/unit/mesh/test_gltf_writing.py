"""A glTF is written as it was read, but for the images of its textures."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.mesh.mesh_formats import files_beside, read_mesh, write_mesh
from tests.unit.mesh.gltf_builder import QUAD, QUAD_FACES, QUAD_UV, Gltf, pack, png_of, unpack

RED = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 40, 30)


def full() -> Gltf:
    """A file with a skin, an animation, morph targets, materials of many extensions, cameras and
    things that nobody knows, whose textures lie in the middle of its buffer."""
    made = Gltf()
    made.root["asset"]["extras"] = {"Grüße": [1, 2.5, None, True, 1e-7]}
    made.root["extensionsUsed"] = [
        "KHR_materials_clearcoat",
        "VENDOR_unknown",
        "KHR_lights_punctual",
    ]
    made.root["extensions"] = {
        "VENDOR_unknown": {"deep": {"list": [{"b": 1, "a": [2]}]}},
        "KHR_lights_punctual": {"lights": [{"type": "point"}]},
    }
    times = made.array([0, 0.5, 1], min=[0], max=[1])
    turns = made.array([[0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    bind = made.array(np.stack([np.eye(4), np.eye(4)]).reshape(2, 16))
    png = png_of((10, 200, 30))
    png += b"\0" * (-len(png) % 4)  # the next view begins where this one ends
    base = made.image(png, name="Haut", extras={"keep": "me"})
    normal = made.image(png_of((128, 128, 255), (16, 16)), name="normals")
    second = made.image(png_of((9, 9, 9, 100), (5, 7)))
    joints = made.array([[0, 1, 0, 0]] * 4, "u1")
    weights = made.array([[0.5, 0.5, 0, 0]] * 4)
    move = made.array(np.ones((4, 3)))
    made.root["samplers"] = [{"wrapS": 33071, "wrapT": 33648}, {}]
    skin_material = made.textured(base, sampler=0, name="t0", extras={"x": 1})
    made.root["materials"][skin_material] |= {
        "name": "skin",
        "normalTexture": {"index": made.add("textures", {"source": normal}), "scale": 0.5},
        "extensions": {"KHR_materials_clearcoat": {"clearcoatFactor": 0.5}, "VENDOR_unknown": {}},
        "extras": {"id": 7},
        "alphaMode": "BLEND",
    }
    glass = made.textured(second, sampler=1)
    primitive = made.quad(skin_material, JOINTS_0=joints, WEIGHTS_0=weights)
    primitive["targets"] = [{"POSITION": move}]
    primitive["extras"] = {"targetNames": ["smile"]}
    node = made.show(primitive, made.quad(glass), name="körper", skin=0, weights=[0.0])
    arm = made.add("nodes", {"name": "arm"})
    hip = made.add("nodes", {"name": "hip", "children": [arm], "camera": 0})
    made.root["cameras"] = [{"type": "perspective", "perspective": {"yfov": 0.7, "znear": 0.1}}]
    made.root["skins"] = [{"joints": [hip, arm], "inverseBindMatrices": bind}]
    made.root["animations"] = [
        {
            "channels": [{"sampler": 0, "target": {"node": arm, "path": "rotation"}}],
            "samplers": [{"input": times, "output": turns}],
        }
    ]
    made.root["nodes"][node]["extensions"] = {"VENDOR_unknown": {"bufferView": 0}}
    return made


def bytes_of(root: dict[str, Any], buffers: list[bytes]) -> list[bytes]:
    """The bytes of every bufferView."""
    return [
        buffers[view["buffer"]][view.get("byteOffset", 0) :][: view["byteLength"]]
        for view in root["bufferViews"]
    ]


def without_places(root: dict[str, Any], images: list[int]) -> dict[str, Any]:
    """The JSON without what may differ: where bufferViews begin, how long those of images are, and
    how long the buffers are."""
    copy = json.loads(json.dumps(root))
    of_images = [copy["images"][index]["bufferView"] for index in images]
    for number, view in enumerate(copy["bufferViews"]):
        view.pop("byteOffset", None)
        if number in of_images:
            view.pop("byteLength")
    for buffer in copy["buffers"]:
        buffer.pop("byteLength")
    return copy


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (64, 64), (200, 300)])
def test_all_of_a_glb_but_its_images_stays_as_it_was(tmp_path: Path, size: tuple[int, int]):
    path = full().glb(tmp_path / "in.glb", more=[(b"XTRA", b"12345678")])
    mesh = read_mesh(path)
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    write_mesh(mesh, [noise, RED], tmp_path / "out.glb")
    (before, [(_, old), extra]), (after, [(name, new), extra_after]) = (
        unpack((tmp_path / file).read_bytes()) for file in ("in.glb", "out.glb")
    )
    assert name == b"BIN\0"
    assert extra == extra_after == (b"XTRA", b"12345678")
    assert files_beside(mesh, "out.glb") == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.glb", "out.glb"]
    assert json.dumps(without_places(before, [0, 2])) == json.dumps(without_places(after, [0, 2]))
    views = [before["images"][index]["bufferView"] for index in (0, 2)]
    for number, (one, other) in enumerate(
        zip(bytes_of(before, [old]), bytes_of(after, [new]), strict=True)
    ):
        assert number in views or one == other
    shown = bytes_of(after, [new])
    assert (pixels(shown[views[0]]) == (noise * 255).round().permute(1, 2, 0).numpy()).all()
    assert (pixels(shown[views[1]])[..., 0] == 255).all()
    assert len(new) - after["buffers"][0]["byteLength"] in range(4)
    for one, other in zip(before["bufferViews"], after["bufferViews"], strict=True):
        assert (one["byteOffset"] - other["byteOffset"]) % 4 == 0


def test_what_was_written_is_read_the_same(tmp_path: Path):
    mesh = read_mesh(full().glb(tmp_path / "in.glb"))
    images = [texture.image for texture in mesh.textures]
    write_mesh(mesh, images, tmp_path / "out.glb")
    again = read_mesh(tmp_path / "out.glb")
    for one, other in zip(
        (mesh.surface.corners, mesh.surface.uv, mesh.surface.material, *images),
        (
            again.surface.corners,
            again.surface.uv,
            again.surface.material,
            *(texture.image for texture in again.textures),
        ),
        strict=True,
    ):
        assert torch.equal(one, other)
    assert [t.wrap for t in again.textures] == [("clamp", "mirror"), ("repeat", "repeat")]


def test_transparency_stays_at_any_size(tmp_path: Path):
    mesh = read_mesh(full().glb(tmp_path / "in.glb"))
    assert mesh.alphas[0] is None
    assert mesh.alphas[1] is not None
    assert mesh.alphas[1].shape == (1, 7, 5)
    write_mesh(mesh, [RED, RED], tmp_path / "out.glb")
    again = read_mesh(tmp_path / "out.glb")
    assert again.alphas[0] is None
    assert again.alphas[1] is not None
    assert again.alphas[1].shape == (1, 40, 30)
    assert again.alphas[1][0, -1, -1] == pytest.approx(100 / 255)


def test_bytes_of_a_png_are_taken_as_they_are(tmp_path: Path):
    mesh = read_mesh(full().glb(tmp_path / "in.glb"))
    png = png_of((1, 2, 3), (3, 3))
    write_mesh(mesh, [png, RED], tmp_path / "out.glb")
    root, [(_, data)] = unpack((tmp_path / "out.glb").read_bytes())
    assert bytes_of(root, [data])[root["images"][0]["bufferView"]] == png


def test_a_gltf_with_files_keeps_its_form(tmp_path: Path):
    made = full()
    extra = made.array(np.arange(6).reshape(2, 3), buffer=1)
    made.root["images"][1] = {"uri": "maps/normal%20map.PNG", "name": "n"}
    made.root["images"][2] = {"uri": "maps/glass.png"}
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/normal map.PNG").write_bytes(normal := png_of((0, 0, 255)))
    (tmp_path / "maps/glass.png").write_bytes(png_of((9, 9, 9), (5, 7)))
    path = made.gltf(tmp_path / "in.gltf")
    mesh = read_mesh(path)
    out = tmp_path / "out" / "größe 1.gltf"
    write_mesh(mesh, [RED, RED], out)
    beside = files_beside(mesh, out)
    assert sorted(beside) == [
        "größe 1-buffer-0.bin",
        "größe 1-buffer-1.bin",
        "größe 1-image-1.png",
        "größe 1-image-2.png",
    ]
    assert sorted(file.name for file in out.parent.iterdir()) == sorted([*beside, out.name])
    assert out.with_name("größe 1-image-1.png").read_bytes() == normal
    before, after = (json.loads(one.read_text(encoding="utf-8")) for one in (path, out))
    assert '\n  "asset"' in out.read_text(encoding="utf-8")
    buffers = [(tmp_path / f"part {n}.bin").read_bytes() for n in range(2)]
    written = [out.with_name(f"größe 1-buffer-{n}.bin").read_bytes() for n in range(2)]
    old, new = bytes_of(before, buffers), bytes_of(after, written)
    view = before["images"][0]["bufferView"]
    assert [one == other for one, other in zip(old, new, strict=True)] == [
        number != view for number in range(len(old))
    ]
    assert after["accessors"][extra] == before["accessors"][extra]
    moved = read_mesh(out)
    assert torch.equal(moved.surface.corners, mesh.surface.corners)
    assert (moved.textures[1].image == RED).all()
    for root in (before, after):
        for image in root["images"]:
            image.pop("uri", None), image.pop("mimeType", None)
        for one in (*root["buffers"], *root["bufferViews"]):
            [one.pop(key, None) for key in ("uri", "byteLength", "byteOffset")]
    assert json.dumps(before) == json.dumps(after)


def test_a_gltf_that_holds_all_of_itself_stays_one_file(tmp_path: Path):
    made = full()
    png = base64.b64encode(png_of((1, 2, 3))).decode()
    made.root["images"][2] = {"uri": f"data:image/png;base64,{png}"}
    mesh = read_mesh(made.gltf(tmp_path / "in.gltf", embedded=True))
    write_mesh(mesh, [RED, RED], tmp_path / "out.gltf")
    assert files_beside(mesh, tmp_path / "out.gltf") == []
    again = read_mesh(tmp_path / "out.gltf")
    assert all((texture.image == RED).all() for texture in again.textures)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.gltf", "out.gltf"]


def test_an_image_beside_a_glb_goes_into_it(tmp_path: Path):
    made = Gltf()
    image = made.add("images", {"uri": "skin.png", "name": "n"})
    made.show(made.quad(made.textured(image)))
    (tmp_path / "skin.png").write_bytes(png_of())
    mesh = read_mesh(made.glb(tmp_path / "in.glb"))
    write_mesh(mesh, [RED], tmp_path / "out" / "out.glb")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["out.glb"]
    (before, [(_, old)]), (after, [(_, new)]) = (
        unpack((tmp_path / file).read_bytes()) for file in ("in.glb", "out/out.glb")
    )
    assert new.startswith(old)
    assert after["images"] == [{"name": "n", "mimeType": "image/png", "bufferView": 3}]
    assert after["bufferViews"][:3] == before["bufferViews"]
    assert (read_mesh(tmp_path / "out/out.glb").textures[0].image == RED).all()


def test_an_image_with_another_use_is_left_to_it(tmp_path: Path):
    made = Gltf()
    image = made.image(old := png_of())
    material = made.textured(image)
    made.root["materials"][material]["emissiveTexture"] = {"index": 0}
    made.show(made.quad(material))
    mesh = read_mesh(made.glb(tmp_path / "in.glb"))
    write_mesh(mesh, [RED], tmp_path / "out.glb")
    root, [(_, data)] = unpack((tmp_path / "out.glb").read_bytes())
    base = root["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["index"]
    glow = root["materials"][0]["emissiveTexture"]["index"]
    shown = [root["images"][root["textures"][index]["source"]] for index in (base, glow)]
    assert bytes_of(root, [data])[shown[1]["bufferView"]] == old
    assert (pixels(bytes_of(root, [data])[shown[0]["bufferView"]]) == (255, 0, 0)).all()


def test_one_image_with_two_wraps_becomes_two(tmp_path: Path):
    made = Gltf()
    image = made.image(png_of())
    made.root["samplers"] = [{"wrapS": 33071}]
    made.show(made.quad(made.textured(image)), made.quad(made.textured(image, sampler=0)))
    mesh = read_mesh(made.glb(tmp_path / "in.glb"))
    assert [texture.wrap for texture in mesh.textures] == [
        ("repeat", "repeat"),
        ("clamp", "repeat"),
    ]
    write_mesh(mesh, [RED, 1 - RED], tmp_path / "out.glb")
    again = read_mesh(tmp_path / "out.glb")
    assert (again.textures[0].image == RED).all()
    assert (again.textures[1].image == 1 - RED).all()


def test_materials_that_share_an_image_show_one_texture(tmp_path: Path):
    made = Gltf()
    image = made.image(png_of())
    made.show(made.quad(made.textured(image)), made.quad(made.textured(image)))
    mesh = read_mesh(made.glb(tmp_path / "in.glb"))
    assert len(mesh.textures) == 1
    assert mesh.surface.material.tolist() == [0] * 4


def test_bytes_that_two_views_share_are_left_alone(tmp_path: Path):
    made = Gltf()
    image = made.image(old := png_of())
    other = dict(made.root["bufferViews"][0])
    made.add("bufferViews", other)
    made.show(made.quad(made.textured(image)))
    mesh = read_mesh(made.glb(tmp_path / "in.glb"))
    write_mesh(mesh, [RED], tmp_path / "out.glb")
    root, [(_, data)] = unpack((tmp_path / "out.glb").read_bytes())
    assert bytes_of(root, [data])[1] == old
    assert (read_mesh(tmp_path / "out.glb").textures[0].image == RED).all()


def test_a_webp_is_read_and_a_png_comes_in_its_place(tmp_path: Path):
    data = io.BytesIO()
    Image.new("RGB", (8, 8), (10, 200, 30)).save(data, "WEBP", lossless=True)
    made = Gltf()
    image = made.add("images", {"bufferView": made.view(data.getvalue()), "mimeType": "image/webp"})
    material = made.textured(image)
    made.root["textures"][0] = {"extensions": {"EXT_texture_webp": {"source": image}}, "name": "t"}
    made.root["extensionsUsed"] = made.root["extensionsRequired"] = ["EXT_texture_webp"]
    made.show(made.quad(material))
    mesh = read_mesh(made.glb(tmp_path / "in.glb"))
    assert mesh.textures[0].image[:, 0, 0].mul(255).round().tolist() == [10, 200, 30]
    write_mesh(mesh, [RED], tmp_path / "out.glb")
    root, _ = unpack((tmp_path / "out.glb").read_bytes())
    assert root["textures"] == [{"name": "t", "source": 0}]
    assert root["images"][0]["mimeType"] == "image/png"


def attribute(root: dict[str, Any], data: bytes, index: int) -> np.ndarray:
    """The elements of an accessor, read here."""
    accessor = root["accessors"][index]
    view = root["bufferViews"][accessor["bufferView"]]
    kind = {5120: "i1", 5121: "u1", 5122: "i2", 5123: "u2", 5125: "u4", 5126: "f4"}
    dtype = np.dtype("<" + kind[accessor["componentType"]])
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    stride = view.get("byteStride", dtype.itemsize * width)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    assert start % dtype.itemsize == 0
    return np.stack(
        [
            np.frombuffer(data, dtype, width, start + stride * number)
            for number in range(accessor["count"])
        ]
    )


def cube() -> tuple[np.ndarray, np.ndarray]:
    """Eight vertices and twelve faces, which no UVs of vertices could unfold."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], "f4")
    faces = [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ]  # fmt: skip
    return corners, np.array(faces)


def test_a_mesh_without_uvs_is_unwrapped_with_all_that_its_vertices_carry(tmp_path: Path):
    corners, faces = cube()
    made = Gltf()
    picked = np.arange(8)
    joints = made.array(np.stack([picked % 2, picked * 0, picked * 0, picked * 0], 1), "u1")
    weights = made.array([[1, 0, 0, 0]] * 8)
    colour = made.array((corners * 255), "u1", normalized=True)  # three bytes: a gap has to follow
    odd = made.array(picked[:, None] * 3, "u2")
    primitive = {
        "attributes": {
            "POSITION": made.array(corners, min=[0, 0, 0], max=[1, 1, 1]),
            "JOINTS_0": joints,
            "WEIGHTS_0": weights,
            "COLOR_0": colour,
            "_ODD": odd,
        },
        "indices": made.array(faces.reshape(-1), "u1"),
        "targets": [{"POSITION": made.array(corners * 0.5)}],
        "material": made.add(
            "materials",
            {
                "name": "painted",
                "pbrMetallicRoughness": {"metallicFactor": 0, "baseColorFactor": [1, 1, 1, 0.5]},
            },
        ),
    }
    root_node = made.show(primitive, skin=0)
    bones = [made.add("nodes", {}), made.add("nodes", {"translation": [0, 0, 3]})]
    made.root["skins"] = [{"joints": bones}]
    assert root_node == 0
    path = made.glb(tmp_path / "in.glb")
    mesh = read_mesh(path, texture_size=128)
    assert mesh.surface.corners.shape == (12, 3, 3)
    [texture] = mesh.textures
    assert max(texture.image.shape) == 128
    write_mesh(mesh, [texture.image], tmp_path / "out.glb")
    (before, [(_, old)]), (after, [(_, new)]) = (
        unpack((tmp_path / file).read_bytes()) for file in ("in.glb", "out.glb")
    )
    assert new.startswith(old[: before["buffers"][0]["byteLength"]])
    for key in ("bufferViews", "accessors"):
        assert after[key][: len(before[key])] == before[key]
    [now] = after["meshes"][0]["primitives"]
    read = {name: attribute(after, new, index) for name, index in now["attributes"].items()}
    order = attribute(after, new, now["indices"])[:, 0]
    assert (read["POSITION"][order] == corners[faces.reshape(-1)]).all()
    source = [int(np.flatnonzero((corners == one).all(1))[0]) for one in read["POSITION"]]
    assert len(source) > 8
    assert (read["JOINTS_0"][:, 0] == np.array(source) % 2).all()
    assert (read["_ODD"][:, 0] == np.array(source) * 3).all()
    assert after["accessors"][now["attributes"]["POSITION"]]["max"] == [1, 1, 1]
    target = attribute(after, new, now["targets"][0]["POSITION"])
    assert (target == read["POSITION"] * 0.5).all()
    assert "COLOR_0" not in read  # it is in the texture now
    assert after["materials"][0] == {
        "name": "painted",
        "pbrMetallicRoughness": {
            "metallicFactor": 0,
            "baseColorFactor": [1, 1, 1, 0.5],
            "baseColorTexture": {"index": 0},
        },
    }
    again = read_mesh(tmp_path / "out.glb")
    assert torch.equal(again.surface.corners, mesh.surface.corners)
    assert torch.allclose(again.surface.uv, mesh.surface.uv, atol=1e-7)
    check_painted(again.surface.uv, again.textures[0].image, torch.from_numpy(corners[faces]))


def check_painted(uv: Tensor, image: Tensor, linear: Tensor) -> None:
    """Sees that the middle of each face shows the mean of its corners' colours, but for their
    interpolation in sRGB."""
    shown = linear.where(linear <= 0.0031308, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
    expected = torch.where(linear <= 0.0031308, linear * 12.92, shown).mean(1)
    middle = uv.mean(1) * torch.tensor([image.shape[2], image.shape[1]])
    x, y = middle.long().T
    assert (image[:, y, x].T - expected).abs().max() < 0.04


def test_uvs_that_serve_are_kept_where_there_is_no_texture(tmp_path: Path):
    made = Gltf()
    colour = {"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.25, 1, 1]}}
    made.show(made.quad(made.add("materials", colour)))
    mesh = read_mesh(made.glb(tmp_path / "in.glb"), texture_size=32)
    expected = [1.055 * one ** (1 / 2.4) - 0.055 for one in (0.5, 0.25, 1)]
    assert mesh.textures[0].image.shape == (3, 32, 32)
    assert mesh.textures[0].image.mean((1, 2)).tolist() == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(mesh.surface.uv, QUAD_UV[QUAD_FACES.reshape(2, 3)])
    write_mesh(mesh, [RED], tmp_path / "out.glb")
    root, _ = unpack((tmp_path / "out.glb").read_bytes())
    assert root["meshes"] == unpack((tmp_path / "in.glb").read_bytes())[0]["meshes"]
    assert root["materials"] == [
        {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}},
    ]


def test_a_material_that_others_share_is_copied(tmp_path: Path):
    made = Gltf()
    material = made.textured(made.image(png_of()))
    bare = made.quad(material)
    del bare["attributes"]["TEXCOORD_0"]
    plain = made.quad()
    made.show(made.quad(material), bare, plain)
    mesh = read_mesh(made.glb(tmp_path / "in.glb"), texture_size=64)
    assert mesh.surface.material.tolist() == [0, 0, 2, 2, 1, 1]
    write_mesh(mesh, [RED, RED, RED], tmp_path / "out.glb")
    root, _ = unpack((tmp_path / "out.glb").read_bytes())
    assert [one["material"] for one in root["meshes"][0]["primitives"]] == [0, 2, 1]
    before = unpack((tmp_path / "in.glb").read_bytes())[0]
    assert root["materials"][0] == before["materials"][0]


def test_a_material_that_another_scene_shows_is_copied(tmp_path: Path):
    made = Gltf()
    material = made.add("materials", {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}})
    made.show(made.quad(material))
    made.show(made.quad(material))
    made.root["scenes"] = [{"nodes": [0]}, {"nodes": [1]}]
    mesh = read_mesh(made.glb(tmp_path / "in.glb"), texture_size=16)
    write_mesh(mesh, [RED], tmp_path / "out.glb")
    root, _ = unpack((tmp_path / "out.glb").read_bytes())
    assert [one["primitives"][0]["material"] for one in root["meshes"]] == [1, 0]
    assert root["materials"][0] == {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}


def test_strips_that_are_unwrapped_become_triangles(tmp_path: Path):
    made = Gltf()
    strip = {"attributes": {"POSITION": made.array(QUAD[[0, 1, 3, 2]])}, "mode": 5}
    made.show(strip)
    mesh = read_mesh(made.glb(tmp_path / "in.glb"), texture_size=64)
    write_mesh(mesh, [mesh.textures[0].image], tmp_path / "out.glb")
    again = read_mesh(tmp_path / "out.glb")
    assert torch.equal(again.surface.corners, mesh.surface.corners)


def test_a_glb_whose_buffers_are_in_its_json_grows_there(tmp_path: Path):
    made = Gltf()
    made.show(made.quad(made.textured(made.add("images", {"uri": "in.png"}))))
    root = made.finish()
    text = base64.b64encode(made.buffers[0]).decode()
    root["buffers"][0]["uri"] = f"data:application/gltf-buffer;base64,{text}"
    (tmp_path / "in.png").write_bytes(png_of())
    (tmp_path / "in.glb").write_bytes(pack(root, []))
    mesh = read_mesh(tmp_path / "in.glb")
    write_mesh(mesh, [RED], tmp_path / "out.glb")
    assert files_beside(mesh, "out.glb") == []
    after, chunks = unpack((tmp_path / "out.glb").read_bytes())
    assert chunks == []
    assert after["buffers"][0]["uri"].startswith(f"data:application/gltf-buffer;base64,{text[:80]}")
    assert (read_mesh(tmp_path / "out.glb").textures[0].image == RED).all()


def test_a_mesh_keeps_its_format(tmp_path: Path):
    mesh = read_mesh(full().glb(tmp_path / "in.glb"))
    with pytest.raises(UserError, match=r"give it the suffix \.glb"):
        write_mesh(mesh, [RED, RED], tmp_path / "out.gltf")
