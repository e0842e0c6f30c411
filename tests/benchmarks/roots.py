"""Ways to Wasserstein's root: `python tests/benchmarks/roots.py [CONTENT STYLE [SIZE…]]`.

For the products M of real features, on the GPU where there is one: what each way to the trace of
M^½ and to M^-½ costs, and how far the loss and its gradients then are from those of the
eigendecomposition that the loss makes. A way may take its place on a device only where it is faster
there and the loss within 1e-5 at every layer. Without images it takes two from docs/.
"""

import sys
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from nst_lightning import TransferSettings
from nst_lightning.benchmark.machine import describe_machine
from nst_lightning.benchmark.timing import median_ratio, paired
from nst_lightning.imaging.reading import load_image
from nst_lightning.losses.moments import moments
from nst_lightning.losses.wasserstein import (
    EPSILON,
    regular_covariance,
    root_of_product,
    smallest_of,
    symmetric_root,
)
from nst_lightning.run.devices import choose_device
from nst_lightning.transfer.module import build_network

Way = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Turns M, symmetric, (B, C, C) in float64, into its root's trace, (B,), and its inverse root."""

EXACT = "eigenvectors"
DOCS = Path(__file__).parents[2] / "docs"
ROUNDS = 3


def by_autograd(between: Tensor) -> tuple[Tensor, Tensor]:
    """Takes the eigenvalues, and autograd through them."""
    with torch.enable_grad():
        leaf = between.detach().requires_grad_(True)
        values = torch.linalg.eigvalsh(leaf)
        trace = torch.maximum(values, smallest_of(values)).sqrt().sum(dim=1)
        return trace.detach(), 2 * torch.autograd.grad(trace.sum(), leaf)[0]


def newton_schulz(
    between: Tensor, iterations: int, dtype: torch.dtype, *, stretched: bool = False
) -> tuple[Tensor, Tensor]:
    """Iterates to both roots at once (Higham 2008, "Functions of Matrices", eq. 6.35).

    Args:
        between: M.
        iterations: as many as it takes.
        dtype: what it computes in.
        stretched: lift small eigenvalues by 6.75 in an iteration instead of 2.25 (Chen & Chow
            2014); none is below `EPSILON`² but by rounding, and what that makes negative diverges.
    """
    matrix = between.to(dtype)
    size = torch.linalg.matrix_norm(matrix)[:, None, None]
    identity = torch.eye(matrix.shape[-1]).to(matrix)
    y, z = matrix / size, identity.expand_as(matrix)
    least = EPSILON / size.sqrt() if stretched else torch.ones_like(size)
    for _ in range(iterations):
        factor = (3 / (1 + least + least.square())).sqrt()
        least = factor * least * (3 - (factor * least).square()) / 2
        step = factor * (3 * identity - factor.square() * (z @ y)) / 2
        y, z = y @ step, step @ z
    return trace_of(y * size.sqrt()).to(between), (z / size.sqrt()).to(between)


def lyapunov(between: Tensor, iterations: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Takes crowsonkb/style-transfer-pytorch's way: the root as above, and back from it by as many
    iterations of the Lyapunov equation (Lin & Maji 2017, "Improved Bilinear Pooling with CNNs"),
    which here lead to M^-½ once more."""
    matrix = between.to(dtype)
    size = torch.linalg.matrix_norm(matrix)[:, None, None]
    identity = torch.eye(matrix.shape[-1]).to(matrix)
    y, z = matrix / size, identity.expand_as(matrix)
    for _ in range(iterations):
        step = (3 * identity - z @ y) / 2
        y, z = y @ step, step @ z
    y = y * size.sqrt()
    norm = torch.linalg.matrix_norm(y)[:, None, None]
    a, q = y / norm, identity / norm
    for _ in range(iterations):
        step = 3 * identity - a @ a
        q = (q @ step - a @ (a @ q - q @ a)) / 2
        a = a @ step / 2
    return trace_of(y).to(between), q.to(between)


def trace_of(matrix: Tensor) -> Tensor:
    """Returns the trace of (B, C, C)."""
    return matrix.diagonal(dim1=1, dim2=2).sum(dim=1)


WAYS: dict[str, Way] = {
    EXACT: root_of_product,
    "eigenvalues, autograd": by_autograd,
    "Newton–Schulz 12, float32": partial(newton_schulz, iterations=12, dtype=torch.float32),
    "Newton–Schulz 40, float64": partial(newton_schulz, iterations=40, dtype=torch.float64),
    "stretched 20, float64": partial(
        newton_schulz, iterations=20, dtype=torch.float64, stretched=True
    ),
    "Lyapunov 12, float32": partial(lyapunov, iterations=12, dtype=torch.float32),
}


class Case:
    """An image and a style at one layer.

    Args:
        features: of the image, (B, C, h, w).
        style: features of the style.
    """

    def __init__(self, features: Tensor, style: Tensor) -> None:
        self.features = features.flatten(2).double()
        self.mean, second = (x.double() for x in moments(features))
        style_mean, style_second = (x.double() for x in moments(style))
        self.difference = self.mean - style_mean
        self.covariance = regular_covariance(self.mean, second)
        self.root = symmetric_root(regular_covariance(style_mean, style_second))
        between = self.root @ self.covariance @ self.root
        self.between = (between + between.mT) / 2

    def loss_and_gradients(self, way: Way) -> tuple[Tensor, Tensor, Tensor]:
        """Computes the loss, (B,), and its gradients to Σ, (B, C, C), and features, (B, C, h·w)."""
        overlap, inverse = way(self.between)
        traces = trace_of(self.covariance) + self.root.square().sum(dim=(1, 2))
        loss = self.difference.square().sum(dim=1) + traces - 2 * overlap
        slope = torch.eye(self.mean.shape[1]).to(inverse) - self.root @ inverse @ self.root
        gradient = slope @ (self.features - self.mean[..., None]) + self.difference[..., None]
        return loss, slope, gradient

    def errors(self, way: Way) -> list[float]:
        """Computes how far a way's loss and gradients are from the exact way's, ‖x − y‖ / ‖y‖."""
        pairs = zip(self.loss_and_gradients(way), self.exact, strict=True)
        return [float((found - exact).norm() / exact.norm()) for found, exact in pairs]

    @cached_property
    def exact(self) -> tuple[Tensor, Tensor, Tensor]:
        """The loss and gradients of the exact way."""
        return self.loss_and_gradients(WAYS[EXACT])


@torch.no_grad()
def main(content: Path, style: Path, sizes: list[int]) -> None:
    """Print a line per size, layer and way, and what each way comes to."""
    device = choose_device("auto")
    print(", ".join(describe_machine(device).values()))
    settings = TransferSettings()
    network = build_network(settings).to(device)
    print(f"{'size':>5} {'layer':<8} {'positions':>9} {'channels':>8}  {'way':<26}{'ms':>9} "
          f"{'/ exact':>7}{'error of loss':>16}{'to Σ':>10}{'to features':>13}")  # fmt: skip
    seen: dict[str, list[tuple[float, float]]] = {which: [] for which in WAYS}
    for size in sizes:
        image, painting = (
            load_image(path, size, upscale=True).to(device) for path in (content, style)
        )
        # A mirrored style is nearly at its target, as an image is after many steps.
        features = [network(one) for one in (image, painting.flip(-1))]
        target = network(painting)
        for layer in settings.active_style_layers:
            cases = [Case(one[layer], target[layer]) for one in features]
            _, channels, positions = cases[0].features.shape
            times = paired({k: partial(way, cases[0].between) for k, way in WAYS.items()}, ROUNDS)
            for which, way in WAYS.items():
                share = median_ratio(times[which], times[EXACT])
                errors = [max(each) for each in zip(*(c.errors(way) for c in cases), strict=True)]
                seen[which].append((share, errors[0]))
                print(
                    f"{size:>5} {layer:<8} {positions:>9} {channels:>8}  {which:<26}"
                    f"{1000 * median(times[which]):>9.2f} {share:>7.2f}"
                    f"{errors[0]:>16.1e}{errors[1]:>10.1e}{errors[2]:>13.1e}",
                    flush=True,
                )
    for which, found in seen.items():
        shares = [share for share, _ in found]
        print(f"{which}: {min(shares):.2f} to {max(shares):.2f} × the exact way's time, "
              f"loss within {max(error for _, error in found):.1e}")  # fmt: skip


if __name__ == "__main__":
    images = [Path(name) for name in sys.argv[1:3]]
    content, style = images or [DOCS / "examples.jpg", DOCS / "studies-seed-004.jpg"]
    main(content, style, [int(size) for size in sys.argv[3:]] or [64, 128, 256, 512])
