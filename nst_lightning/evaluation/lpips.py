"""LPIPS, through torchmetrics, where its ImageNet network is to be had."""

import contextlib
import http.client
import sys
from pathlib import Path
from threading import Thread
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import torch
from torch import Tensor
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from nst_lightning.errors import UserError
from nst_lightning.vgg.imagenet import default_timeout, intact

TIMEOUT = 10.0
"""Seconds without an answer after which the only attempt to download is given up."""

FAILURES = (OSError, http.client.HTTPException, ValueError, RuntimeError)
"""Of a download: also an address of a proxy that is none, and bytes that are not the expected."""

SMALLEST = 31
"""Side below which AlexNet's poolings leave nothing."""


class LPIPS:
    """The distance of Zhang et al. 2018 with AlexNet, the variant they recommend.

    Raises:
        UserError: AlexNet is neither in torch's cache nor to be downloaded; says where it belongs.
    """

    def __init__(self, device: torch.device) -> None:
        fetch_backbone()
        # torchvision speaks to standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            self.metric = LearnedPerceptualImagePatchSimilarity(
                "alex", reduction="none", normalize=True
            ).to(device)

    def __call__(self, images: Tensor, others: Tensor) -> Tensor:
        """Compares (B, 3, H, W) in [0, 1]: (B,), at least 0; nan below 31 pixels a side."""
        if min(images.shape[-2:]) < SMALLEST:
            return images.new_full((len(images),), float("nan"))
        self.metric.reset()
        self.metric.update(images, others)
        found: Tensor = self.metric.compute()
        return found.reshape(-1)  # torchmetrics makes a scalar of a single value


def fetch_backbone() -> Path:
    """Returns torchvision's AlexNet in torch's cache, downloaded where it is not there.

    Raises:
        UserError: it cannot be had.
    """
    from torchvision.models import AlexNet_Weights  # type: ignore[import-untyped]

    url = AlexNet_Weights.IMAGENET1K_V1.url
    name = Path(urlsplit(url).path).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        if path.is_file() and intact(path):
            return path
        reach_server(url, TIMEOUT)
        path.parent.mkdir(parents=True, exist_ok=True)
        with default_timeout(TIMEOUT):
            torch.hub.download_url_to_file(
                url, str(path), path.stem.rpartition("-")[2], progress=sys.stderr.isatty()
            )
    except FAILURES as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise UserError(
            f"LPIPS stays empty, since its network could not be fetched from "
            f"{urlsplit(url).netloc} ({reason}): put {name} into {path.parent} (TORCH_HOME names "
            "another place), or leave it out with --no-lpips."
        ) from error
    return path


def reach_server(url: str, seconds: float) -> None:
    """Sees whether a server answers within so many seconds in all.

    A timeout of sockets counts for each of its addresses anew, and not at all for their look-up.

    Raises:
        OSError: it does not.
        HTTPException, ValueError: it, or a proxy before it, does not speak HTTP.
    """
    problem: list[Exception | None] = []

    def ask() -> None:
        try:
            urlopen(Request(url, method="HEAD"), timeout=seconds).close()
            problem.append(None)
        except FAILURES as error:
            problem.append(error)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not problem:
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    if problem[0] is not None:
        raise problem[0]
