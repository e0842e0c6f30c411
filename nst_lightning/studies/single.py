"""Cases on single pictures: content reconstruction and texture synthesis. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from nst_lightning.grid.pairs import Case, Pair
from nst_lightning.grid.sources import Source
from nst_lightning.settings import merge
from nst_lightning.studies.sweep import Axes, Settings, expand, folder_names

Kind = Literal["reconstruct", "texture"]
LAYERS, SEED = "layers", "seed"

SINGLE = {"init": "noise", "curves": True, "scales": 1, "precision": "32-true"}
"""What is not said to these studies: a layer is seen as it is at one scale, without rounding."""


def axes_of(kind: Kind, sets: Mapping[str, Sequence[str]], seeds: int, given: Settings) -> Axes:
    """Sets of layers × seeds."""
    first = int(given.get("seed", 0))
    return {
        LAYERS: {label: only(kind, layers) for label, layers in sets.items()},
        SEED: {str(seed): {"seed": seed} for seed in range(first, first + seeds)},
    }


def only(kind: Kind, layers: Sequence[str]) -> dict[str, Any]:
    """Settings under which nothing but the content, or the style, of these layers counts."""
    if kind == "reconstruct":
        return {"content_layers": list(layers), "style_layers": {}}
    return {"style_layers": list(layers), "content_layers": {}}


def cases_of(kind: Kind, axes: Axes, given: Settings, sources: Sequence[Source]) -> list[Case]:
    """Every set and seed on every picture: <picture>/<layers>/seed-<n>.<suffix>, from noise."""
    cases = expand(axes, merge(SINGLE, given))
    by_layers = [replace(case, labels={LAYERS: case.labels[LAYERS]}) for case in cases]
    names = dict(zip((case.labels[LAYERS] for case in cases), unique_names(by_layers), strict=True))
    return [
        replace(
            case,
            pairs=[
                Pair(source, source, output(source, names[case.labels[LAYERS]], case))
                for source in sources
            ],
        )
        for case in cases
    ]


def unique_names(cases: Sequence[Case]) -> list[str]:
    """A folder per set of layers, the same for all its seeds."""
    distinct = {case.labels[LAYERS]: case for case in cases}
    folders = dict(zip(distinct, folder_names(list(distinct.values())), strict=True))
    return [folders[case.labels[LAYERS]] for case in cases]


def output(source: Source, layers: str, case: Case) -> str:
    """Where one result goes."""
    return f"{source.name}/{layers}/seed-{case.labels[SEED]}.{case.settings.suffix}"
