"""torchvision's VGG weights, through torchvision's own API and cache (`TORCH_HOME`)."""

import contextlib
import http.client
import socket
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.files import file_sha256
from nst_lightning.vgg.file_input import imagenet_input
from nst_lightning.vgg.state_dicts import canonical_tensors
from nst_lightning.vgg.weight_cache import locked, say, unwritable

TIMEOUT = 15.0
"""Seconds without an answer; torch.hub sets none and would wait for minutes."""

ATTRIBUTION = (
    "VGG trained on ImageNet by the torchvision project (BSD-3-Clause); the architecture by the "
    "Visual Geometry Group, University of Oxford"
)


def _entry(network: str) -> Any:
    """Returns torchvision's entry; untyped, since its members carry their fields dynamically."""
    from torchvision.models import (  # type: ignore[import-untyped]
        VGG16_Weights,
        VGG19_Weights,
    )

    return {"vgg19": VGG19_Weights, "vgg16": VGG16_Weights}[network].IMAGENET1K_V1


def hub_path(network: str) -> Path:
    """Returns where torch.hub keeps the file."""
    name = Path(urlsplit(_entry(network).url).path).name
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def intact(path: Path) -> bool:
    """Tells whether a file's sha256 begins as its name says; torch.hub checks that only once."""
    return file_sha256(path).startswith(path.stem.rpartition("-")[2])


def imagenet_tensors(network: str) -> dict[str, Tensor]:
    """Returns the weights from torch.hub's cache, pulled first unless they are there and intact.

    Raises:
        UserError: they cannot be fetched, or the cache folder cannot be used.
    """
    path = hub_path(network)
    try:
        if path.is_file() and intact(path):
            return _load(network, path)
        with locked(path):
            if path.is_file() and not intact(path):
                say(f"the cached weights {path} are damaged and are pulled anew")
                path.unlink()
            return _load(network, path)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def _load(network: str, path: Path) -> dict[str, Tensor]:
    try:
        # torchvision announces the download on standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr), default_timeout(TIMEOUT):
            state = _entry(network).get_state_dict(
                progress=sys.stderr.isatty(),
                check_hash=True,
                weights_only=True,
                map_location="cpu",
            )
    except urllib.error.HTTPError as error:
        raise _unreachable(network, path, f"HTTP {error.code}") from error
    except urllib.error.URLError as error:
        raise _unreachable(network, path, str(error.reason)) from error
    except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
        raise _unreachable(network, path, str(error) or "the connection broke off") from error
    except RuntimeError as error:  # torch.hub's word for a wrong hash
        raise _unreachable(network, path, "the bytes received are not the expected") from error
    return canonical_tensors(state, network, path) | imagenet_input()


def _unreachable(network: str, path: Path, reason: str) -> UserError:
    address = urlsplit(_entry(network).url).netloc
    instead = ", or use `--weights normalized`" if network == "vgg19" else ""
    option = "" if network == "vgg19" else f" --network {network}"
    return UserError(
        f"the weights `imagenet` could not be fetched from {address} ({reason}): run `nst-batch "
        f"weights pull imagenet{option}` on a machine with a network and copy {path.name} to "
        f"{path.parent} (TORCH_HOME names another place){instead}, or give a file of your own "
        "with `--weights PATH` (`--weights random` needs none, to try things out)."
    )


@contextlib.contextmanager
def default_timeout(seconds: float) -> Iterator[None]:
    """Gives up connections that stay silent for so long; torch.hub has no setting for it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
