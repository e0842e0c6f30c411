"""Styles made of several images. Imports no torch."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import look_up
from nst_lightning.grid.sources import ENDS, Source, StylePart
from nst_lightning.layout import BLENDS, safe_name
from nst_lightning.settings import read_yaml

PAIRS = "pairs"


def parse_blend(text: str) -> tuple[Path, float]:
    """Reads `a.jpg=0.7` as (a.jpg, 0.7), `a.jpg` as (a.jpg, 1).

    The last `=` counts, so that a path may hold others.

    Raises:
        UserError: the share is negative or not finite.
    """
    path, equals, share = text.rpartition("=")
    try:
        number = float(share)
    except ValueError:
        return Path(text), 1.0
    if not equals:
        return Path(text), 1.0
    if not math.isfinite(number) or number < 0:
        raise UserError(f"--blend {text}: the share should be 0 or more, not {share}.")
    return Path(path), number


def check_share(share: Any, what: str) -> float:
    """Returns the share of a style in a blend.

    Raises:
        UserError: it is no number from 0 on; `what` begins the sentence.
    """
    number = isinstance(share, (int, float)) and not isinstance(share, bool)
    if not number or not math.isfinite(share) or share < 0:
        raise UserError(f"{what} should be a number from 0 on, not {share!r}.")
    return float(share)


def shares(weights: Sequence[float], what: str) -> list[float]:
    """Returns weights brought to a sum of 1.

    Raises:
        UserError: they sum to 0.
    """
    largest = max(weights)
    if not largest > 0:
        raise UserError(f"{what}: all shares are 0; give at least one style a share above 0.")
    # The same shares in other words, 0.6:0.3:0.1 and 6:3:1, are the same numbers; none overflows.
    total = math.fsum(weight / largest for weight in weights)
    return [round(weight / largest / total, 12) for weight in weights]


def blend_source(name: str, path: Path, styles: Sequence[tuple[Source, float]]) -> Source:
    """Returns several styles as one.

    One that is named twice has both shares, those without a share are left out, and one alone is
    itself.

    Args:
        name: what its results are called.
        path: the image that stands for it.
        styles: with their shares, which sum to 1.
    """
    sums: dict[Source, float] = {}
    for source, share in styles:
        sums[source] = sums.get(source, 0.0) + share
    counting = [(source, share) for source, share in sums.items() if share > 0]
    if len(counting) == 1:
        return counting[0][0]
    problem = next((source.problem for source, _ in counting if source.problem), "")
    parts = tuple(
        StylePart(source.path, share, source.mask, shape=source.shape) for source, share in counting
    )
    shape = None if problem else counting[0][0].shape
    return Source(path, name, shape, problem, blend=parts)


def blended(styles: Sequence[tuple[Source, float]], what: str) -> Source:
    """Returns several styles as one, called by the names of those that count.

    Args:
        styles: at least one, with their shares, which are brought to a sum of 1.
        what: where they come from, for the message.

    Raises:
        UserError: all shares are 0.
    """
    sources = [source for source, _ in styles]
    parts = list(zip(sources, shares([share for _, share in styles], what), strict=True))
    name = "+".join(dict.fromkeys(source.name for source, share in parts if share))
    return blend_source(name, sources[0].path, parts)


def regional(styles: Sequence[tuple[str, Source]], what: str) -> Source:
    """Returns several styles as one that is another in each region of the content.

    Args:
        styles: at least one, each with the colour of its region as in `colour_name`.
        what: where they come from, for the message.

    Raises:
        UserError: no colour, or one that is named twice.
    """
    from nst_lightning.imaging.mask import colour_name

    named = [(colour_name(colour), source) for colour, source in styles]
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise UserError(f"{what} {twice[0]}: has two styles; give each colour one.")
    parts = tuple(
        StylePart(source.path, 1.0, region=colour, shape=source.shape) for colour, source in named
    )
    name = "+".join(dict.fromkeys(source.name for _, source in named))
    return Source(parts[0].path, name, (1, 1), blend=parts)


def blended_columns(which: str, styles: Sequence[Source], out: Path) -> list[Source]:
    """Returns the blends that are the columns of a grid.

    Args:
        which: `pairs`, every two styles half and half; or a YAML file that maps names to styles
            with their shares.
        styles: to choose from.
        out: the output folder.

    Raises:
        UserError: a file that says something else, an unknown style, shares of 0.
    """
    if which == PAIRS:
        if len(styles) < 2:
            raise UserError("--blend-styles pairs: there is only one style; give two or more.")
        named: Iterable[tuple[str, list[tuple[Source, float]]]] = (
            (safe_name(f"{a.name}+{b.name}".replace("/", "-")), [(a, 0.5), (b, 0.5)])
            for a, b in itertools.combinations(styles, 2)
        )
    else:
        file = Path(which)
        if not file.is_file():
            raise UserError(f"--blend-styles should be {PAIRS} or a YAML file, not {which!r}.")
        named = (
            (name, read_blend(file, name, parts, styles)) for name, parts in read_yaml(file).items()
        )
    chosen = [(check_name(name.replace("/", "-"), which), parts) for name, parts in named]
    if not chosen:
        raise UserError(f"{which}: names no blend; write lines such as `dusk: {{a: 0.7, b: 0.3}}`.")
    twice = [name for name, count in Counter(n.casefold() for n, _ in chosen).items() if count > 1]
    if twice:
        raise UserError(f"{which}: two blends are called {twice[0]!r}; give them distinct names.")
    # One that is a single style stands under the blend's name too.
    return [
        replace(blend_source(name, out / BLENDS / f"{name}.png", parts), name=name)
        for name, parts in chosen
    ]


def check_name(name: str, which: str) -> str:
    """Returns the name of a blend, where files can be called so.

    Raises:
        UserError: they cannot.
    """
    if safe_name(name) == name and not name.endswith(ENDS):
        return name
    raise UserError(
        f"--blend-styles {which}: results cannot be called {shown(name)}; give the blend a short "
        "name that neither begins with a dot nor ends like a file (.png)."
    )


def shown(name: str) -> str:
    """Returns a name for a sentence, not the whole of a long one."""
    return repr(name if len(name) <= 60 else name[:57] + "...")


def read_blend(
    file: Path, name: str, parts: Any, styles: Sequence[Source]
) -> list[tuple[Source, float]]:
    """Reads one blend of a file: styles with their shares, which are brought to a sum of 1."""
    if not isinstance(parts, Mapping) or not parts:
        raise UserError(f"{file}: {name} should map styles to shares, such as {{a: 0.7, b: 0.3}}.")
    weights = []
    for style, weight in parts.items():
        weights.append(check_share(weight, f"{file}: the share of {style} in {name}"))
    found = [look_up(str(style), styles, file) for style in parts]
    return list(zip(found, shares(weights, f"{file}: {name}"), strict=True))
