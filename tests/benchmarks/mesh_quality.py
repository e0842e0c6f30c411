"""How good painted meshes are: held-out views, coverage, seams.

nst-batch mesh examples/meshes examples/styles --out out
python tests/benchmarks/mesh_quality.py out

For each result of the folder:
- held-out: the style loss of views that were never painted, over that of the painted ones;
- touched: the share of the texels that any of many views sees which the painted views see;
- left: texels of the surface that are as they were, with --init noise after two steps;
- seams: the mean step of colour across the borders of islands, over that across other edges.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from nst_lightning.grid.models import read_model
from nst_lightning.grid.pairs import Pair
from nst_lightning.grid.sources import read_source
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.mesh.atlas import pack
from nst_lightning.mesh.cameras import (
    bounding_sphere,
    camera_from,
    fibonacci_directions,
    touched_share,
)
from nst_lightning.mesh.filling import lay_out
from nst_lightning.mesh.mesh_formats import read_mesh
from nst_lightning.mesh.rasterizer import Camera
from nst_lightning.mesh.texels import render_map
from nst_lightning.run.batch_run import BatchRun
from nst_lightning.run.devices import resolve
from nst_lightning.run.inputs import Inputs
from nst_lightning.run.make_batch import make_batch, make_inputs
from nst_lightning.run.mesh_views import ViewedMesh
from nst_lightning.settings import BatchSettings, Pass, build
from nst_lightning.store.job import Job
from nst_lightning.store.ledger import Ledger
from nst_lightning.store.records import Record
from nst_lightning.transfer.objective import TransferLoss, compute_losses
from nst_lightning.transfer.targets import with_guide
from nst_lightning.vgg.weights import load_weights

CPU = torch.device("cpu")


def held_out(viewed: ViewedMesh, count: int) -> list[Camera]:
    """Returns cameras at directions between those that are chosen from: a spiral turned by 20°."""
    sphere = bounding_sphere(viewed.mesh.surface)
    turn = math.radians(20)
    cameras = []
    for x, y, z in fibonacci_directions(count):
        place = x * math.cos(turn) + z * math.sin(turn), y, z * math.cos(turn) - x * math.sin(turn)
        cameras.append(camera_from(place, sphere))
    return [one for one in cameras if all(one not in each for each in viewed.view_sets)]


def last_pass(settings: BatchSettings) -> Pass:
    return settings.passes(settings.view_sets)[-1]


def style_loss(
    inputs: Inputs, job: Job, viewed: ViewedMesh, texels: Tensor, cameras: Sequence[Camera]
) -> float:
    """Returns the style loss of views of texels (1, 3, h, w) that are filled."""
    settings, scale = inputs.settings, last_pass(inputs.settings)
    rendering = render_map(viewed.mesh.surface, viewed.atlas, cameras, scale.longest)
    targets = with_guide(inputs.targets([job], scale), rendering.coverage)
    targets = replace(targets, content={})  # whose shape is that of other views
    height, width = rendering.coverage.shape[-2:]
    loss = TransferLoss(targets, settings, (height, width))
    views = rendering.see(texels)
    found = compute_losses(inputs.network, loss, views, torch.float32).losses
    return float(sum(loss.weight(term) * value for term, value in found.items()))


def left(inputs: Inputs, job: Job) -> int:
    """Returns how many texels of the surface are as they were, painted from noise for two steps."""
    changes = {"init": "noise", "scales": [{"size": inputs.settings.scales[-1].size, "steps": 2}]}
    settings = build({**inputs.settings.model_dump(mode="json"), **changes})
    noisy = Inputs(inputs.network, settings, CPU, torch.float32)
    (made,) = make_batch(noisy, BatchRun([job], settings, None), list)
    assert made.viewed is not None
    start = noisy.start(job, last_pass(settings)).clamp(0, 1)
    filled = made.viewed.filled(made.image[None])
    on_surface = lay_out(made.viewed.mesh.surface, made.viewed.atlas).face >= 0
    free = ((start > 0) & (start < 1)).any(dim=1)[0]  # at the bounds, the best may be to stay
    return int(((filled == start).all(dim=1)[0] & on_surface & free).sum())


def seams(viewed: ViewedMesh, texels: Tensor) -> float:
    """Returns the mean step of colour across the borders of islands over that across other edges.

    Either side of an edge is looked at one texel away from the edge's middle, towards the middle of
    the face; both sides lie as far from one another, at seams and elsewhere.
    """
    surface, atlas = viewed.mesh.surface, viewed.atlas
    faces = len(surface.corners)
    a = surface.corners
    b = surface.corners.roll(-1, dims=1)
    ends = torch.stack([a, b], dim=2).reshape(-1, 2, 3)
    uv = torch.stack([surface.uv, surface.uv.roll(-1, dims=1)], dim=2).reshape(-1, 2, 2)
    number = torch.arange(faces).repeat_interleave(3)
    scale = 1e6 / float(ends.abs().max())
    keys = (ends * scale).round().long()
    known: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for edge, key in enumerate(keys.tolist()):
        pair = tuple(sorted(map(tuple, key)))
        if pair[0] != pair[1]:
            known.setdefault(pair, []).append(edge)
    twins = torch.tensor([both for both in known.values() if len(both) == 2])

    def colour(edge: Tensor) -> Tensor:
        material = surface.material[number[edge]]
        middle = uv[edge].mean(dim=1)
        way = surface.uv[number[edge]].mean(dim=1) - middle
        long = atlas.in_texels(material, way).norm(dim=1, keepdim=True).clamp(min=1e-9)
        texel, weight = atlas.taps(material, middle + way / long)
        flat = texels[0].flatten(1)
        return (flat[:, texel] * weight.to(flat)).sum(dim=2)

    first, second = twins.unbind(dim=1)
    step = (colour(first) - colour(second)).norm(dim=0)
    same = ((uv[first] - uv[second].flip(1)).abs().amax(dim=(1, 2)) < 1e-6) | (
        (uv[first] - uv[second]).abs().amax(dim=(1, 2)) < 1e-6
    )
    if same.all():
        return math.nan
    return float(step[~same].mean() / step[same].mean())


def measure(out: Path, record: Record) -> None:
    """Prints the figures of one result."""
    settings = build(record.settings)
    settings = resolve(settings, CPU)
    content = read_model(out / record.content, "model", settings)
    style = read_source(out / record.style, "style", ImageReader(settings.max_pixels))
    job = Job(Pair(content, style, record.output), record.content_sha256, record.style_sha256, "")
    inputs = make_inputs(settings, load_weights(*settings.network_weights), CPU)
    scale = last_pass(settings)
    viewed = cast(ViewedMesh, inputs.viewed(job, scale))
    result = read_mesh(out / record.output)
    size = max(max(place.window.shape) for place in viewed.atlas.places)
    texels, _ = pack(result.textures, size)
    own = style_loss(inputs, job, viewed, texels, viewed.cameras)
    others = style_loss(inputs, job, viewed, texels, held_out(viewed, len(viewed.cameras)))
    before = style_loss(inputs, job, viewed, viewed.texels, viewed.cameras)
    touched = touched_share(viewed.mesh.surface, viewed.atlas, scale.longest, viewed.cameras)
    stay = left(inputs, job)
    print(
        f"{record.output}: style {before:.2f} before, {own:.3f} painted, {others:.3f} held out: "
        f"{others / own:.2f}; touched {touched:.2%}; left {stay}; seams "
        f"{seams(viewed, texels):.2f} (before {seams(viewed, viewed.texels):.2f}); "
        f"{record.seconds:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("results", nargs="*", help="such as vase/woodcut.glb; by default all")
    given = parser.parse_args()
    for record in Ledger(given.out).read().values():
        if record.status == "done" and record.output in (given.results or [record.output]):
            measure(given.out, record)


if __name__ == "__main__":
    main()
