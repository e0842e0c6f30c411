"""Estimates what a mesh takes beside the steps on its views."""

import time
from dataclasses import dataclass
from functools import lru_cache

from nst_lightning.grid.models import load_model
from nst_lightning.grid.sources import Source
from nst_lightning.mesh.atlas import atlas_of
from nst_lightning.mesh.cameras import turntable
from nst_lightning.mesh.texels import density, render_bytes
from nst_lightning.run.mesh_views import RESOLVED, texture_side
from nst_lightning.settings import BatchSettings

PEAK = 4
"""Memory while views are rendered, in times that of the rendering."""

TIMES = 10
"""Choosing cameras, rendering and filling take so many times as long as their estimate does: 9 and
11 times with 3,000 and a million faces, as measured."""


@dataclass(frozen=True)
class MeshCost:
    """What a mesh takes beside its steps.

    bytes: of the rendering, which lies beside a step.
    seconds: for cameras, views and filling.
    """

    bytes: float
    seconds: float

    def beside(self, step: float) -> float:
        """Returns the peak of the memory with steps of so many bytes."""
        return max(step + self.bytes, PEAK * self.bytes)


NO_MESH = MeshCost(0.0, 0.0)


def mesh_cost(source: Source, settings: BatchSettings) -> MeshCost:
    """Estimates what a content that can be read takes beside its steps: nothing, but for a mesh."""
    if source.model is None:
        return NO_MESH
    return _estimated(source, settings.model_dump_json())


@lru_cache(64)
def _estimated(source: Source, settings_json: str) -> MeshCost:
    settings = BatchSettings.model_validate_json(settings_json)
    mesh, size = load_model(source.path, settings), settings.scales[-1].longest
    begun = time.perf_counter()
    whole = atlas_of(mesh.textures, texture_side(mesh, settings))
    cameras = turntable(mesh.surface, settings.views)
    atlas = whole.scaled(min(1.0, RESOLVED / density(mesh.surface, whole, cameras, size)))
    taken = render_bytes(mesh.surface, atlas, cameras, size)
    sets = (settings.view_sets + 1) / 2  # of which one has half as many directions to choose from
    return MeshCost(taken, sets * TIMES * (time.perf_counter() - begun))
