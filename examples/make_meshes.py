"""Make the meshes in `meshes/`: a teapot-like vase, a torus and a stone, with their textures.

    python examples/make_meshes.py

needs numpy and Pillow only and rewrites the whole folder. Every texture is solid: the colour of a
texel is a function of where it lies in space, so that no seam shows. Points are (…, 3) with y
upwards, UVs lie in [0, 1] with v downwards, colours are RGB in [0, 255].
"""

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
Shape = Callable[[Array, Array], Array]
"""From two parameters in [0, 1], and a little beyond, to points."""

FOLDER = Path(__file__).resolve().parent / "meshes"


@dataclass(frozen=True)
class Chart:
    """A piece of a surface, and the rectangle of the texture that shows it.

    shape: of the piece; its first parameter goes to the right in the texture, its second down.
    place: left, top, right and bottom of the rectangle, as UVs.
    cells: into how many quadrangles it is divided, across and down.
    """

    shape: Shape
    place: tuple[float, float, float, float]
    cells: tuple[int, int]


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3), their UVs (V, 2) and quadrangles (Q, 4), counter-clockwise from outside."""

    vertices: Array
    uv: Array
    quads: Array


# --- Solid textures ---------------------------------------------------------------------------


def noise(points: Array, seed: int, octaves: int = 1) -> Array:
    """Return smooth noise in about [-1, 1] whose largest lumps have the size 1."""
    rng = np.random.default_rng(seed)
    total, weight = np.zeros(points.shape[:-1]), 0.0
    for octave in range(octaves):
        lattice = rng.uniform(-1, 1, (16, 16, 16))
        scaled = points * 2.0**octave + rng.uniform(0, 16, 3)
        low = np.floor(scaled).astype(int)
        share = scaled - low
        share = share * share * share * (share * (share * 6 - 15) + 10)
        value = np.zeros_like(total)
        for corner in np.ndindex(2, 2, 2):
            at = (low + corner) % 16
            weights = np.where(corner, share, 1 - share).prod(axis=-1)
            value += weights * lattice[at[..., 0], at[..., 1], at[..., 2]]
        total += value * 0.5**octave
        weight += 0.5**octave
    return np.asarray(2 * total / weight)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Rise from 0 to 1 while `value` goes from `low` to `high`."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def mix(first: Array, second: Array | str, share: Array) -> Array:
    """Blend two colours by the share in [0, 1] of the second."""
    other = colour(second) if isinstance(second, str) else second
    return np.asarray(first + (other - first) * share[..., None])


def colour(code: str) -> Array:
    """Return a hexadecimal code such as "1d3f72" as RGB."""
    return np.array(list(bytes.fromhex(code)), float)


def glaze(points: Array) -> Array:
    """Return the colours of a glazed pot: cream, with cobalt bands, leaves and a dark foot."""
    x, y, z = np.moveaxis(points, -1, 0)
    wobble = 0.03 * noise(points * 3, 1, 3)
    angle = np.arctan2(z, x)
    body = mix(
        np.broadcast_to(colour("efe3c8"), points.shape),
        "c9b48a",
        smoothstep(-0.6, 0.9, noise(points * 2.5, 2, 4)),
    )
    body = mix(body, "a9793f", 0.5 * smoothstep(0.55, 0.9, noise(points * 9, 3, 2)))
    height = y + wobble
    for at, width in ((0.32, 0.025), (0.40, 0.012), (1.28, 0.03), (1.20, 0.012), (1.62, 0.05)):
        band = 1 - smoothstep(width * 0.8, width * 1.3, np.abs(height - at))
        body = mix(body, "1f3d87", band * (0.8 + 0.2 * noise(points * 12, 4)))
    # A row of leaves around the belly, each an ellipse that leans.
    turn = (angle * 9 / (2 * np.pi)) % 1 - 0.5
    lean = turn - 0.55 * (height - 0.8)
    leaf = (lean / 0.27) ** 2 + ((height - 0.8) / 0.33) ** 2
    inside = 1 - smoothstep(0.85, 1.0, leaf)
    green = mix(
        np.broadcast_to(colour("2f6f63"), points.shape),
        "79a86b",
        smoothstep(-0.5, 0.5, noise(points * 6, 5, 2)),
    )
    body = mix(body, green, inside)
    vein = 1 - smoothstep(0.008, 0.02, np.abs(lean + 0.03 * np.sin(40 * height)))
    body = mix(body, "1c3f3c", vein * inside)
    flower = np.hypot(((turn + 1.0) % 1 - 0.5) * 0.8, height - 1.02) + wobble * 0.5
    body = mix(body, "b8402f", 1 - smoothstep(0.07, 0.085, flower))
    body = mix(body, "e9b44c", 1 - smoothstep(0.025, 0.035, flower))
    body = mix(body, "3b2a20", 1 - smoothstep(0.05, 0.16, height))
    crackle = np.abs(noise(points * 7, 6, 2))
    return mix(body, "6d5a41", 0.45 * (1 - smoothstep(0.0, 0.035, crackle)))


def marble(points: Array) -> Array:
    """Return the colours of marble: green and white, with rust in some of its veins."""
    drift = noise(points * 1.4, 11, 5)
    stripes = np.sin(5 * (points[..., 0] + 0.6 * points[..., 1]) + 5 * drift)
    base = mix(
        np.broadcast_to(colour("e8e6dc"), points.shape),
        "9db3a3",
        smoothstep(-0.6, 0.7, noise(points * 1.1, 12, 4)),
    )
    base = mix(base, "3f6b5c", 0.9 * smoothstep(0.35, 0.95, stripes))
    base = mix(base, "1f3d36", smoothstep(0.9, 1.0, stripes))
    thin = 1 - smoothstep(0.0, 0.06, np.abs(noise(points * 2.2, 13, 4)))
    base = mix(base, "f7f4ea", 0.8 * thin)
    rust = thin * smoothstep(0.1, 0.5, noise(points * 1.7, 14, 2))
    return mix(base, "b06a35", 0.9 * rust)


def rock(points: Array) -> Array:
    """Return the colours of a stone: granite, with moss on top and spots of lichen."""
    grain = noise(points * 14, 21, 3)
    base = mix(
        np.broadcast_to(colour("8b8680"), points.shape),
        "5c5854",
        smoothstep(-0.4, 0.6, noise(points * 2, 22, 4)),
    )
    base = mix(base, "d8d2c4", smoothstep(0.3, 0.6, grain))
    base = mix(base, "2b2a2c", smoothstep(0.3, 0.6, -grain))
    base = mix(base, "a2705a", 0.6 * smoothstep(0.1, 0.6, noise(points * 4, 23, 3)))
    spots = noise(points * 3.2, 24, 2) + 0.25 * grain
    base = mix(base, "d9b23c", smoothstep(0.42, 0.52, spots))
    base = mix(base, "c2cdb2", smoothstep(0.42, 0.5, noise(points * 2.7, 25, 3)))
    moss = points[..., 1] + 0.5 * noise(points * 2.5, 26, 4)
    green = mix(
        np.broadcast_to(colour("4f6b2a"), points.shape),
        "8fa444",
        smoothstep(-0.5, 0.6, noise(points * 18, 27, 2)),
    )
    return mix(base, green, smoothstep(0.42, 0.6, moss))


# --- Shapes -----------------------------------------------------------------------------------


def lathe(profile: list[tuple[float, float]]) -> Shape:
    """Return the surface of revolution about y of a smooth curve through (radius, height)."""
    knots = np.array(profile)
    at = np.linspace(0, 1, 500)
    steps = np.linalg.norm(np.diff(catmull_rom(knots, at), axis=0), axis=1)
    length = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()

    def shape(around: Array, along: Array) -> Array:
        even = np.interp(1 - along, length, at)  # so that the texture is stretched nowhere
        radius, height = np.moveaxis(catmull_rom(knots, even), -1, 0)
        angle = -2 * np.pi * around
        return np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=-1)

    return shape


def tube(path: list[tuple[float, float]], radii: list[float]) -> Shape:
    """Return a tube about a smooth curve in the plane of x and y."""
    knots, sizes = np.array(path), np.array(radii)[:, None]

    def shape(around: Array, along: Array) -> Array:
        middle = catmull_rom(knots, along)
        inner = along.clip(1e-3, 1 - 1e-3)
        ahead = catmull_rom(knots, inner + 1e-3) - catmull_rom(knots, inner - 1e-3)
        x, y = np.moveaxis(ahead / np.linalg.norm(ahead, axis=-1, keepdims=True), -1, 0)
        radius = catmull_rom(sizes, along)[..., 0]
        angle = -2 * np.pi * around
        side, depth = radius * np.cos(angle), radius * np.sin(angle)
        return np.stack([middle[..., 0] - y * side, middle[..., 1] + x * side, depth], axis=-1)

    return shape


def catmull_rom(knots: Array, at: Array) -> Array:
    """Return the points of a smooth curve through `knots` at [0, 1]; it ends where they end."""
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    scaled = np.clip(at, 0, 1) * (len(knots) - 1)
    first = np.minimum(scaled.astype(int), len(knots) - 2)
    t = (scaled - first)[..., None]
    a, b, c, d = (padded[first + n] for n in range(4))
    cubic = (-a + 3 * b - 3 * c + d) * t**3 + (2 * a - 5 * b + 4 * c - d) * t**2
    return np.asarray((cubic + (c - a) * t + 2 * b) / 2)


def ring(around: Array, along: Array) -> Array:
    """Return a torus about y, of radii 1 and 0.42."""
    angle, turn = 2 * np.pi * around, 2 * np.pi * along
    radius = 1 + 0.42 * np.cos(turn)
    return np.stack([radius * np.cos(angle), 0.42 * np.sin(turn), radius * np.sin(angle)], axis=-1)


def boulder(axis: int, sign: int) -> Shape:
    """Return one of the six sides of a cube that is blown up to a ball and dented by noise."""

    def shape(across: Array, down: Array) -> Array:
        # By tangents, the cells of a cube's side are about equally large on the ball.
        first, second = (np.tan((2 * one - 1) * np.pi / 4) for one in (across, down))
        sides = [first, -second if sign > 0 else second]
        cube = np.stack([*sides[:axis], np.full_like(first, sign), *sides[axis:]], axis=-1)
        if axis == 1:
            cube = cube * (1, 1, -1)
        ball = cube / np.linalg.norm(cube, axis=-1, keepdims=True)
        dents = 1 + 0.22 * noise(ball * 1.2, 31, 2) + 0.05 * noise(ball * 3, 32, 2)
        return np.asarray(ball * dents[..., None] * (1.15, 0.75, 0.9))

    return shape


# --- Meshes and textures of charts --------------------------------------------------------------


def mesh_of(charts: list[Chart]) -> Mesh:
    """Return the mesh of all charts, whose vertices are their own."""
    vertices, uv, quads, count = [], [], [], 0
    for chart in charts:
        columns, rows = chart.cells
        down, across = np.mgrid[0 : rows + 1, 0 : columns + 1]
        left, top, right, bottom = chart.place
        u, v = across / columns, down / rows
        vertices.append(chart.shape(u, v).reshape(-1, 3))
        uv.append(
            np.stack([left + (right - left) * u, top + (bottom - top) * v], -1).reshape(-1, 2)
        )
        first = (down[:-1, :-1] * (columns + 1) + across[:-1, :-1]).reshape(-1, 1) + count
        quads.append(first + np.array([0, columns + 1, columns + 2, 1]))
        count += len(vertices[-1])
    return Mesh(np.concatenate(vertices), np.concatenate(uv), np.concatenate(quads))


def texture_of(charts: list[Chart], paint: Callable[[Array], Array], size: int) -> Image.Image:
    """Return the texture of all charts; each is painted some pixels beyond its rectangle."""
    image = np.broadcast_to(colour("808080"), (size, size, 3)).copy()
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    margin = 8 / size
    for chart in charts:
        left, top, right, bottom = chart.place
        near = (
            (x > left - margin) & (x < right + margin) & (y > top - margin) & (y < bottom + margin)
        )
        u, v = (x[near] - left) / (right - left), (y[near] - top) / (bottom - top)
        image[near] = paint(chart.shape(u, v))
    return Image.fromarray(image.round().clip(0, 255).astype(np.uint8))


def triangles(mesh: Mesh) -> Array:
    """Return the faces (F, 3) of a mesh, without those of no area at a pole."""
    faces = mesh.quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    a, b, c = (mesh.vertices[faces[:, n]] for n in range(3))
    return np.asarray(faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-9])


def normals(mesh: Mesh) -> Array:
    """Return the normal (V, 3) of each vertex, the same for all that lie in one place."""
    faces = triangles(mesh)
    _, place = np.unique(mesh.vertices.round(5), axis=0, return_inverse=True)
    place = place.reshape(-1)
    a, b, c = (mesh.vertices[faces[:, n]] for n in range(3))
    total = np.zeros((place.max() + 1, 3))
    for corner in faces.T:
        np.add.at(total, place[corner], np.cross(b - a, c - a))
    found = total[place]
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12))


# --- Files --------------------------------------------------------------------------------------


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Return an image as a JPEG."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality, optimize=True)
    return data.getvalue()


def save_glb(path: Path, mesh: Mesh, texture: bytes) -> None:
    """Write a GLB whose texture is a JPEG inside it."""
    faces = triangles(mesh).astype("<u2")
    arrays = [mesh.vertices.astype("<f4"), normals(mesh).astype("<f4"), mesh.uv.astype("<f4")]
    parts = [*(one.tobytes() for one in (*arrays, faces)), texture]
    views, binary = [], b""
    for part in parts:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(part)})
        binary += part + b"\0" * (-len(part) % 4)
    accessors: list[dict[str, Any]] = [
        {"bufferView": n, "componentType": 5126, "count": len(one), "type": f"VEC{one.shape[1]}"}
        for n, one in enumerate(arrays)
    ]
    accessors[0] |= {"min": arrays[0].min(0).tolist(), "max": arrays[0].max(0).tolist()}
    accessors.append(
        {"bufferView": 3, "componentType": 5123, "count": faces.size, "type": "SCALAR"}
    )
    attributes = {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}
    primitive = {"attributes": attributes, "indices": 3, "material": 0}
    surface = {"baseColorTexture": {"index": 0}, "metallicFactor": 0, "roughnessFactor": 0.5}
    root = {
        "asset": {"version": "2.0", "generator": "make_meshes.py"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": path.stem, "mesh": 0}],
        "meshes": [{"name": path.stem, "primitives": [primitive]}],
        "materials": [{"name": "glaze", "pbrMetallicRoughness": surface, "doubleSided": True}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 4, "mimeType": "image/jpeg"}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    text = json.dumps(root, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + len(binary)
    path.write_bytes(
        struct.pack("<4sII", b"glTF", 2, length)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )


def save_obj(path: Path, mesh: Mesh, texture: Image.Image) -> None:
    """Write an OBJ of quadrangles, its MTL and its texture, a PNG of 96 colours."""
    texture.quantize(96, dither=Image.Dither.FLOYDSTEINBERG).save(
        path.with_suffix(".png"), optimize=True
    )
    path.with_suffix(".mtl").write_text(f"newmtl marble\nKd 1 1 1\nmap_Kd {path.stem}.png\n")
    lines = [f"mtllib {path.stem}.mtl", f"o {path.stem}"]
    lines += [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"vt {u:.4f} {1 - v:.4f}" for u, v in mesh.uv.tolist()]
    lines += ["usemtl marble"]
    lines += ["f " + " ".join(f"{n}/{n}" for n in quad) for quad in (mesh.quads + 1).tolist()]
    path.write_text("\n".join(lines) + "\n")


def save_ply(path: Path, mesh: Mesh, texture: bytes) -> None:
    """Write a binary PLY with its texture, a JPEG, beside it."""
    faces = triangles(mesh)
    header = [
        "ply", "format binary_little_endian 1.0", f"comment TextureFile {path.stem}.jpg",
        f"element vertex {len(mesh.vertices)}",
        *(f"property float {name}" for name in ("x", "y", "z", "s", "t")),
        f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", "",
    ]  # fmt: skip
    rows = np.zeros(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", (3,))]))
    rows["count"], rows["corners"] = 3, faces
    upwards = mesh.uv * (1, -1) + (0, 1)
    vertices = np.concatenate([mesh.vertices, upwards], axis=1).astype("<f4")
    path.write_bytes("\n".join(header).encode() + vertices.tobytes() + rows.tobytes())
    path.with_suffix(".jpg").write_bytes(texture)


def main() -> None:
    """Make all three."""
    FOLDER.mkdir(exist_ok=True)
    profile = [
        (0.0, 0.02), (0.34, 0.0), (0.42, 0.06), (0.62, 0.35), (0.82, 0.75), (0.74, 1.15),
        (0.44, 1.42), (0.36, 1.58), (0.46, 1.72), (0.41, 1.72), (0.31, 1.55), (0.0, 1.3),
    ]  # fmt: skip
    handle = [(-0.36, 1.50), (-0.85, 1.60), (-1.12, 1.22), (-1.02, 0.78), (-0.70, 0.56)]
    spout = [(0.50, 0.62), (0.98, 0.78), (1.12, 1.15), (1.38, 1.42), (1.385, 1.425)]
    vase = [
        Chart(lathe(profile), (0.02, 0.02, 0.98, 0.70), (36, 33)),
        Chart(tube(handle, [0.08] * 5), (0.02, 0.74, 0.30, 0.98), (8, 16)),
        Chart(tube(spout, [0.22, 0.15, 0.10, 0.08, 0.0]), (0.34, 0.74, 0.72, 0.98), (12, 12)),
    ]
    save_glb(FOLDER / "vase.glb", mesh_of(vase), jpeg(texture_of(vase, glaze, 512), 82))
    torus = [Chart(ring, (0.0, 0.0, 1.0, 1.0), (32, 16))]
    save_obj(FOLDER / "torus.obj", mesh_of(torus), texture_of(torus, marble, 256))
    stone = [
        Chart(
            boulder(number // 2, 1 - 2 * (number % 2)),
            (column / 3 + 0.015, row / 2 + 0.015, (column + 1) / 3 - 0.015, (row + 1) / 2 - 0.015),
            (12, 12),
        )
        for number in range(6)
        for column, row in [(number % 3, number // 3)]
    ]
    save_ply(FOLDER / "stone.ply", mesh_of(stone), jpeg(texture_of(stone, rock, 384), 80))


if __name__ == "__main__":
    main()
