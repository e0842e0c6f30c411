"""Cases on single images: content reconstruction and texture synthesis. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from nst_lightning.grid.pairs import Case, Pair
from nst_lightning.grid.sources import Source
from nst_lightning.settings import merge
from nst_lightning.studies.sweep import Axes, Settings, expand_axes, name_folders

Kind = Literal["reconstruct", "texture"]
LAYERS, SEED = "layers", "seed"

SINGLE = {"init": "noise", "curves": True, "scales": 1, "precision": "32-true"}
"""What is not said to these studies: a layer is seen as it is at one scale, without rounding."""


def make_axes(kind: Kind, sets: Mapping[str, Sequence[str]], seeds: int, given: Settings) -> Axes:
    """Returns sets of layers × seeds."""
    first = int(given.get("seed", 0))
    return {
        LAYERS: {label: only_layers(kind, layers) for label, layers in sets.items()},
        SEED: {str(seed): {"seed": seed} for seed in range(first, first + seeds)},
    }


def only_layers(kind: Kind, layers: Sequence[str]) -> dict[str, Any]:
    """Returns settings under which only the content, or the style, of these layers counts."""
    if kind == "reconstruct":
        return {"content_layers": list(layers), "style_layers": {}}
    return {"style_layers": list(layers), "content_layers": {}}


def make_cases(kind: Kind, axes: Axes, given: Settings, sources: Sequence[Source]) -> list[Case]:
    """Returns every set and seed on every image: <image>/<layers>/seed-<n>.<suffix>, from noise."""
    cases = expand_axes(axes, merge(SINGLE, given))
    by_layers = [replace(case, labels={LAYERS: case.labels[LAYERS]}) for case in cases]
    names = dict(zip((case.labels[LAYERS] for case in cases), unique_names(by_layers), strict=True))
    return [
        replace(
            case,
            pairs=[
                Pair(source, source, name_output(source, names[case.labels[LAYERS]], case))
                for source in sources
            ],
        )
        for case in cases
    ]


def unique_names(cases: Sequence[Case]) -> list[str]:
    """Returns a folder per set of layers, the same for all its seeds."""
    distinct = {case.labels[LAYERS]: case for case in cases}
    folders = dict(zip(distinct, name_folders(list(distinct.values())), strict=True))
    return [folders[case.labels[LAYERS]] for case in cases]


def name_output(source: Source, layers: str, case: Case) -> str:
    """Returns where one result goes."""
    return f"{source.name}/{layers}/seed-{case.labels[SEED]}.{case.settings.suffix}"
