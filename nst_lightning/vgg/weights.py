"""The sources of the network's weights: five of them, one form, each verified.

`normalized` is the paper's own network and the default; `caffe` is the same before it was
normalised; `imagenet` is torchvision's; `random` needs no download; anything else is the path of a
file.
"""

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import safetensors.torch
import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.files import atomic_file, home_expanded
from nst_lightning.settings.layers import BLOCKS
from nst_lightning.settings.transfer import WeightsInput
from nst_lightning.vgg import caffe, imagenet, normalized
from nst_lightning.vgg.file_input import fed, file_tensors
from nst_lightning.vgg.random_weights import identity, random_tensors
from nst_lightning.vgg.state_dicts import SUFFIXES, checksum
from nst_lightning.vgg.weight_cache import cache_folder

__all__ = [
    "CachedFile",
    "WeightSource",
    "Weights",
    "cache_folder",
    "export",
    "load_weights",
    "pull",
    "verify",
    "weight_sources",
]


@dataclass(frozen=True)
class Weights:
    """A network's tensors and where they came from.

    Attributes:
        tensors: `conv1_1.weight` (O, I, 3, 3), `conv1_1.bias` (O,) … in order, then `input.mean`
            (3,) and `input.std` (3,): the network is to see (x - mean) / std for RGB x in [0, 1].
            All float32, on the CPU.
        checksum: sha256 over the tensors, the identity that goes into fingerprints; for `random`
            a name with its seed, as those tensors differ in the last bit between machines.
        source: `normalized`, `caffe`, `imagenet`, `random` or the path as given.
        input: what a file's network is fed (see `file_input`); empty for the others.
    """

    tensors: dict[str, Tensor]
    checksum: str
    source: str
    input: str = ""


@dataclass(frozen=True)
class WeightSource:
    """What people are told of a source: name, networks, description, download and licence."""

    name: str
    networks: tuple[str, ...]
    what: str
    download: str
    licence: str


@dataclass(frozen=True)
class CachedFile:
    """A file that a source keeps on this machine; `size` in bytes, 0 when absent.

    `state` is `present` when the file was not looked into.
    """

    source: str
    network: str
    path: Path
    state: Literal["absent", "present", "good", "damaged"]
    size: int


def weight_sources() -> list[WeightSource]:
    """Returns the named sources, the default first."""
    return [
        WeightSource(
            "normalized",
            ("vgg19",),
            "Oxford's VGG-19 with mean activations of 1, the network of Gatys et al.; the default",
            "88 MB from the Python package index",
            normalized.ATTRIBUTION,
        ),
        WeightSource(
            "caffe",
            ("vgg19",),
            "the same network before it was normalised, which most code before torchvision ran; "
            "rebuilt from `normalized`",
            "that of normalized",
            caffe.ATTRIBUTION,
        ),
        WeightSource(
            "imagenet",
            tuple(BLOCKS),
            "torchvision's classifiers, as most later code uses them",
            "about 550 MB from torchvision's server",
            imagenet.ATTRIBUTION,
        ),
        WeightSource(
            "random",
            tuple(BLOCKS),
            "seeded He-initialised filters with mean activations of 1, to try things out",
            "nothing",
            "none needed",
        ),
    ]


def load_weights(source: str, network: str = "vgg19", weights_input: str = "auto") -> Weights:
    """Loads a network's weights, pulled into the cache first where they are not yet there.

    Args:
        source: `normalized`, `caffe`, `imagenet`, `random` or the path of a `.safetensors`, `.pth`
            or `.pt` state dict (see `state_dicts`).
        network: `vgg19` or `vgg16`.
        weights_input: what a file's network is fed, where neither the file nor its bytes tell (see
            `file_input`), or `auto`; with `imagenet` also `imagenet-255`.

    Raises:
        UserError: unknown source or network, no such file, a file that does not hold this network
            or does not tell what it is fed, weights that cannot be fetched, a cache folder that
            cannot be used.
    """
    _check(source, network, weights_input)
    if source == "random":
        return Weights(random_tensors(network), identity(network), source)
    if source == "normalized":
        return Weights(normalized.normalized_tensors(), normalized.CHECKSUM, source)
    taken = ""
    if source == "caffe":
        tensors = caffe.caffe_tensors()
    elif source == "imagenet":
        tensors = imagenet.imagenet_tensors(network)
        if weights_input != "auto":
            tensors |= fed(tensors["conv1_1.weight"], weights_input)
    else:
        tensors, taken = file_tensors(home_expanded(source), network, weights_input)
    return Weights(tensors, checksum(tensors), source, taken)


def pull(source: str = "normalized", network: str = "vgg19") -> Path:
    """Pulls a source's file into its cache, unless it is there and intact, and returns its path.

    Raises:
        UserError: as `load_weights`; also for `random` and paths, which are not pulled.
    """
    _check(source, network)
    if source not in ("normalized", "caffe", "imagenet"):
        raise UserError(f"there is nothing to pull for {source!r}: use it as it is.")
    load_weights(source, network)
    return imagenet.hub_path(network) if source == "imagenet" else normalized.cached_path()


def verify(check: bool = True) -> list[CachedFile]:
    """Lists every file that the sources may have cached, checked unless `check` is False."""
    one = _cached_file("normalized", "vgg19", normalized.cached_path(), check)
    files = [one, replace(one, source="caffe")]
    for network in BLOCKS:
        files.append(_cached_file("imagenet", network, imagenet.hub_path(network), check))
    return files


def export(
    source: str,
    network: str,
    path: Path,
    dtype: str = "float32",
    overwrite: bool = False,
    weights_input: str = "auto",
) -> Path:
    """Writes a network's weights as one safetensors file that `--weights PATH` takes.

    Args:
        source: as for `load_weights`.
        network: `vgg19` or `vgg16`.
        path: the file to write; ends in `.safetensors`.
        dtype: `float32`, or `float16` for half the size (input mean and std stay float32).
        overwrite: replace a file that is already there.
        weights_input: as for `load_weights`.

    Raises:
        UserError: as `load_weights`; also for another dtype or suffix, a file already there, a
            folder that cannot be written, and values beyond float16's range.
    """
    types = {"float32": torch.float32, "float16": torch.float16}
    if dtype not in types:
        raise UserError(f"there is no dtype {dtype!r} to export: use float32 or float16.")
    if path.suffix != ".safetensors":
        raise UserError(f"cannot export to {path}: give the file a name ending in .safetensors.")
    if path.is_dir():
        raise UserError(f"cannot export to {path}, which is a folder: name a file in it.")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is already there: name another file or add --overwrite.")
    weights = load_weights(source, network, weights_input)
    tensors = {
        name: tensor if name.startswith("input.") else tensor.to(types[dtype])
        for name, tensor in weights.tensors.items()
    }
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{name} has values beyond float16's range: export as float32.")
    attribution = {s.name: s.licence for s in weight_sources()}.get(source, "")
    metadata = {
        "format": "pt",
        "network": network,
        "source": source if attribution else Path(source).name,
        "checksum": weights.checksum,
        "attribution": attribution,
    }
    try:
        with atomic_file(path) as file:
            file.write(safetensors.torch.save(tensors, metadata))
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}): make room and grant access there, "
            "or name another file."
        ) from error
    return path


def _check(source: str, network: str, weights_input: str = "auto") -> None:
    """Refuses bad usage before any work."""
    if weights_input not in get_args(WeightsInput):
        inputs = ", ".join(get_args(WeightsInput))
        raise UserError(f"there is no weights_input {weights_input!r}: use {inputs}.")
    if network not in BLOCKS:
        raise UserError(f"there is no network {network!r}: use {' or '.join(BLOCKS)}.")
    known = {s.name: s for s in weight_sources()}
    if source in known:
        if weights_input != "auto" and (source, weights_input) != ("imagenet", "imagenet-255"):
            raise UserError(
                f"the weights {source!r} tell themselves what they are fed: set weights_input to "
                "auto."
            )
        if network not in known[source].networks:
            raise UserError(
                f"there is no {network} with the weights {source!r}: use `imagenet`, `random` or "
                "the path of a file for that network."
            )
    elif _looks_like_a_name(source):
        near = difflib.get_close_matches(source, known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UserError(
            f"there are no weights {source!r}{hint}: use {', '.join(known)} or the path of a "
            ".safetensors, .pth or .pt file."
        )


def _looks_like_a_name(source: str) -> bool:
    path = Path(source)
    return path.name == source and path.suffix.lower() not in SUFFIXES and not path.exists()


def _cached_file(source: str, network: str, path: Path, check: bool) -> CachedFile:
    if not path.is_file():
        return CachedFile(source, network, path, "absent", 0)
    size = path.stat().st_size
    if not check:
        return CachedFile(source, network, path, "present", size)
    try:
        good = imagenet.intact(path) if source == "imagenet" else _cache_is_good(path)
    except OSError as error:
        raise UserError(
            f"the cached weights {path} cannot be read ({error.strerror or error}): grant access."
        ) from error
    return CachedFile(source, network, path, "good" if good else "damaged", size)


def _cache_is_good(path: Path) -> bool:
    try:
        return normalized.read_cached(path) is not None
    except normalized.DamagedError:
        return False
