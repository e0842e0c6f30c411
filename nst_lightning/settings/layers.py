"""Names of VGG layers: three schemes in use, one canonical form. Imports no torch.

`conv3_1`, `relu3_1`: block and index, before and after the ReLU (Simonyan & Zisserman's names).
`conv_5`: running number over all convolutions, before the ReLU (the PyTorch tutorial's names).
`pool3`: after the pooling that ends a block.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator

from nst_lightning.errors import UserError
from nst_lightning.settings.knob import Weight

BLOCKS: dict[str, tuple[int, ...]] = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}
"""Convolutions per block (Simonyan & Zisserman 2014, configurations E and D)."""

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of each block's convolutions."""


def conv_names(network: str) -> list[str]:
    """Returns `conv1_1 … conv5_4` of a network, in order."""
    return [f"conv{b}_{i}" for b, n in enumerate(BLOCKS[network], 1) for i in range(1, n + 1)]


def conv_indices(network: str) -> dict[str, int]:
    """Returns the position of each convolution in torchvision's `features`, by name."""
    indices: dict[str, int] = {}
    position = 0
    for block, count in enumerate(BLOCKS[network], 1):
        for i in range(1, count + 1):
            indices[f"conv{block}_{i}"] = position
            position += 2  # the convolution and its ReLU
        position += 1  # the pooling
    return indices


def layer_sequence(network: str) -> list[str]:
    """Returns every canonical layer name in the order in which the network computes them."""
    names: list[str] = []
    for block, count in enumerate(BLOCKS[network], 1):
        for i in range(1, count + 1):
            names += [f"conv{block}_{i}", f"relu{block}_{i}"]
        names.append(f"pool{block}")
    return names


def canonical(name: str, network: str) -> str:
    """Returns the canonical name of a layer, `conv2_2` of `conv_4`; such names stay as they are.

    Raises UserError for a layer that the network does not have, with the nearest known name.
    """
    known = layer_sequence(network)
    given = name.strip().lower()
    convs = conv_names(network)
    if given in known:
        return given
    running = re.fullmatch(r"conv_(\d+)", given)
    if running and 1 <= int(running[1]) <= len(convs):
        return convs[int(running[1]) - 1]
    candidates = [*known, *(f"conv_{k}" for k in range(1, len(convs) + 1))]
    nearest = difflib.get_close_matches(given, candidates, n=1, cutoff=0.0)[0]
    raise UserError(
        f"{network} has no layer {name!r}: did you mean {nearest!r}? Known are conv1_1 … "
        f"{convs[-1]}, relu1_1 … relu{convs[-1][4:]}, conv_1 … conv_{len(convs)} and pool1 … pool5."
    )


def layer_sets(text: str, network: str) -> dict[str, list[str]]:
    """Returns sets of layers by what was typed: `conv_1,conv_1+conv_2,conv_5..conv_8,all`.

    `a..b` stands for every layer of a's scheme from a to b, `all` for every convolution.

    Raises:
        UserError: an unknown layer, an empty set, or a range that runs backwards.
    """
    sets: dict[str, list[str]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        layers = [layer for term in part.split("+") for layer in layer_range(term, network)]
        sets[part] = list(dict.fromkeys(layers))
    if not sets:
        raise UserError("--layers names no layer; give some, such as conv_1,conv_2,conv_1+conv_2.")
    return sets


def layer_range(term: str, network: str) -> list[str]:
    """Returns the layers of one term of a set: a name, `a..b`, or `all`."""
    first, dots, last = (part.strip() for part in term.partition(".."))
    running = [f"conv_{k}" for k in range(1, len(conv_names(network)) + 1)]
    if first == "all" and not dots:
        return running
    ends = [canonical(name, network) for name in (first, last) if name or dots]
    if not dots:
        return [first] if ends else [canonical(first, network)]
    if first.startswith("conv_"):
        scheme = {canonical(name, network): name for name in running}
    else:
        kind = ends[0].rstrip("0123456789_")
        scheme = {name: name for name in layer_sequence(network) if name.startswith(kind)}
    if any(end not in scheme for end in ends):
        raise UserError(f"{term}: a range needs two layers of one kind, such as conv_5..conv_8.")
    start, end = (list(scheme).index(end) for end in ends)
    if start > end:
        raise UserError(f"{term}: the range runs backwards; write {last}..{first}.")
    return list(scheme.values())[start : end + 1]


def channels(name: str) -> int:
    """Returns how many channels a layer has, given by its canonical name."""
    return CHANNELS[int(name[4]) - 1]


def poolings_before(name: str) -> int:
    """Returns how many poolings an image passes up to and including a layer (canonical name).

    An image must measure at least 2 to this power on each side.
    """
    return int(name[4]) if name.startswith("pool") else int(name[4]) - 1


def layers_to(names: Iterable[str], network: str) -> list[str]:
    """Returns every layer up to the one that is computed last among canonical `names`."""
    sequence = layer_sequence(network)
    return sequence[: max(map(sequence.index, names)) + 1]


def parse_layers(value: Any) -> Any:
    """Reads `a,b=0.5`, [a, b] or {a: 1, b: 0.5} as layers and their weights."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if isinstance(value, (list, tuple)):
        named = [str(part).partition("=") for part in value]
        twice = {name.strip() for name, _, _ in named if sum(n == name for n, _, _ in named) > 1}
        if twice:
            raise ValueError(f"names {', '.join(sorted(twice))} twice")
        return {name.strip(): weight.strip() if weight else 1.0 for name, _, weight in named}
    return value


Layers = Annotated[dict[str, Weight], BeforeValidator(parse_layers)]


def split_after_poolings(names: list[str]) -> list[list[str]]:
    """Splits layers into blocks of which each but the last ends with a pooling."""
    blocks: list[list[str]] = [[]]
    for name in names:
        if blocks[-1] and blocks[-1][-1].startswith("pool"):
            blocks.append([])
        blocks[-1].append(name)
    return blocks


def side_of_tiles(side: int, width: int) -> int:
    """Returns the side of the tiles of a block.

    Args:
        side: of those of the first block.
        width: the block's channels; tiles of all blocks hold about as many numbers.
    """
    return max(2, even(int(side * (CHANNELS[0] / width) ** 0.5 - 1)))


def even(number: int) -> int:
    """Returns the number, or the next one, whichever is even."""
    return number + number % 2
